// Dialogs: a question before something is done, the token, the keys.

import { setToken } from "./token.js";
import { button, h } from "../dom/h.js";

/** Shows a dialog until it is closed. */
function show(title, ...children) {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title" },
    h("h2", { id: "dialog-title" }, title),
    ...children,
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Asks whether to do something; the focus is on the way back. */
export function confirm(title, consequences, word, act) {
  const cancel = button("Cancel", () => dialog.close(), { autofocus: true });
  const act2 = () => {
    dialog.close();
    act();
  };
  const dialog = show(
    title,
    ...consequences.map((line) => h("p", {}, line)),
    h("div", { class: "buttons" }, cancel, button(word, act2, { class: "danger" })),
  );
  cancel.focus();
}

/** Asks for the token, and calls back when there is one. */
export function askToken(then) {
  if (document.querySelector("dialog")) return;
  const field = h("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const form = h(
    "form",
    {
      submit: (event) => {
        event.preventDefault();
        setToken(field.value);
        then();
      },
    },
    h("p", {}, "This server refuses the token of this tab, or the tab has none."),
    h("p", {}, "Open the address that “control-rawdaq web” printed where it was started, or give the token in it:"),
    h("label", { for: "token" }, "token"),
    field,
    h("div", { class: "buttons" }, h("button", {}, "Use it")),
  );
  show("A token is needed", form);
  field.focus();
}

const KEYS = [
  ["/", "filter"],
  ["j  k", "next, previous row"],
  ["Enter", "open the row; on a helicorder: look closer"],
  ["g o", "overview"],
  ["g t", "traces"],
  ["g m", "map"],
  ["g r", "readers"],
  ["g l", "logs"],
  ["[  ]", "day before, day after; page before, page after"],
  ["+  -", "larger, smaller traces"],
  ["Space", "stop and continue traces"],
  ["?", "this list"],
];

/** Lists the keys. */
export function showKeys() {
  if (document.querySelector("dialog")) return;
  const rows = KEYS.map(([keys, text]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, text)]);
  const close = button("Close", () => dialog.close(), { autofocus: true });
  const dialog = show("Keys", h("dl", { class: "keys" }, rows), h("div", { class: "buttons" }, close));
}

// The line above all views: where and when this is, whether it is connected, and what is wrong with the connection.

import { get } from "./api.js";
import { aheadS, now } from "./clock.js";
import { button, h, setText } from "../dom/h.js";
import { dateTime, seconds, timeOfDay } from "../dom/format.js";

const CLOCK_MS = 250;
const WORDS = { open: "● live", lost: "✕ not connected", refused: "✕ no token", connecting: "○ connecting" };

/** Shows a banner while there is no connection. */
export function showBanner(app) {
  const element = document.getElementById("banner");
  const text = h("span");
  const next = h("span", { "aria-hidden": "true" }); // it changes each second: not to be read aloud
  const again = button("try now", () => app.state.link.retry());
  const update = () => {
    const { link } = app.state;
    const isLost = link.state === "lost";
    document.documentElement.classList.toggle("is-lost", isLost);
    if (!isLost) {
      element.replaceChildren();
      return;
    }
    setText(
      text,
      `Connection to the server lost at ${timeOfDay(link.lostMs + now() - Date.now())} UTC: what you see is of then.`,
    );
    if (!text.isConnected) element.replaceChildren(text, next, again);
  };
  app.state.stateListeners.add(update);
  setInterval(() => {
    const waitS = (app.state.link.retryMs - Date.now()) / 1000;
    setText(next, waitS > 0 ? `next try in ${Math.ceil(waitS)} s` : "trying");
  }, 1000);
}

async function showHost() {
  try {
    setText(document.getElementById("host"), (await get("components?problems=1&match=-")).host);
  } catch {
    // A dialog says that there is no token, a banner that there is no connection.
  }
}

/** Shows host, time and connection in the header, and the counts in the title of the window. */
export function showStatus(app) {
  const clock = document.getElementById("clock");
  const live = document.getElementById("live");
  const show = () => {
    if (document.hidden) return;
    const ahead = aheadS();
    setText(clock, dateTime(now()));
    const note =
      ahead === null ? "" : `; this computer's clock is ${seconds(Math.abs(ahead))} ${ahead > 0 ? "ahead" : "behind"}`;
    setText(live, `${WORDS[app.state.link.state] ?? ""}${note}`);
  };
  setInterval(show, CLOCK_MS);
  app.state.stateListeners.add(show);
  app.state.stateListeners.add((link) => link.state === "open" && showHost());
  app.state.onChange(() => {
    showTitle(app.state);
    const hasMap = [...app.state.components.values()].some((component) => component.coordinates);
    document.querySelector('nav a[data-view="map"]').hidden = !hasMap;
  });
}

function showTitle(state) {
  const count = (condition) => [...state.components.values()].filter((found) => found.condition === condition).length;
  const [down, late] = [count("no data"), count("late")];
  const parts = [down && `${down} down`, late && `${late} late`].filter(Boolean);
  const title = `${parts.length ? `${parts.join(", ")} · ` : ""}rawdaq`;
  if (document.title !== title) document.title = title;
}

let hiding;

/** Says something for some seconds, to screen readers too. */
export function say(text, { isError = false } = {}) {
  const element = document.getElementById("toast");
  clearTimeout(hiding);
  element.replaceChildren(
    h(
      "p",
      { class: isError ? "is-error" : "" },
      text,
      button("×", () => element.replaceChildren(), { "aria-label": "Close" }),
    ),
  );
  if (!isError) hiding = setTimeout(() => element.replaceChildren(), 10000);
}

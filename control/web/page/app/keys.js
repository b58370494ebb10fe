// The keyboard. A view may have methods for keys: filter, larger, pause, next.

import { showKeys } from "./dialogs.js";

const PLACES = { o: "/", t: "/traces", m: "/map", r: "/clients", l: "/logs/" };
const PREFIX_MS = 1500;

export function listenToKeys(app) {
  let prefixMs = -Infinity; // when `g` was pressed
  document.getElementById("keys").addEventListener("click", showKeys);
  document.addEventListener("keydown", (event) => {
    const { key, target } = event;
    // What was in a dialog keeps the focus for a moment after the dialog has closed.
    const isElsewhere = target.closest("input, select, textarea, dialog[open]");
    if (event.ctrlKey || event.metaKey || event.altKey || isElsewhere) return;
    const isSecond = event.timeStamp - prefixMs < PREFIX_MS;
    prefixMs = key === "g" && !isSecond ? event.timeStamp : -Infinity;
    if (isSecond && PLACES[key]) app.router.go(PLACES[key]);
    else if (!isSecond && pressed(key, app.router.current ?? {}, target)) event.preventDefault();
  });
}

/** Does what a key means here; returns whether it means anything. */
function pressed(key, view, target) {
  const actions = {
    "/": view.filter && (() => view.filter()),
    j: () => stepRow(1),
    k: () => stepRow(-1),
    "[": view.next && (() => view.next(-1)),
    "]": view.next && (() => view.next(1)),
    "+": view.larger && (() => view.larger(2)),
    "=": view.larger && (() => view.larger(2)),
    "-": view.larger && (() => view.larger(0.5)),
    "?": showKeys,
    " ": target.closest("a, button, summary") ? null : view.pause && (() => view.pause()),
  };
  if (!actions[key]) return false;
  actions[key]();
  return true;
}

/** Moves the focus to the next element that counts as a row. */
function stepRow(by) {
  const rows = [...document.querySelectorAll("main [data-row]")].filter((row) => row.offsetParent !== null);
  const here = rows.indexOf(document.activeElement.closest("[data-row]"));
  const next = here < 0 ? (by > 0 ? 0 : rows.length - 1) : here + by;
  rows[Math.max(0, Math.min(rows.length - 1, next))]?.focus();
}

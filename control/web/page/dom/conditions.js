// The four conditions, each as a glyph, a word and a colour: none of them alone.

import { h, setAttribute, setText } from "./h.js";

/** What may be shown, the worst first. */
export const CONDITIONS = ["no data", "late", "stopped", "well"];

export const GLYPHS = { "no data": "✕", late: "▲", stopped: "○", well: "✓" };

/** The class of elements in the colour of a condition. */
export const classOf = (condition) => `is-${condition.replace(" ", "-")}`;

/** A glyph with the word beside it, or with the word for screen readers alone. */
export function badge(condition, { isShort = false } = {}) {
  const glyph = h("span", { "aria-hidden": "true", class: "glyph" });
  const word = h("span", { class: isShort ? "unseen" : "word" });
  const element = h("span", { class: "badge" }, glyph, word);
  element.show = (now) => {
    setAttribute(element, "class", `badge ${classOf(now)}`);
    setText(glyph, GLYPHS[now]);
    setText(word, now);
  };
  element.show(condition);
  return element;
}

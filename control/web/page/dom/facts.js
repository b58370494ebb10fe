// Names and values of an object that nobody has described: what a component says of itself besides.

import { h } from "./h.js";

const words = (name) => name.replaceAll("_", " ");

function text(value) {
  if (value === null) return "–";
  if (Array.isArray(value)) return value.map(text).join(", ") || "–";
  if (typeof value === "object")
    return (
      Object.entries(value)
        .map(([name, one]) => `${words(name)} ${text(one)}`)
        .join(", ") || "–"
    );
  return String(value);
}

/** A list of names and values; each of `pairs` is `[name, value]`. */
export const pairs = (given) =>
  h(
    "dl",
    { class: "facts" },
    given.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );

/** The same of an object. */
export const facts = (object) => pairs(Object.entries(object).map(([name, value]) => [words(name), text(value)]));

// The latency of a day as a small line, the largest of each minute.

import { amplitude, msOf } from "../dom/format.js";
import { h, svg } from "../dom/h.js";
import { readable } from "../draw/scale.js";

const DAY_MIN = 1440;
const HEIGHT = 100;

/** Returns a picture of a `LatencyHistory`, and in words what it shows. */
export function latencyLine({ begin, minutes_s: minutes }, nowMs) {
  const known = minutes.filter((value) => value !== null);
  if (!known.length) return h("p", { class: "note" }, "Nothing is known yet.");
  const top = readable(Math.max(...known, 0.1));
  const firstMin = DAY_MIN - (nowMs - msOf(begin)) / 60000;
  const points = minutes.map(
    (value, k) => value !== null && `${(firstMin + k).toFixed(1)} ${(HEIGHT * (1 - value / top)).toFixed(1)}`,
  );
  // A line through what is known: where a minute is unknown, it is broken; a minute alone is a dash.
  const path = points
    .map((point, k) => point && (points[k - 1] ? `L${point}` : `M${point}h0.8`))
    .filter(Boolean)
    .join("");
  const middle = [...known].sort((a, b) => a - b)[Math.floor(known.length / 2)];
  const words = `mostly ${amplitude(middle)} s, at most ${amplitude(Math.max(...known))} s, in ${known.length} min`;
  const line = svg("path", { d: path, class: "line" });
  const picture = svg(
    "svg",
    {
      viewBox: `0 -2 ${DAY_MIN} ${HEIGHT + 4}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `latency: ${words}`,
    },
    line,
  );
  return h("figure", {}, h("span", { class: "half" }, `${amplitude(top)} s`), picture, h("figcaption", {}, words));
}

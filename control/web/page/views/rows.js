// What views show of a stream or a station: a label, the trace and the numbers beside it; a glyph and a name.

import { stationAddress, streamAddress } from "../app/address.js";
import { badge, classOf, GLYPHS } from "../dom/conditions.js";
import { amplitude, rate, seconds } from "../dom/format.js";
import { h, link, setAttribute, setText } from "../dom/h.js";

/** A row of a stream; `show(stream)` follows what is known of it, `scale(half)` says what the trace's height stands
 * for. */
export function traceRow(id, { isSmall = false } = {}) {
  const [network, station, ...rest] = id.split(".");
  const mark = badge("well", { isShort: true });
  const half = h("span", { class: "half" });
  const name = link(streamAddress(id), isSmall ? id : rest.filter(Boolean).join("."), { "data-row": true, title: id });
  const slot = h("div", { class: "slot", role: "img" });
  const numbers = h("span", { class: "numbers" });
  const why = h("span", { class: "why" });
  const row = h(
    "li",
    { class: isSmall ? "trace is-small" : "trace" },
    h("div", { class: "label" }, mark, name, half),
    slot,
    isSmall ? null : h("div", { class: "values" }, numbers, why),
  );
  let condition = "well";
  const describe = () =>
    setAttribute(slot, "aria-label", `trace of ${network}.${station}.${rest.join(".")}: ${condition}`);
  row.place = slot;
  row.scale = (value) => setText(half, value === null ? "" : `±${amplitude(value)}`);
  row.show = (stream) => {
    condition = stream.condition;
    mark.show(condition);
    mark.hidden = isSmall && condition === "well";
    setText(why, stream.sentence);
    const quality = stream.timing_quality === null ? "" : `q${stream.timing_quality}`;
    const gaps = `gaps ${stream.gaps_hour ?? 0}`;
    setText(numbers, [seconds(stream.latency_s), rate(stream.rate_hz), quality, gaps].filter(Boolean).join("  "));
    describe();
  };
  mark.hidden = isSmall;
  describe();
  return row;
}

/** A station as a link with its glyph, its name, its condition for screen readers, and what else is given;
 * `show(station)` follows it. */
export function stationLink({ key, code }, ...more) {
  const glyph = h("span", { class: "glyph", "aria-hidden": "true" });
  const word = h("span", { class: "unseen" });
  const anchor = link(stationAddress(key), "", { "data-row": true });
  anchor.append(glyph, h("span", { class: "name" }, code), word, ...more);
  const item = h("li", {}, anchor);
  item.show = ({ condition, sentence }) => {
    setAttribute(anchor, "class", classOf(condition));
    setAttribute(anchor, "title", sentence ? `${key}: ${sentence}` : key);
    setText(glyph, GLYPHS[condition]);
    setText(word, ` ${condition} `);
  };
  return item;
}

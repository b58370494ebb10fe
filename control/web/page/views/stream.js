// One stream: its trace, large, live or of a time that the address names; its latency; its numbers; its miniSEED.

import { download, get } from "../app/api.js";
import { dayAddress, stationAddress, streamOf, withQuery } from "../app/address.js";
import { say } from "../app/banner.js";
import { now } from "../app/clock.js";
import { badge } from "../dom/conditions.js";
import { pairs } from "../dom/facts.js";
import { amplitude, bytes, dateTime, dayOf, isoOf, msOf, plain, rate, seconds } from "../dom/format.js";
import { button, choice, h, link, setAttribute, setText } from "../dom/h.js";
import { Live } from "../draw/live.js";
import { Sheet } from "../draw/sheet.js";
import { TimeAxis } from "../draw/timeaxis.js";
import { latencyLine } from "./latency.js";
import { copyText } from "./logs.js";
import { TracePage, WINDOWS, windowOf } from "./tracepage.js";

const ASK_MS = 30000;

export const open = (app, element, place) => new Stream(app, element, place);

/** Returns `{startMs, endMs}` of an address that names a time, null of one that does not, or not well. */
function stretchOf({ start, end }) {
  const [startMs, endMs] = [start, end].map((time) => (time ? msOf(time) : NaN));
  return endMs > startMs ? { startMs, endMs } : null;
}

class Stream extends TracePage {
  constructor(app, element, place) {
    super();
    Object.assign(this, { app, id: streamOf(place), station: place.station });
    this.stretch = stretchOf(place.query);
    this.isKnown = false; // to the server, which has nothing of a stream that it does not know
    this.build(element, windowOf(place.query));
    this.live = this.stretch ? null : new Live(app, this.sheet, { table: (table) => this.showTable(table) });
    this.sheet.layout = () => this.refill();
    this.sheet.add(this.id, this.slot);
    this.sheet.setGain(Number(place.query.gain) || 1);
    app.state.look({ streams: [this.id] });
    this.end = app.state.onChange(() => this.update());
    this.timer = setInterval(() => this.askLatency(), ASK_MS);
    this.update();
    this.sheet.measure();
  }

  build(element, windowS) {
    this.mark = badge("well");
    this.why = h("p", { class: "why" });
    this.slot = h("div", { class: "slot", role: "img", "aria-label": `trace of ${this.id}` });
    this.slot.addEventListener("pointermove", ({ clientX }) => this.point(clientX));
    this.slot.addEventListener("pointerleave", () => setText(this.pointed, ""));
    this.pointed = h("output", { class: "pointed" });
    this.half = h("span", { class: "half" });
    this.axis = new TimeAxis();
    this.note = h("p", { class: "note" });
    this.facts = h("div");
    this.latency = h("div", { class: "latency-line" });
    const box = h("div", { class: "traces is-large" }, this.slot);
    element.append(
      h(
        "div",
        { class: "title" },
        h("h1", {}, link(stationAddress(this.station), this.station), this.id.slice(this.station.length)),
        this.mark,
      ),
      this.why,
      h("div", { class: "tools" }, this.chooser(windowS), this.half, this.pointed),
      box,
      this.axis.element,
      this.note,
      h("div", { class: "tools" }, this.actions()),
      h("h2", {}, "Latency, 24 h"),
      this.latency,
      h("h2", {}, "Numbers"),
      this.facts,
    );
    const [seconds_, endMs] = this.stretch
      ? [(this.stretch.endMs - this.stretch.startMs) / 1000, this.stretch.endMs]
      : [windowS, null];
    this.sheet = new Sheet(box, { now, windowS: seconds_, drawn: () => this.drawn() });
    this.sheet.endMs = endMs;
  }

  chooser(windowS) {
    if (this.stretch) {
      const text = `${dateTime(this.stretch.startMs)} to ${dateTime(this.stretch.endMs)} UTC`;
      return [h("strong", {}, text), link(location.pathname, "live")];
    }
    this.windows = choice("Length of the window", WINDOWS, windowS, (length) => this.setWindow(length));
    return this.windows;
  }

  actions() {
    const day = dayOf(this.stretch?.startMs ?? now());
    return [
      link(dayAddress(this.id, day), `helicorder of ${day}`),
      button("miniSEED of this window", () => this.save()),
      button("copy link", () => copyText(this.address(), "address copied")),
    ];
  }

  /** The window that is shown, in ms. */
  get window() {
    const endMs = this.sheet.columnMs === null ? now() : this.sheet.edgeMs;
    return { startMs: endMs - this.sheet.windowS * 1000, endMs };
  }

  // A link shows what is seen now, also when it is opened later.
  address() {
    const { startMs, endMs } = this.window;
    return new URL(withQuery(location.pathname, { start: isoOf(startMs), end: isoOf(endMs) }), location.href).href;
  }

  async save() {
    const { startMs, endMs } = this.window;
    const path = withQuery(`streams/${encodeURIComponent(this.id)}/samples.mseed`, {
      start: isoOf(startMs),
      end: isoOf(endMs),
    });
    try {
      const size = await download(path, `${this.id}_${isoOf(startMs).slice(0, 19).replaceAll(":", "")}.mseed`);
      say(`${bytes(size)} saved`);
    } catch (error) {
      say(error.message, { isError: true });
    }
  }

  update() {
    const stream = this.app.state.streams.get(this.id);
    if (!stream) {
      this.isKnown = false;
      this.mark.hidden = true;
      if (this.app.state.isThere && !this.app.state.isWaiting) setText(this.why, "There is no such stream now.");
      return;
    }
    if (!this.isKnown) {
      this.isKnown = true;
      this.askLatency();
      this.fill();
    }
    this.mark.hidden = false;
    this.mark.show(stream.condition);
    setText(this.why, stream.sentence);
    setAttribute(this.slot, "aria-label", `trace of ${this.id}: ${stream.condition}`);
    const shown = numbersOf(stream);
    const text = JSON.stringify(shown);
    if (text !== this.shown) this.facts.replaceChildren(pairs(shown));
    this.shown = text;
  }

  async askLatency() {
    if (!this.isKnown) return;
    try {
      const { latency } = await get(`streams/${encodeURIComponent(this.id)}`);
      this.latency.replaceChildren(latencyLine(latency, now()));
    } catch (error) {
      this.latency.replaceChildren(h("p", { class: "note" }, error.message));
    }
  }

  refill() {
    this.live?.want([this.id]);
    this.fill();
  }

  fill() {
    this.filling?.abort();
    if (this.isKnown) this.fillFrom([this.id], this.note);
  }

  showTable({ missing, streams }) {
    const reasons = Object.entries(missing).map(([key, reason]) => `No live trace of ${key}: ${reason}.`);
    setText(this.note, streams.length ? "" : reasons.join(" "));
  }

  drawn() {
    const half = this.sheet.halfOf(this.id);
    setText(this.half, half === null ? "no data in this window" : `±${amplitude(half)}`);
    this.axis.show(this.sheet.edgeMs, this.sheet.windowS);
  }

  point(clientX) {
    const found = this.sheet.at(this.id, clientX);
    if (!found) return;
    const { ms, low, high } = found;
    const value = low === undefined ? "no data" : low === high ? String(low) : `${low} to ${high}`;
    setText(this.pointed, `${dateTime(ms, 3)}  ${value}`);
  }
}

function numbersOf(stream) {
  const date = (time) => (time ? `${dateTime(msOf(time), 3)}` : "–");
  return [
    ["component", stream.component],
    ["rate", rate(stream.rate_hz)],
    ["other rate seen", `${stream.rate_mismatches} times`],
    ["type", plain(stream.sample_type)],
    ["newest sample", date(stream.last_sample)],
    ["latency", seconds(stream.latency_s)],
    ["largest latency", seconds(stream.latency_max_s)],
    ["silent", seconds(stream.silent_s)],
    ["timing quality", stream.timing_quality === null ? "–" : `${stream.timing_quality} %`],
    ["clock", stream.clock ?? "nothing wrong"],
    ["gaps in the last hour", String(stream.gaps_hour)],
    ["gaps in 24 h", String(stream.gaps_day)],
    ["gaps since the start", `${stream.gaps}, ${seconds(stream.gap_s)}`],
    ["overlaps", `${stream.overlaps}, ${seconds(stream.overlap_s)}`],
    ["backwards", String(stream.backwards)],
    ["packets", String(stream.packets)],
    ["samples", `${stream.samples}, ${bytes(stream.bytes)}`],
  ];
}

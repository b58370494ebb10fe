// A day of one stream as a drum recorder draws it; the day of today goes on.

import { dayAddress, streamAddress, streamOf } from "../app/address.js";
import { now } from "../app/clock.js";
import { amplitude, dayOf, duration, isoOf, timeOfDay } from "../dom/format.js";
import { button, choice, h, link, setText } from "../dom/h.js";
import { DAY_MS, Drum } from "../draw/drum.js";
import { columnsOf } from "../draw/history.js";
import { Live } from "../draw/live.js";
import { scaled } from "./tracepage.js";

const ROWS = [
  [15, "15 min"],
  [30, "30 min"],
  [60, "1 h"],
];
const HOUR_MS = 3600000;
const PIECE_MS = 6 * HOUR_MS; // asked for at once
const REFRESH_MS = 60000;
const RECENT_MS = 2 * HOUR_MS; // what the archive may have got since
const MOST_GAPS = 20;

export const open = (app, element, place) => new Helicorder(app, element, place);

class Helicorder {
  constructor(app, element, place) {
    Object.assign(this, { app, id: streamOf(place), day: place.day });
    this.dayMs = Date.parse(`${place.day}T00:00:00Z`);
    this.isToday = dayOf(now()) === place.day;
    this.isKnown = false; // to the server, which has nothing of a stream that it does not know
    const rowMin = ROWS.some(([minutes]) => minutes === Number(place.query.row)) ? Number(place.query.row) : 60;
    this.build(element, rowMin, place.query);
    if (this.isToday) {
      this.live = new Live(app, this.drum);
      this.live.want([this.id]);
      this.timer = setInterval(() => this.load(now() - RECENT_MS), REFRESH_MS);
    }
    app.state.look({ streams: [this.id] });
    this.end = app.state.onChange(() => this.update());
    this.update();
  }

  close() {
    this.end();
    clearInterval(this.timer);
    this.loading?.abort();
    this.live?.close();
    this.drum.close();
  }

  build(element, rowMin, query) {
    const day = (by) => dayOf(this.dayMs + by * DAY_MS);
    // A text: the browser would write a date as it is written where it stands.
    const typed = {
      value: this.day,
      pattern: "\\d{4}-\\d{2}-\\d{2}",
      inputmode: "numeric",
      maxlength: "10",
      size: "10",
    };
    this.picker = h("input", { ...typed, "aria-label": "Day, such as 2026-11-28", change: () => this.typed() });
    this.rowChoice = choice("Length of a row", ROWS, rowMin, (minutes) => this.setRow(minutes));
    this.scale = h("span", { class: "half" });
    this.note = h("p", { class: "note", role: "status" });
    this.rows = h("ol", { class: "rows", "aria-label": `Hours of ${this.day}` });
    this.paper = h("div", { class: "paper", role: "img", "aria-label": `helicorder of ${this.id}, ${this.day}` });
    this.gapList = h("ul", { class: "gaps" });
    element.append(
      h("div", { class: "title" }, h("h1", {}, link(streamAddress(this.id), this.id), ` ${this.day}`)),
      h(
        "div",
        { class: "tools" },
        link(this.addressOf(day(-1)), `‹ ${day(-1).slice(5)}`),
        this.picker,
        link(this.addressOf(day(1)), `${day(1).slice(5)} ›`),
        this.rowChoice,
        button("×2", () => this.larger(2), { "aria-label": "×2, twice as large" }),
        button("÷2", () => this.larger(0.5), { "aria-label": "÷2, half as large" }),
        this.check("centre each row", "centre", query.centre !== "0", (isOn) => (this.drum.isCentred = isOn)),
        this.check("clip", "clip", query.clip === "1", (isOn) => (this.drum.isClipped = isOn)),
        this.scale,
      ),
      this.note,
      h("div", { class: "drum" }, this.rows, this.paper),
      h("h2", {}, "Gaps"),
      this.gapList,
    );
    this.drum = new Drum(this.paper, { dayMs: this.dayMs, rowMin, layout: () => this.refill() });
    this.drum.gain = Number(query.gain) || 1;
    this.drum.isCentred = query.centre !== "0";
    this.drum.isClipped = query.clip === "1";
    this.drum.drawn = () => this.describe();
    this.drum.measure();
  }

  check(text, name, isOn, set) {
    const box = h("input", {
      type: "checkbox",
      checked: isOn,
      change: () => {
        set(box.checked);
        this.app.router.change({ [name]: box.checked ? "1" : "0" });
        this.drum.draw();
      },
    });
    return h("label", { class: "check" }, box, text);
  }

  update() {
    const { state } = this.app;
    const wasKnown = this.isKnown;
    this.isKnown = state.streams.has(this.id);
    if (this.isKnown && !wasKnown) this.load(this.dayMs);
    else if (!this.isKnown && state.isThere && !state.isWaiting) setText(this.note, "There is no such stream now.");
  }

  refill() {
    this.showRows();
    this.live?.want([this.id]);
    this.load(this.dayMs);
  }

  /** Fetches the day from a time on, piece by piece. */
  async load(fromMs) {
    this.loading?.abort();
    const { columnMs } = this.drum;
    if (!this.isKnown || columnMs === null) return; // `update` and `refill` come back to it
    const { signal } = (this.loading = new AbortController());
    const columnAt = (ms) => Math.floor(ms / columnMs + 1e-6);
    const end = columnAt(Math.min(this.dayMs + DAY_MS, now()));
    const step = Math.ceil(PIECE_MS / columnMs);
    try {
      for (let first = columnAt(Math.max(this.dayMs, fromMs)); first < end; first += step) {
        const last = Math.min(first + step, end);
        const block = await columnsOf(this.id, first * columnMs, last * columnMs, last - first, {
          signal,
          rateHz: this.app.state.streams.get(this.id)?.rate_hz,
        });
        if (signal.aborted) return;
        if (block) this.drum.addBlock(this.id, block);
        setText(this.note, `reading ${timeOfDay(last * columnMs).slice(0, 5)} …`);
      }
      this.drum.draw();
      setText(this.note, this.drum.half === null ? "There are no data of this day." : "");
    } catch (error) {
      if (error.name !== "AbortError") setText(this.note, error.message);
    }
  }

  // An hour each, also where a row is less: rows of 11 pixels are too small to be hit.
  showRows() {
    const height = this.drum.rowHeight * (HOUR_MS / this.drum.rowMs);
    const rows = Array.from({ length: DAY_MS / HOUR_MS }, (_, k) => {
      const startMs = this.dayMs + k * HOUR_MS;
      const query = new URLSearchParams({ start: isoOf(startMs), end: isoOf(startMs + HOUR_MS) });
      const address = `${streamAddress(this.id)}?${query}`;
      const row = h(
        "li",
        {},
        link(address, timeOfDay(startMs).slice(0, 2), { "data-row": true, title: "look closer" }),
      );
      row.style.height = `${height}px`;
      return row;
    });
    this.rows.replaceChildren(...rows);
  }

  describe() {
    setText(this.scale, this.drum.half === null ? "" : `±${amplitude(this.drum.half)}`);
    const gaps = this.drum.gaps();
    const lines = gaps
      .slice(0, MOST_GAPS)
      .map(
        ({ startMs, endMs }) => `${timeOfDay(startMs)} to ${timeOfDay(endMs)}, ${duration((endMs - startMs) / 1000)}`,
      );
    if (gaps.length > MOST_GAPS) lines.push(`${gaps.length - MOST_GAPS} shorter ones`);
    if (lines.join() === this.lines) return;
    this.lines = lines.join();
    this.gapList.replaceChildren(
      ...(lines.length ? lines : ["none that a column of this picture shows"]).map((line) => h("li", {}, line)),
    );
  }

  setRow(minutes) {
    this.rowChoice.choose(minutes);
    this.app.router.change({ row: minutes === 60 ? null : minutes });
    this.drum.setRow(minutes);
  }

  larger(by) {
    this.drum.gain = scaled(this.drum.gain, by);
    this.app.router.change({ gain: this.drum.gain === 1 ? null : this.drum.gain });
    this.drum.draw();
  }

  addressOf(day) {
    return dayAddress(this.id, day) + location.search;
  }

  typed() {
    const isDay = this.picker.checkValidity() && Number.isFinite(Date.parse(`${this.picker.value}T00:00:00Z`));
    if (isDay) this.goTo(this.picker.value);
    else setText(this.note, `There is no day ${this.picker.value}: a day is written such as 2026-11-28.`);
  }

  goTo(day) {
    this.app.router.go(this.addressOf(day));
  }

  /** Goes to a day before or after. */
  next(by) {
    this.goTo(dayOf(this.dayMs + by * DAY_MS));
  }
}

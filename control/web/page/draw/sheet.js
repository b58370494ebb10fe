// Many traces on one canvas. Their places are elements of the page (slots), laid out by the style sheet; the canvas
// lies behind them, covers what is on the screen and a little more, and is drawn again when data came or time moved a
// column.

import { pixel, onSchemeChange } from "./colours.js";
import { Columns } from "./columns.js";
import { drawTrace, Picture } from "./paint.js";
import { extent, Scale } from "./scale.js";

const REDRAW_MS = 95; // ten times a second at most
const SCALE_MS = 1000;
const SPARE = 1.25; // of the window: data that are a little ahead of our clock push none out

export class Sheet {
  /** `now()` is the server's time in ms; `layout(columnMs)` is called when traces have another width and are empty
   * again. */
  constructor(element, { now, windowS, layout = () => {}, drawn = () => {} }) {
    Object.assign(this, { element, now, windowS, layout, drawn });
    this.slots = new Map();
    this.columnMs = null;
    this.pausedMs = null;
    this.gain = 1;
    this.isStale = false;
    this.endMs = null; // of a window that stands still
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true"); // each slot says what it shows
    element.classList.add("sheet");
    element.prepend(this.canvas);
    this.band = { top: 0, height: 0 };
    this.drawnMs = -Infinity;
    this.isAsked = false;
    this.isOpen = true;
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(element);
    this.scrolled = () => this.#follow();
    addEventListener("scroll", this.scrolled, { passive: true });
    this.seen = () => this.request(); // what came while nobody looked
    document.addEventListener("visibilitychange", this.seen);
    this.endScheme = onSchemeChange(() => this.request());
    this.isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#tick();
  }

  /** Shows a trace in the place of an element. */
  add(id, element) {
    this.slots.set(id, { id, element, columns: null, scale: new Scale(), scaledMs: -Infinity, box: null });
  }

  remove(id) {
    this.slots.delete(id);
  }

  close() {
    this.isOpen = false;
    this.observer.disconnect();
    removeEventListener("scroll", this.scrolled);
    document.removeEventListener("visibilitychange", this.seen);
    this.endScheme();
    clearTimeout(this.timer);
    clearTimeout(this.waiting);
  }

  /** Shows another stretch of time; all traces are empty until data come. */
  setWindow(windowS, endMs = null) {
    [this.windowS, this.endMs] = [windowS, endMs];
    this.columnMs = null;
    this.measure();
  }

  setGain(gain) {
    this.gain = gain;
    this.request();
  }

  /** Stops time, or lets it go on. */
  pause(isPaused) {
    this.pausedMs = isPaused ? this.now() : null;
    this.request();
  }

  setStale(isStale) {
    this.isStale = isStale;
    this.request();
  }

  /** Adds data of a stream that has a slot. */
  addBlock(id, block) {
    const slot = this.slots.get(id);
    if (!slot?.columns) return;
    slot.columns.add(block);
    this.request();
  }

  /** Finds out where the slots are; call it when they have changed. */
  measure() {
    if (!this.isOpen) return;
    this.ratio = devicePixelRatio || 1;
    const origin = this.element.getBoundingClientRect();
    let width = null;
    for (const slot of this.slots.values()) {
      const rect = slot.element.getBoundingClientRect();
      const place = [rect.left - origin.left, rect.top - origin.top, rect.width, rect.height];
      const [x, y, slotWidth, height] = place.map((length) => Math.round(length * this.ratio));
      width ??= slotWidth;
      slot.box = { x, y, width: Math.min(width, slotWidth), height };
    }
    if (!width) return;
    const columnMs = (this.windowS * 1000) / width;
    const isNew = columnMs !== this.columnMs;
    this.columnMs = columnMs;
    for (const slot of this.slots.values()) {
      if (isNew || !slot.columns) slot.columns = new Columns(columnMs, Math.ceil(width * SPARE) + 16);
      if (isNew) slot.scaledMs = -Infinity;
    }
    this.picture = null;
    this.#follow();
    if (isNew) this.layout(columnMs);
    this.request();
  }

  /** Asks for the traces to be drawn soon. */
  request() {
    if (this.isAsked || !this.isOpen || document.hidden) return;
    this.isAsked = true;
    const wait = Math.max(0, this.drawnMs + REDRAW_MS - performance.now());
    this.waiting = setTimeout(() => requestAnimationFrame(() => this.draw()), wait);
  }

  // The left edge moves on by itself; where motion is not wanted, only with data.
  #tick() {
    if (!this.isOpen) return;
    if (!this.isStill && this.pausedMs === null && this.endMs === null) this.request();
    this.timer = setTimeout(() => this.#tick(), Math.max(REDRAW_MS, this.columnMs ?? REDRAW_MS));
  }

  // Lets the canvas cover the screen and half a screen above and below, so that scrolling shows traces at once.
  #follow() {
    const origin = this.element.getBoundingClientRect();
    const whole = this.element.clientHeight;
    const [seenTop, seenBottom] = [Math.max(0, -origin.top), Math.min(whole, innerHeight - origin.top)];
    const { top, height } = this.band;
    if (this.picture && seenTop >= top && seenBottom <= top + height) return;
    const newTop = Math.max(0, Math.floor(seenTop - innerHeight / 2));
    this.band = { top: newTop, height: Math.min(whole, seenBottom + innerHeight / 2) - newTop };
    if (this.band.height <= 0) return;
    this.picture = new Picture(
      Math.round(this.element.clientWidth * this.ratio),
      Math.round(this.band.height * this.ratio),
    );
    this.canvas.width = this.picture.width;
    this.canvas.height = this.picture.height;
    this.canvas.style.top = `${this.band.top}px`;
    this.canvas.style.width = `${this.element.clientWidth}px`;
    this.canvas.style.height = `${this.band.height}px`;
    this.draw();
  }

  /** The number of the column at the right edge: of now; where all data are older than the window, of the newest of
   * these. */
  get edge() {
    const now = Math.floor((this.endMs ?? this.pausedMs ?? this.now()) / this.columnMs);
    if (this.endMs !== null) return now - 1;
    let newest = -Infinity;
    for (const { columns } of this.slots.values()) if (columns?.newest > newest) newest = columns.newest;
    const width = (this.windowS * 1000) / this.columnMs;
    return newest > -Infinity && newest < now - width ? newest : now;
  }

  /** The time at the right edge, in ms. */
  get edgeMs() {
    return (this.edge + 1) * this.columnMs;
  }

  draw() {
    this.isAsked = false;
    if (!this.isOpen || !this.picture || this.columnMs === null) return;
    const begun = performance.now();
    this.drawnMs = begun;
    const { edge, picture } = this;
    const colour = pixel(this.isStale ? "--trace-stale" : "--trace");
    const style = { colour, gapColour: pixel("--gap") };
    const shift = Math.round(this.band.top * this.ratio);
    let count = 0;
    picture.clear(pixel("--page"));
    for (const slot of this.slots.values()) {
      if (!slot.box || !slot.columns || slot.columns.newest === -Infinity) continue;
      const box = { ...slot.box, y: slot.box.y - shift };
      if (box.y + box.height < 0 || box.y > picture.height) continue;
      const first = edge - box.width + 1;
      this.#rescale(slot, first, edge, begun);
      if (slot.scale.half === null) continue;
      drawTrace(
        picture,
        slot.columns,
        box,
        first,
        { centre: slot.scale.centre, half: slot.scale.half / this.gain },
        style,
      );
      count += 1;
    }
    this.canvas.getContext("2d").putImageData(picture.data, 0, 0);
    // For programs that measure the page; an observer gets it although it is cleared.
    performance.measure("redraw", { start: begun, detail: { traces: count } });
    performance.clearMeasures("redraw");
    this.drawn();
  }

  #rescale(slot, first, last, nowMs) {
    if (nowMs - slot.scaledMs < SCALE_MS) return;
    slot.scale.follow(extent(slot.columns, first, last), nowMs);
    slot.scaledMs = nowMs;
  }

  /** What half the height of a trace stands for, null before there are data. */
  halfOf(id) {
    const half = this.slots.get(id)?.scale.half ?? null;
    return half === null ? null : half / this.gain;
  }

  /** Returns `{ms, low, high}` at a horizontal place on the screen, null where there are no data. */
  at(id, clientX) {
    const slot = this.slots.get(id);
    if (!slot?.columns || !slot.box) return null;
    const x = Math.floor((clientX - slot.element.getBoundingClientRect().left) * this.ratio);
    const column = this.edge - slot.box.width + 1 + x;
    if (x < 0 || x >= slot.box.width) return null;
    const ms = column * this.columnMs;
    const there = slot.columns.slot(column);
    return slot.columns.has(column) ? { ms, low: slot.columns.low[there], high: slot.columns.high[there] } : { ms };
  }
}

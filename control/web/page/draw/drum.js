// A day of one stream, row below row, from columns: what a drum recorder draws.

import { onSchemeChange, pixel } from "./colours.js";
import { Columns } from "./columns.js";
import { drawTrace, Picture } from "./paint.js";
import { extent } from "./scale.js";

export const DAY_MS = 86400000;
const REDRAW_MS = 1000;
const INKS = ["--ink-1", "--ink-2", "--ink-3", "--ink-4"];
const ROW_PX = { 60: 26, 30: 17, 15: 11 }; // height of a row, by its minutes
const SPILL = 2; // how many rows a large signal may cover above and below

export class Drum {
  /** `element` holds the canvas; `layout()` is called when the drum is empty and has another width. */
  constructor(element, { dayMs, rowMin, layout }) {
    Object.assign(this, { element, dayMs, rowMin, layout });
    Object.assign(this, { gain: 1, isCentred: true, isClipped: false, columnMs: null, windowS: 3600 });
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    element.append(this.canvas);
    this.endScheme = onSchemeChange(() => this.draw());
    this.observer = new ResizeObserver(() => this.measure());
    this.observer.observe(element);
  }

  close() {
    this.observer.disconnect();
    this.endScheme();
    clearTimeout(this.waiting);
  }

  get rowMs() {
    return this.rowMin * 60000;
  }

  get rowCount() {
    return DAY_MS / this.rowMs;
  }

  get rowHeight() {
    return ROW_PX[this.rowMin];
  }

  setRow(rowMin) {
    this.rowMin = rowMin;
    this.columnMs = null;
    this.measure();
  }

  measure() {
    const ratio = devicePixelRatio || 1;
    const width = Math.floor(this.element.clientWidth * ratio);
    if (!width || (this.columnMs === this.rowMs / width && this.ratio === ratio)) return;
    this.ratio = ratio;
    this.width = width;
    this.columnMs = this.rowMs / width;
    // Columns are numbered since 1970 and days begin at whole rows, so a row begins at a whole column.
    this.first = Math.round(this.dayMs / this.columnMs);
    this.columns = new Columns(this.columnMs, width * this.rowCount);
    this.picture = new Picture(width, Math.round(this.rowCount * this.rowHeight * ratio));
    this.canvas.width = this.picture.width;
    this.canvas.height = this.picture.height;
    this.canvas.style.height = `${this.rowCount * this.rowHeight}px`;
    this.layout();
    this.draw();
  }

  /** Adds a block, of which only what is in the day is kept. */
  addBlock(_, block) {
    const stepMs = 1000 / block.perS;
    const from = Math.max(0, Math.ceil((this.dayMs - block.firstMs) / stepMs));
    const to = Math.min(block.n, Math.ceil((this.dayMs + DAY_MS - block.firstMs) / stepMs));
    if (to <= from) return;
    const width = block.isColumns ? 2 : 1;
    const values = block.values.subarray(from * width, to * width);
    this.columns.add({ ...block, n: to - from, firstMs: block.firstMs + from * stepMs, values });
    this.request();
  }

  setStale() {} // a day that is not followed for a while is still that day

  request() {
    this.waiting ??= setTimeout(() => this.draw(), REDRAW_MS);
  }

  draw() {
    clearTimeout(this.waiting);
    this.waiting = null;
    if (!this.picture) return;
    this.picture.clear(pixel("--page"));
    const last = this.first + this.width * this.rowCount - 1;
    this.scale = extent(this.columns, this.first, last);
    if (this.scale) for (let row = 0; row < this.rowCount; row += 1) this.#drawRow(row);
    this.canvas.getContext("2d").putImageData(this.picture.data, 0, 0);
    this.drawn?.();
  }

  #drawRow(row) {
    const height = this.rowHeight * this.ratio;
    const first = this.first + row * this.width;
    const box = { x: 0, y: Math.round(row * height), width: this.width, height: Math.round(height) };
    const centred = this.isCentred ? extent(this.columns, first, first + this.width - 1) : this.scale;
    const scale = { centre: centred?.centre ?? this.scale.centre, half: this.half };
    const colours = {
      colour: pixel(INKS[row % INKS.length]),
      gapColour: pixel("--gap"),
      spill: this.isClipped ? 0 : SPILL * height,
    };
    drawTrace(this.picture, this.columns, box, first, scale, colours);
  }

  /** What half the height of a row stands for; null without data. */
  get half() {
    return this.scale ? this.scale.half / this.gain : null;
  }

  /** Gaps between data, as `{startMs, endMs}`, the longest first. */
  gaps() {
    const found = [];
    const { columns } = this;
    if (!columns || columns.newest === -Infinity) return found;
    let begin = null;
    for (let column = Math.max(this.first, columns.oldest); column <= columns.newest; column += 1) {
      if (!columns.has(column)) begin ??= column;
      else if (begin !== null) {
        found.push({ startMs: begin * this.columnMs, endMs: column * this.columnMs });
        begin = null;
      }
    }
    return found.sort((a, b) => b.endMs - b.startMs - (a.endMs - a.startMs));
  }
}

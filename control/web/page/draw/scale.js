// How large a trace is drawn: by what most of the window has, so that one glitch does not flatten it; quick to grow,
// slow to shrink, in steps that can be read.

const STEPS = [1, 1.25, 1.6, 2, 2.5, 3.2, 4, 5, 6.4, 8, 10];
const QUANTILE = 0.95;
const MARGIN = 1.25;
const SHRINK_MS = 10000; // how long a smaller scale must have been enough

/** The next larger number that is easily read. */
export function readable(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * STEPS.find((step) => step * power >= value * 0.999);
}

/** Returns `{centre, half}` of the columns from `first` to `last`, null where none has data. */
export function extent(columns, first, last) {
  const middles = [];
  for (let column = first; column <= last; column += 1) {
    if (columns.has(column)) middles.push((columns.low[columns.slot(column)] + columns.high[columns.slot(column)]) / 2);
  }
  if (!middles.length) return null;
  const centre = quantile(Float64Array.from(middles).sort(), 0.5);
  const away = [];
  for (let column = first; column <= last; column += 1) {
    if (!columns.has(column)) continue;
    const slot = columns.slot(column);
    away.push(Math.max(columns.high[slot] - centre, centre - columns.low[slot]));
  }
  return { centre, half: readable(quantile(Float64Array.from(away).sort(), QUANTILE) * MARGIN) };
}

function quantile(sorted, part) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
}

/** The scale of a trace over time. */
export class Scale {
  constructor() {
    this.centre = 0;
    this.half = null; // what half the height of the trace stands for
    this.smallerSinceMs = null;
  }

  /** Follows what `extent` found at a time in milliseconds. */
  follow(found, nowMs) {
    if (found === null) return;
    this.centre = found.centre;
    if (this.half === null || found.half > this.half) this.half = found.half;
    if (found.half === this.half) this.smallerSinceMs = null;
    else if (this.smallerSinceMs === null) this.smallerSinceMs = nowMs;
    else if (nowMs - this.smallerSinceMs >= SHRINK_MS) [this.half, this.smallerSinceMs] = [found.half, null];
  }
}

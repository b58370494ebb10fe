// What a trace is drawn from: the smallest and the largest value of each column of pixels, for as many as a window has.
//
// Columns are numbered since 1970 (`floor(ms / columnMs)`), so late and repeated data land where they belong, and
// what is missing stays empty. Numbers are doubles: a signal of some counts on an offset of 2 ** 30 is still a
// signal.

const LOST_BLOCKS = 20; // so many blocks in a row, all older than the window: the clock was set back

export class Columns {
  constructor(columnMs, count) {
    this.columnMs = columnMs;
    this.count = count;
    this.low = new Float64Array(count);
    this.high = new Float64Array(count);
    this.clear();
  }

  clear() {
    this.low.fill(NaN);
    this.high.fill(NaN);
    this.newest = -Infinity; // the number of the newest column that has data
    this.oldest = Infinity; // of the oldest one that ever had
    this.next = null; // {ms, value, column}: where a sample that follows without a gap would be
    this.lostBlocks = 0;
  }

  /** Where a column stands in the arrays. */
  slot(column) {
    return ((column % this.count) + this.count) % this.count;
  }

  /** Whether the column is one of those that are kept and has data. */
  has(column) {
    return (
      column <= this.newest &&
      column > this.newest - this.count &&
      this.low[this.slot(column)] === this.low[this.slot(column)]
    );
  }

  /** Returns the first and the last empty column of those from `first` to `last` that lie between data, or null. */
  hole(first, last) {
    let found = null;
    const end = Math.min(last, this.newest - 1);
    for (let column = Math.max(first, this.oldest + 1); column <= end; column += 1) {
      if (!this.has(column)) found = [found?.[0] ?? column, column];
    }
    return found;
  }

  /** Adds a block of either kind. */
  add(block) {
    const lastMs = block.firstMs + (1000 * (block.n - 1)) / block.perS;
    if (Math.floor(lastMs / this.columnMs) > this.newest - this.count) this.lostBlocks = 0;
    else if (++this.lostBlocks === LOST_BLOCKS) this.clear();
    if (block.isColumns) this.#addColumns(block);
    else this.#addSamples(block);
  }

  #addColumns({ firstMs, perS, n, values }) {
    const stepMs = 1000 / perS;
    for (let k = 0; k < n; k += 1) {
      const low = values[2 * k];
      // The middle of a column decides: its beginning may be a rounding away from ours.
      if (low === low) this.#merge(Math.floor((firstMs + (k + 0.5) * stepMs) / this.columnMs), low, values[2 * k + 1]);
    }
  }

  #addSamples({ firstMs, perS, n, values }) {
    const stepMs = 1000 / perS;
    let before = this.next !== null && Math.abs(firstMs - this.next.ms) < stepMs / 2 ? this.next : null;
    for (let k = 0; k < n; k += 1) {
      const value = values[k];
      const column = Math.floor((firstMs + k * stepMs) / this.columnMs);
      if (before !== null && column > before.column + 1) this.#join(before, column, value);
      this.#merge(column, value, value);
      before = { column, value };
    }
    if (n > 0) this.next = { ...before, ms: firstMs + n * stepMs };
  }

  // Draws the line between samples that are more than a column apart: there is no gap between them.
  #join(before, column, value) {
    for (let between = Math.max(before.column + 1, column - this.count); between < column; between += 1) {
      const part = (between - before.column) / (column - before.column);
      const there = before.value + (value - before.value) * part;
      this.#merge(between, there, there);
    }
  }

  #merge(column, low, high) {
    if (column > this.newest) this.#makeRoom(column);
    else if (column <= this.newest - this.count) return;
    if (column < this.oldest) this.oldest = column;
    const slot = this.slot(column);
    if (!(this.low[slot] <= low)) this.low[slot] = low; // true for NaN too
    if (!(this.high[slot] >= high)) this.high[slot] = high;
  }

  #makeRoom(column) {
    for (let empty = Math.max(this.newest + 1, column - this.count + 1); empty <= column; empty += 1) {
      this.low[this.slot(empty)] = NaN;
      this.high[this.slot(empty)] = NaN;
    }
    this.newest = column;
  }
}

// The part of a window that is older than the server's memory: columns from the archive.

import { withQuery } from "../app/address.js";
import { getBytes } from "../app/api.js";
import { blocks } from "./blocks.js";
import { isoOf } from "../dom/format.js";

const MOST_COLUMNS = 100000;
const BUSY_MS = 500; // the server makes two of them at a time
const TRIES = 20;
const SEAM_MS = 60000; // samples before live ones are as long in no file yet, at most: their records are being filled
const SEAM_AGAIN_MS = [2000, 4000, 8000, 16000, 32000];
const LAG_MS = 30000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Fills the empty columns of a block between samples of a slow stream: there is no gap between them. */
export function joinSamples({ n, perS, values }, rateHz) {
  const furthest = (1.5 * perS) / rateHz; // two samples that follow each other are at most so many columns apart
  let before = -1;
  for (let k = 0; k < n; k += 1) {
    if (Number.isNaN(values[2 * k])) continue;
    if (before >= 0 && k - before <= furthest) {
      for (let between = before + 1; between < k; between += 1) {
        const part = (between - before) / (k - before);
        const there = values[2 * before + 1] + (values[2 * k] - values[2 * before + 1]) * part;
        values.fill(there, 2 * between, 2 * between + 2);
      }
    }
    before = k;
  }
}

/** Returns the block of columns of a stream, of a sampling rate that may be unknown, from one time to another, in
 * ms. */
export async function columnsOf(id, startMs, endMs, count, { signal, rateHz = null } = {}) {
  const columns = Math.max(1, Math.min(MOST_COLUMNS, Math.round(count)));
  const path = withQuery(`streams/${encodeURIComponent(id)}/columns`, {
    start: isoOf(startMs),
    end: isoOf(endMs),
    columns,
  });
  for (let k = 0; ; k += 1) {
    try {
      const buffer = await getBytes(path, { signal });
      const block = [...blocks(buffer, () => ({ isColumns: true, isFloat: true }))][0] ?? null;
      if (block && rateHz) joinSamples(block, rateHz);
      return block;
    } catch (error) {
      if (![429, 503].includes(error.status) || k === TRIES) throw error;
      await pause(BUSY_MS);
    }
  }
}

/** Adds to a sheet what the archive has of its window, stream by stream, and later what came into it just before the
 * live samples did; ends when another window is chosen. */
export async function fillFromArchive(sheet, ids, { signal, streams }) {
  const { columnMs } = sheet;
  if (columnMs === null) return;
  const isOver = () => signal.aborted || columnMs !== sheet.columnMs;
  const fill = async (id, first, last) => {
    const rateHz = streams.get(id)?.rate_hz;
    const block = await columnsOf(id, first * columnMs, (last + 1) * columnMs, last - first + 1, { signal, rateHz });
    if (block && !isOver()) sheet.addBlock(id, block);
  };
  const begun = sheet.edge;
  for (const id of ids) {
    const slot = sheet.slots.get(id);
    if (slot?.box) await fill(id, sheet.edge - slot.box.width + 1, sheet.edge);
    if (isOver()) return;
  }
  if (sheet.endMs !== null) return;
  for (const wait of SEAM_AGAIN_MS) {
    await pause(wait);
    for (const id of ids) {
      if (isOver()) return;
      const hole = sheet.slots.get(id)?.columns?.hole(begun - Math.ceil(SEAM_MS / columnMs), begun);
      if (hole) await fill(id, ...hole);
    }
  }
}

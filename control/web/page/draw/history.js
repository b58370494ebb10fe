// The part of a window that is older than the server's memory: columns from the archive.

import { getBytes, withQuery } from "../app/api.js";
import { blocks } from "./blocks.js";
import { isoOf } from "../dom/format.js";

const MOST_COLUMNS = 100000;
const BUSY_MS = 500; // the server makes two of them at a time
const TRIES = 20;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Returns the block of columns of a stream from one time to another, in ms. */
export async function columnsOf(id, startMs, endMs, count, { signal } = {}) {
  const columns = Math.max(1, Math.min(MOST_COLUMNS, Math.round(count)));
  const path = withQuery(`streams/${encodeURIComponent(id)}/columns`, {
    start: isoOf(startMs),
    end: isoOf(endMs),
    columns,
  });
  for (let k = 0; ; k += 1) {
    try {
      const buffer = await getBytes(path, { signal });
      return [...blocks(buffer, () => ({ isColumns: true, isFloat: true }))][0] ?? null;
    } catch (error) {
      if (![429, 503].includes(error.status) || k === TRIES) throw error;
      await pause(BUSY_MS);
    }
  }
}

/** Adds to a sheet what the archive has of its window, stream by stream; ends when another window is chosen. */
export async function fillFromArchive(sheet, ids, { signal }) {
  for (const id of ids) {
    const { columnMs, edge } = sheet;
    const slot = sheet.slots.get(id);
    if (!slot?.box || columnMs === null) continue;
    const first = edge - slot.box.width + 1;
    const block = await columnsOf(id, first * columnMs, (edge + 1) * columnMs, slot.box.width, { signal });
    if (signal.aborted || columnMs !== sheet.columnMs) return;
    if (block) sheet.addBlock(id, block);
  }
}

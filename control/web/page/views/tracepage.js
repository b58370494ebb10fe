// What the pages with traces have in common: a sheet, of which a person chooses the window, the scale and the time.

import { fillFromArchive } from "../draw/history.js";
import { setText } from "../dom/h.js";

export const WINDOWS = [
  [60, "60 s"],
  [600, "10 min"],
  [3600, "1 h"],
];

/** The length of the window that an address asks for, in seconds. */
export function windowOf({ window }) {
  return WINDOWS.some(([seconds]) => seconds === Number(window)) ? Number(window) : 60;
}

/** A gain that is `by` times as large, within what makes sense. */
export const scaled = (gain, by) => Math.min(1024, Math.max(1 / 1024, gain * by));

/** A page; it has a `sheet`, `end()` that ends what it follows, and maybe `windows`, `live` samples and a `timer`. */
export class TracePage {
  close() {
    this.end();
    clearInterval(this.timer);
    this.filling?.abort();
    this.live?.close();
    this.sheet.close();
  }

  setWindow(seconds) {
    this.windows.choose(seconds);
    this.app.router.change({ window: seconds === 60 ? null : seconds });
    this.sheet.setWindow(seconds);
  }

  larger(by) {
    const gain = scaled(this.sheet.gain, by);
    this.app.router.change({ gain: gain === 1 ? null : gain });
    this.sheet.setGain(gain);
  }

  pause() {
    this.sheet.pause(this.sheet.pausedMs === null);
  }

  /** Shows the traces of streams in the rows of these. */
  placeTraces(ids) {
    for (const id of this.sheet.slots.keys()) if (!ids.includes(id)) this.sheet.remove(id);
    for (const id of ids) if (!this.sheet.slots.has(id)) this.sheet.add(id, this.rows.get(id).place);
    this.sheet.measure();
  }

  /** Fills the window of streams from the archive; an element says why that is impossible. */
  fillFrom(ids, note) {
    this.filling = new AbortController();
    const { signal } = this.filling;
    fillFromArchive(this.sheet, ids, { signal, streams: this.app.state.streams }).catch((error) => {
      if (error.name !== "AbortError") setText(note, `Older data are not shown: ${error.message}`);
    });
  }

  /** Shows the scales of the rows, and the times below them. */
  drawn() {
    this.axis.show(this.sheet.edgeMs, this.sheet.windowS);
    for (const id of this.sheet.slots.keys()) this.rows.get(id)?.scale(this.sheet.halfOf(id));
  }
}

// Live samples for a sheet: one connection, one request, blocks into the slots.

import { blocks } from "./blocks.js";

const HIDDEN_MS = 30000;
const FEW_MS = 1; // the narrowest columns that the server makes
const LONGEST_S = 3600; // of the past that it gives

export class Live {
  /** `table({streams, missing, left_out})` is called with each table. */
  constructor(app, sheet, { table = () => {} } = {}) {
    Object.assign(this, { sheet, table });
    this.streams = new Map();
    this.link = app.connect("live", {
      text: (message) => this.#text(message),
      binary: (buffer) => this.#binary(buffer),
      state: (link) => sheet.setStale(link.state !== "open"),
    });
    this.#suspendWhileHidden();
  }

  /** Asks for streams, with the window and the columns that the sheet has now. */
  want(ids) {
    if (this.sheet.columnMs === null) return; // the sheet calls `layout` when it knows
    this.link.send({
      streams: ids,
      window_s: Math.min(LONGEST_S, this.sheet.windowS),
      column_ms: Math.max(FEW_MS, this.sheet.columnMs),
    });
  }

  close() {
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.visible);
    this.link.close();
  }

  #text(message) {
    if (message.streams) {
      this.streams = new Map(
        message.streams.map((stream) => [
          stream.i,
          { id: stream.id, isColumns: stream.kind === "columns", isFloat: stream.sample_type === "float32" },
        ]),
      );
      this.table(message);
    } else if (message.problem) console.error(`/live: ${message.problem.error}`);
  }

  #binary(buffer) {
    for (const block of blocks(buffer, (i) => this.streams.get(i))) {
      this.sheet.addBlock(this.streams.get(block.i).id, block);
    }
  }

  // Nobody looks: nothing is sent. The window comes again when somebody does.
  #suspendWhileHidden() {
    this.visible = () => {
      clearTimeout(this.timer);
      if (document.hidden) this.timer = setTimeout(() => this.link.suspend(), HIDDEN_MS);
      else this.link.resume();
    };
    document.addEventListener("visibilitychange", this.visible);
  }
}

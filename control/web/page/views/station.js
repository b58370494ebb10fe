// One station: what is wrong and since when, its traces, its components with their commands, publishers and logs.

import { now } from "../app/clock.js";
import { badge } from "../dom/conditions.js";
import { duration, msOf } from "../dom/format.js";
import { choice, h, setText } from "../dom/h.js";
import { List } from "../dom/list.js";
import { stations, stationsOf } from "../dom/stations.js";
import { Live } from "../draw/live.js";
import { Sheet } from "../draw/sheet.js";
import { TimeAxis } from "../draw/timeaxis.js";
import { componentCard } from "./component.js";
import { traceRow } from "./rows.js";
import { TracePage, WINDOWS, windowOf } from "./tracepage.js";

// The server's memory begins with the first viewer; of so many streams the archive is asked for the last minute, too.
const FEW = 12;
const LOGS = 8; // so many are followed at once: each is a connection

export const open = (app, element, place) => new Station(app, element, place);

class Station extends TracePage {
  constructor(app, element, { station, query }) {
    super();
    Object.assign(this, { app, station, ids: "", keys: "" });
    this.build(element, windowOf(query));
    this.live = new Live(app, this.sheet, { table: (table) => this.showTable(table) });
    this.sheet.layout = () => this.refill();
    this.sheet.setGain(Number(query.gain) || 1);
    app.state.look({ streams: [`${station}.*`], details: this.components().map(({ key }) => key) });
    this.end = app.state.onChange(() => this.update());
    this.update();
  }

  close() {
    super.close();
    this.cards.show([]);
  }

  build(element, windowS) {
    this.mark = badge("well");
    this.since = h("span", { class: "since" });
    this.why = h("p", { class: "why" });
    const rows = h("ul", { class: "rows", "aria-label": "Traces" });
    this.axis = new TimeAxis();
    this.box = h("div", { class: "traces" }, rows, h("div", { class: "trace" }, h("span"), this.axis.element));
    this.missing = h("p", { class: "note" });
    const cards = h("div", { class: "cards" });
    this.windows = choice("Length of the window", WINDOWS, windowS, (seconds) => this.setWindow(seconds));
    element.append(
      h("div", { class: "title" }, h("h1", {}, this.station), this.mark, this.since),
      this.why,
      h("div", { class: "tools" }, this.windows),
      this.box,
      this.missing,
      cards,
    );
    this.sheet = new Sheet(this.box, { now, windowS, drawn: () => this.drawn() });
    this.rows = new List(rows, { key: ({ id }) => id, make: ({ id }) => traceRow(id) });
    this.cards = new List(cards, {
      make: (found) => componentCard(this.app, found, { hasLog: this.cards.children.size < LOGS }),
    });
  }

  components() {
    return [...this.app.state.components.values()].filter((component) => stationsOf(component).includes(this.station));
  }

  update() {
    const { state } = this.app;
    const components = this.components();
    const keys = components.map(({ key }) => key);
    if (keys.join() !== this.keys) {
      this.keys = keys.join();
      state.look({ streams: [`${this.station}.*`], details: keys });
    }
    if (!state.isThere) return;
    this.cards.show(components.map((component) => ({ ...component, detail: state.details.get(component.key) })));
    const streams = [...state.streams.values()].filter(({ station }) => station === this.station).sort(byChannel);
    this.showState(
      stations(
        components,
        streams.filter(({ number }) => number > 0),
      ).get(this.station),
    );
    this.rows.show(streams);
    this.followStreams(streams.map(({ id }) => id));
  }

  showState(found) {
    if (!found) {
      setText(this.why, "There is no such station here.");
      this.mark.hidden = true;
      return;
    }
    this.mark.hidden = false;
    this.mark.show(found.condition);
    setText(this.since, found.since ? duration((now() - msOf(found.since)) / 1000) : "");
    setText(this.why, found.sentence);
  }

  followStreams(ids) {
    if (ids.join() === this.ids) return;
    this.ids = ids.join();
    this.placeTraces(ids);
    this.refill();
  }

  refill() {
    const ids = [...this.sheet.slots.keys()];
    this.live.want(ids);
    this.filling?.abort();
    if (this.sheet.windowS <= 60 && ids.length > FEW) return;
    const archived = ids.filter((id) => this.app.state.streams.get(id)?.has_archive);
    this.fillFrom(archived, this.missing);
  }

  showTable({ missing }) {
    setText(
      this.missing,
      Object.entries(missing)
        .map(([key, reason]) => `No live traces of ${key}: ${reason}.`)
        .join(" "),
    );
  }
}

/** Vertical first, then by name: as seismograms are read; what is slower than these, such as states of health, last. */
function byChannel(a, b) {
  const rank = ({ id, rate_hz }) => {
    const isSlow = rate_hz !== null && rate_hz < 1;
    return `${isSlow ? 1 : 0}${id.slice(0, -1)}${id.endsWith("Z") ? " " : id.at(-1)}`;
  };
  return rank(a) < rank(b) ? -1 : 1;
}

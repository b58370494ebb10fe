// One trace of each station, small: does it look like ground?

import { addressWith } from "../app/address.js";
import { now } from "../app/clock.js";
import { counted, duration } from "../dom/format.js";
import { choice, filterField, h, labelled, link, setText } from "../dom/h.js";
import { List } from "../dom/list.js";
import { matcher, stationsOf } from "../dom/stations.js";
import { Live } from "../draw/live.js";
import { Sheet } from "../draw/sheet.js";
import { TimeAxis } from "../draw/timeaxis.js";
import { traceRow } from "./rows.js";
import { TracePage, WINDOWS, windowOf } from "./tracepage.js";

const A_PAGE = 300;
const BANDS = "HBESCLMNDFGVU"; // which band code is shown where a station has several: broad-band at 100 Hz first

/** A stream's rank among those of its station: vertical first, then by band, then by name. */
function rank(id) {
  const channel = id.slice(id.lastIndexOf(".") + 1);
  const band = BANDS.indexOf(channel[0]);
  return `${channel.endsWith("Z") ? 0 : 1}${String(band < 0 ? BANDS.length : band).padStart(2, "0")}${id}`;
}

/** Returns one stream of each station of components with live streams, by name. */
export function oneOfEach(components) {
  const best = new Map();
  for (const component of components) {
    if (!component.has_live) continue;
    for (const station of stationsOf(component)) {
      for (const id of component.streams) {
        if (!id.startsWith(`${station}.`)) continue;
        const before = best.get(station);
        if (!before || rank(id) < rank(before.id)) best.set(station, { station, id, component });
      }
    }
  }
  return [...best.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

export const open = (app, element, { query }) => new Traces(app, element, query);

class Traces extends TracePage {
  constructor(app, element, query) {
    super();
    Object.assign(this, { app, network: query.network ?? "", page: Math.max(1, Number(query.page) || 1), ids: "" });
    this.build(element, windowOf(query), query.filter);
    this.sheet.setGain(Number(query.gain) || 1);
    this.live = new Live(app, this.sheet, { table: (table) => this.showTable(table) });
    this.sheet.layout = () => this.live.want([...this.sheet.slots.keys()]);
    this.end = app.state.onChange(() => this.update());
    this.update();
  }

  filter() {
    this.field.focus();
  }

  build(element, windowS, filter) {
    this.field = filterField(filter, () => this.chosen());
    this.networks = h("select", { id: "network", change: () => this.chosen() }, h("option", { value: "" }, "all"));
    this.windows = choice("Length of the window", WINDOWS.slice(0, 2), windowS, (seconds) => this.setWindow(seconds));
    this.pages = h("nav", { class: "pages", "aria-label": "Pages of traces" });
    this.note = h("p", { class: "note" });
    const rows = h("ul", { class: "rows is-grid", "aria-label": "Traces" });
    this.axis = new TimeAxis();
    const axisBox = h(
      "div",
      { class: "rows is-grid", "aria-hidden": "true" },
      h("div", { class: "trace is-small" }, h("span"), this.axis.element),
    );
    const box = h("div", { class: "traces" }, rows, axisBox);
    element.append(
      h("h1", { class: "unseen" }, "Traces"),
      h(
        "div",
        { class: "tools" },
        labelled("network", this.networks),
        labelled("filter", this.field),
        this.windows,
        this.pages,
      ),
      this.note,
      box,
    );
    this.sheet = new Sheet(box, { now, windowS, drawn: () => this.drawn() });
    this.rows = new List(rows, { key: ({ id }) => id, make: ({ id }) => traceRow(id, { isSmall: true }) });
  }

  chosen() {
    this.network = this.networks.value;
    this.page = 1;
    this.app.router.change({ filter: this.field.value.trim(), network: this.network, page: null });
    this.update();
  }

  /** Turns pages. */
  next(by) {
    const page = this.page + by;
    if (page < 1 || page > this.pageCount) return;
    this.app.router.go(addressWith({ page: page === 1 ? null : page }));
  }

  update() {
    if (!this.app.state.isThere) return;
    const all = oneOfEach(this.app.state.components.values());
    this.showNetworks([...new Set(all.map(({ station }) => station.slice(0, station.indexOf("."))))]);
    const isMeant = matcher(this.field.value);
    const found = all.filter(
      ({ station }) => (!this.network || station.startsWith(`${this.network}.`)) && isMeant(station),
    );
    this.pageCount = Math.max(1, Math.ceil(found.length / A_PAGE));
    const here = found.slice((this.page - 1) * A_PAGE, this.page * A_PAGE);
    this.showPages(found.length);
    this.rows.show(here.map(({ id, component }) => ({ id, condition: component.condition, sentence: "" })));
    this.follow(here.map(({ id }) => id));
  }

  follow(ids) {
    if (ids.join() === this.ids) return;
    this.ids = ids.join();
    this.placeTraces(ids);
    this.live.want(ids);
  }

  showNetworks(networks) {
    if (this.networks.childElementCount === networks.length + 1) return;
    this.networks.replaceChildren(
      h("option", { value: "" }, "all"),
      ...networks.map((name) => h("option", { value: name }, name)),
    );
    this.networks.value = this.network;
  }

  showPages(count) {
    const text = `${this.page} of ${this.pageCount}, ${counted(count, "station")}`;
    if (this.pages.dataset.text === text) return;
    this.pages.dataset.text = text;
    const turn = (by, label, title) =>
      this.page + by >= 1 && this.page + by <= this.pageCount
        ? link(addressWith({ page: this.page + by === 1 ? null : this.page + by }), label, { "aria-label": title })
        : null;
    this.pages.replaceChildren(
      ...[turn(-1, "‹", "Page before"), h("span", {}, text), turn(1, "›", "Page after")].filter(Boolean),
    );
    setText(this.note, count ? "" : "No station here has a live publisher, or none is like that.");
  }

  showTable({ streams, left_out, missing }) {
    const without = Object.keys(missing).length;
    const kept = Math.max(...streams.map(({ history_s }) => history_s));
    const parts = [
      streams.length &&
        this.sheet.windowS > kept &&
        `the server keeps ${duration(kept)} of live streams (its option --history)`,
      left_out && `${left_out} streams are left out`,
      without && `${without} without live traces: ${Object.keys(missing)[0]}: ${Object.values(missing)[0]}`,
    ];
    if (this.ids) setText(this.note, parts.filter(Boolean).join("; "));
  }
}

// The first thing to see: is everything there, since when not, and which station is the worst, in words.

import { get } from "../app/api.js";
import { stationAddress } from "../app/address.js";
import { now } from "../app/clock.js";
import { badge, CONDITIONS, GLYPHS, classOf } from "../dom/conditions.js";
import { counted, duration, msOf, seconds } from "../dom/format.js";
import { button, choice, filterField, h, labelled, link, setAttribute, setText } from "../dom/h.js";
import { List } from "../dom/list.js";
import { Order } from "../dom/order.js";
import { compareWorst, isShared, matcher, stations } from "../dom/stations.js";
import { stationLink } from "./rows.js";

const UPDATE_MS = 1000;
const ASK_MS = 10000;
const MANY = 2000; // above so many, networks are folded

const byName = (a, b) => (a.key < b.key ? -1 : 1);
const SORTS = {
  worst: compareWorst,
  name: byName,
  latency: (a, b) => (b.latency_s ?? Infinity) - (a.latency_s ?? Infinity) || byName(a, b),
};

export const open = (app, element, { query }) => new Overview(app, element, query);

class Overview {
  constructor(app, element, query) {
    this.app = app;
    this.shown = CONDITIONS.includes(query.show) ? query.show : null;
    this.sort = SORTS[query.sort] ? query.sort : "worst";
    this.troubles = [];
    this.build(element, query.filter);
    const isBusy = () => this.lists.matches(":hover") || this.lists.contains(document.activeElement);
    this.problems = new Order({ isBusy });
    this.others = new Order({ isBusy });
    this.end = app.state.onChange(() => this.update());
    this.timer = setInterval(() => performance.now() - this.updatedMs > UPDATE_MS * 0.9 && this.update(), UPDATE_MS);
    this.asking = setInterval(() => this.ask(), ASK_MS);
    this.update();
  }

  close() {
    this.end();
    clearInterval(this.timer);
    clearInterval(this.asking);
  }

  filter() {
    this.field.focus();
  }

  build(element, filter) {
    this.counts = new Map(CONDITIONS.map((condition) => [condition, this.countButton(condition)]));
    this.said = h("p", { class: "unseen", "aria-live": "polite" });
    this.field = filterField(filter, () => this.chosen());
    const sorts = Object.keys(SORTS).map((name) => [name, name]);
    this.sorts = choice("Sort problems by", sorts, this.sort, (sort) => {
      this.sort = sort;
      this.sorts.choose(sort);
      this.chosen();
    });
    this.mistakes = h("ul", { class: "mistakes", "aria-label": "Mistakes in station files" });
    this.waiting = button("", () => this.settleNow(), { class: "waiting", hidden: true });
    this.note = h("p", { class: "note" });
    this.problemList = h("ul", { class: "problems", "aria-label": "Stations with problems" });
    this.networks = h("div", { class: "networks" });
    this.lists = h("div", {}, this.problemList, this.networks);
    element.append(
      h("h1", { class: "unseen" }, "Overview"),
      h("div", { class: "counts", role: "group", "aria-label": "Show" }, [...this.counts.values()]),
      this.said,
      h(
        "div",
        { class: "tools" },
        labelled("filter", this.field),
        h("span", { class: "field" }, "sort", this.sorts),
        this.waiting,
      ),
      this.mistakes,
      this.note,
      this.lists,
    );
    this.rows = new List(this.problemList, { make: makeRow });
    this.groups = new List(this.networks, { key: ({ name }) => name, make: makeNetwork });
  }

  countButton(condition) {
    const count = h("span", { class: "count" });
    const made = h(
      "button",
      {
        type: "button",
        class: classOf(condition),
        "aria-pressed": String(this.shown === condition),
        click: () => this.toggle(condition),
      },
      h("span", { "aria-hidden": "true", class: "glyph" }, GLYPHS[condition]),
      count,
      ` ${condition}`,
    );
    made.show = (number) => {
      setText(count, String(number));
      made.classList.toggle("is-none", number === 0);
    };
    return made;
  }

  toggle(condition) {
    this.shown = this.shown === condition ? null : condition;
    for (const [name, made] of this.counts) setAttribute(made, "aria-pressed", String(name === this.shown));
    this.chosen();
  }

  chosen() {
    this.app.router.change({
      filter: this.field.value.trim(),
      show: this.shown,
      sort: this.sort === "worst" ? null : this.sort,
    });
    this.settleNow();
  }

  settleNow() {
    this.problems.clear();
    this.others.clear();
    this.update();
  }

  // What is in no message: mistakes in station files, and which stations of a shared component have problems.
  async ask() {
    const isFirst = !this.hasAsked;
    this.hasAsked = true;
    try {
      const { mistakes } = await get("components?problems=1");
      this.mistakes.replaceChildren(...mistakes.map((line) => h("li", {}, line)));
      const isNeeded = [...this.app.state.components.values()].some(isShared);
      this.troubles = isNeeded ? (await get("streams?problems=1")).streams : [];
      if (isFirst) this.settleNow(); // what comes with the page is no change
      else this.update();
    } catch {
      // The banner says that there is no connection, a dialog that there is no token.
    }
  }

  update() {
    this.updatedMs = performance.now();
    const { state } = this.app;
    if (!state.isThere || document.hidden) return;
    if (!this.hasAsked) this.ask();
    const all = stations(state.components.values(), this.troubles);
    const isMeant = matcher(this.field.value);
    const meant = [...all.values()].filter((station) => isMeant(station.key, station.sentence));
    this.showCounts(meant);
    const chosen = meant.filter((station) => this.shown === null || station.condition === this.shown);
    const isWell = ({ condition }) => condition === "well";
    const bad = chosen.filter((station) => !isWell(station)).sort(SORTS[this.sort]);
    const well = chosen.filter(isWell).sort(byName);
    const problems = this.problems.settle(bad.map(({ key }) => key)).filter((key) => all.has(key));
    const others = this.others.settle(well.map(({ key }) => key)).filter((key) => all.has(key));
    this.rows.show(problems.map((key) => all.get(key)));
    this.showNetworks(others.filter((key) => !this.rows.get(key)).map((key) => all.get(key)));
    this.waiting.hidden = !this.problems.isWaiting && !this.others.isWaiting;
    if (!this.waiting.hidden) setText(this.waiting, "states have changed: sort now");
    setText(this.note, this.remark(all.size, chosen.length));
  }

  remark(all, chosen) {
    if (all === 0)
      return "No component is known here: a station file says what there is, control-rawdaq init writes one.";
    return chosen === 0 ? "No station is like that." : "";
  }

  showCounts(found) {
    const counts = CONDITIONS.map((name) => [name, found.filter(({ condition }) => condition === name).length]);
    for (const [condition, count] of counts) this.counts.get(condition).show(count);
    const bad = counts.filter(([condition, count]) => condition !== "well" && count);
    const said = bad.map(([condition, count]) => `${count} ${condition}`);
    setText(this.said, said.join(", ") || `all ${counted(found.length, "station")} well`);
  }

  showNetworks(found) {
    const networks = new Map();
    for (const station of found) {
      if (!networks.has(station.network)) networks.set(station.network, { name: station.network, stations: [] });
      networks.get(station.network).stations.push(station);
    }
    const isFolded = found.length > MANY;
    this.groups.show(
      [...networks.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map((one) => ({ ...one, isFolded })),
    );
  }
}

/** A station with a problem: what it is, since when, and why. */
function makeRow(station) {
  const mark = badge(station.condition);
  const since = h("span", { class: "since" });
  const why = h("span", { class: "why" });
  const anchor = link(stationAddress(station.key), "", { "data-row": true });
  anchor.append(mark, h("span", { class: "name" }, station.key), since, why);
  const row = h("li", {}, anchor);
  row.show = (found) => {
    mark.show(found.condition);
    setText(since, found.since ? duration((now() - msOf(found.since)) / 1000) : "");
    setText(why, found.sentence || (found.condition === "well" ? "well again" : ""));
  };
  return row;
}

/** A network: its stations as tiles. */
function makeNetwork({ name }) {
  const count = h("span", { class: "count" });
  const tiles = h("ul", { class: "tiles" });
  const group = h("details", { class: "network" }, h("summary", {}, h("h2", {}, name), count), tiles);
  const list = new List(tiles, { make: makeTile });
  let wasFolded = null;
  let latest = [];
  group.show = ({ stations: found, isFolded }) => {
    if (isFolded !== wasFolded) group.open = !isFolded;
    wasFolded = isFolded;
    latest = found;
    setText(count, counted(found.length, "station"));
    list.show(group.open ? found : []);
  };
  group.addEventListener("toggle", () => group.open && list.show(latest));
  return group;
}

function makeTile(station) {
  const latency = h("span", { class: "latency" });
  const tile = stationLink(station, latency);
  const { show } = tile;
  tile.show = (found) => {
    show(found);
    setText(latency, found.latency_s === null ? "" : seconds(found.latency_s));
  };
  return tile;
}

// Stations on a map, coloured by their condition; a click opens one.

import { button, h, setAttribute, setText, svg } from "../dom/h.js";
import { List } from "../dom/list.js";
import { stations } from "../dom/stations.js";
import { MapFrame, together } from "../draw/projection.js";
import { stationLink } from "./rows.js";

const NAMED = 80; // so many stations have their names beside them
const STEP = 0.2;

export const open = (app, element, { query }) => new StationMap(app, element, query);

/** `lat,lon,span` of an address as a frame, null where it has none. */
function frameOf(text) {
  const numbers = (text ?? "").split(",").map(Number);
  if (numbers.length !== 3 || !numbers.every(Number.isFinite) || !(numbers[2] > 0)) return null;
  const [latitude, longitude, span] = numbers;
  return new MapFrame({ latitude, longitude, span });
}

class StationMap {
  constructor(app, element, query) {
    this.app = app;
    this.frame = frameOf(query.at);
    this.build(element);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.box);
    this.end = app.state.onChange(() => this.update());
    this.aborter = new AbortController();
    this.loadCoast();
    this.update();
  }

  close() {
    this.end();
    this.observer.disconnect();
    this.aborter.abort();
  }

  build(element) {
    this.coast = svg("g", { class: "coast" });
    this.picture = svg("svg", { "aria-hidden": "true" }, this.coast);
    this.points = h("ul", { class: "points", "aria-label": "Stations on the map" });
    this.box = h("div", { class: "map" }, this.picture, this.points);
    this.note = h("p", { class: "note" });
    element.append(
      h("h1", { class: "unseen" }, "Map"),
      h(
        "div",
        { class: "tools" },
        button("+", () => this.larger(2), { "aria-label": "Closer" }),
        button("−", () => this.larger(0.5), { "aria-label": "Farther" }),
        [
          ["←", "West", STEP, 0],
          ["→", "East", -STEP, 0],
          ["↑", "North", 0, STEP],
          ["↓", "South", 0, -STEP],
        ].map(([text, label, dx, dy]) => button(text, () => this.move(dx, dy), { "aria-label": label })),
        button("all", () => this.fit()),
      ),
      this.note,
      this.box,
    );
    this.list = new List(this.points, { make: (station) => stationLink(station) });
    this.dragging();
    this.box.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.larger(event.deltaY < 0 ? 1.25 : 0.8);
      },
      { passive: false },
    );
  }

  dragging() {
    let from = null;
    this.picture.addEventListener("pointerdown", (event) => {
      from = [event.clientX, event.clientY];
      this.picture.setPointerCapture(event.pointerId);
    });
    this.picture.addEventListener("pointermove", ({ clientX, clientY }) => {
      if (!from) return;
      this.frame?.move((clientX - from[0]) / this.box.clientWidth, (clientY - from[1]) / this.box.clientHeight);
      from = [clientX, clientY];
      this.draw();
    });
    const end = () => {
      if (from) this.remember();
      from = null;
    };
    this.picture.addEventListener("pointerup", end);
    this.picture.addEventListener("pointercancel", end);
  }

  // Three times, side by side, so that a map across 180 degrees has both coasts.
  async loadCoast() {
    try {
      const response = await fetch("/page/coastline.json", { signal: this.aborter.signal });
      const { lines, per_degree: perDegree } = await response.json();
      const d = lines.map(pathOf).join("");
      this.coast.append(
        ...[-360, 0, 360].map((turn) => svg("path", { d, transform: `translate(${turn} 0) scale(${1 / perDegree})` })),
      );
    } catch (error) {
      if (error.name !== "AbortError")
        setText(this.note, "The coastline cannot be read; stations stand where they are.");
    }
  }

  update() {
    const all = [...stations(this.app.state.components.values()).values()];
    const known = all.filter((station) => placeOf(station));
    const longitudes = together(known.map((station) => placeOf(station).longitude_deg));
    this.known = known
      .map((station, k) => ({ ...station, longitude: longitudes[k], latitude: placeOf(station).latitude_deg }))
      .sort((a, b) => a.number - b.number || (a.key < b.key ? -1 : 1)); // the worst lie on top
    this.points.classList.toggle("is-named", known.length <= NAMED);
    this.list.show(this.known);
    const without = all.length - known.length;
    const some = without ? `${without} without coordinates` : "";
    const none = "No station here has coordinates: its station file, or a StationXML file beside it, gives them.";
    if (this.app.state.isThere) setText(this.note, known.length ? some : none);
    if (!this.frame && known.length) this.fit();
    else this.draw();
  }

  get ratio() {
    return this.box.clientWidth / Math.max(1, this.box.clientHeight);
  }

  fit() {
    if (!this.known?.length) return;
    this.frame = MapFrame.around(
      this.known.map(({ longitude, latitude }) => [longitude, latitude]),
      this.ratio,
    );
    this.app.router.change({ at: null });
    this.draw();
  }

  larger(by) {
    this.frame?.zoom(by);
    this.remember();
    this.draw();
  }

  move(dx, dy) {
    this.frame?.move(dx, dy);
    this.remember();
    this.draw();
  }

  remember() {
    if (!this.frame) return;
    const { latitude, longitude, span } = this.frame;
    this.app.router.change({ at: [latitude.toFixed(3), longitude.toFixed(3), span.toPrecision(3)].join() });
  }

  draw() {
    if (!this.frame || !this.box.clientWidth) return;
    this.frame.ratio = this.ratio;
    setAttribute(this.coast, "transform", this.frame.transform(this.box.clientWidth, this.box.clientHeight));
    for (const { key, longitude, latitude } of this.known) {
      const [x, y] = this.frame.place(longitude, latitude);
      const { style } = this.list.get(key);
      style.left = `${(x * 100).toFixed(3)}%`;
      style.top = `${(y * 100).toFixed(3)}%`;
    }
  }
}

const placeOf = ({ components }) => components.find(({ coordinates }) => coordinates)?.coordinates;

const pathOf = ([x, y, ...rest]) => `M${x} ${y}${rest.length ? `l${rest.join(" ")}` : ""}`;

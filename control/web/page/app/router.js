// Shows the view that the address names. Links within the page change the address, not the document.

import { addressWith, placeOf } from "./address.js";
import { h, setAttribute } from "../dom/h.js";

const LOADERS = {
  overview: () => import("../views/overview.js"),
  station: () => import("../views/station.js"),
  stream: () => import("../views/stream.js"),
  helicorder: () => import("../views/helicorder.js"),
  traces: () => import("../views/traces.js"),
  map: () => import("../views/map.js"),
  readers: () => import("../views/readers.js"),
  logs: () => import("../views/logs.js"),
};

export class Router {
  constructor(app, element) {
    Object.assign(this, { app, element });
    this.current = null;
    addEventListener("popstate", () => this.open());
    document.addEventListener("click", (event) => this.#clicked(event));
  }

  /** Loads what the address needs, to have it when there is something to show. */
  prepare() {
    LOADERS[placeOf(location).view]?.();
  }

  /** Goes to an address. */
  go(address) {
    history.pushState(null, "", address);
    this.open({ isNew: true });
  }

  /** Changes parameters of the address of here; the view shows them already. */
  change(parameters) {
    history.replaceState(null, "", addressWith(parameters));
  }

  /** Shows the view of the address that the browser shows. */
  async open({ isNew = false } = {}) {
    const place = placeOf(location);
    const loading = (this.loading = LOADERS[place.view]?.());
    const module = await loading;
    if (loading !== this.loading) return; // meanwhile another one was asked for
    this.current?.close?.();
    this.app.state.look({});
    this.element.replaceChildren();
    this.current = module ? module.open(this.app, this.element, place) : nothing(this.element);
    setAttribute(this.element, "class", `view-${place.view}`);
    for (const link of document.querySelectorAll("nav a[data-view]")) {
      setAttribute(link, "aria-current", link.dataset.view === place.view ? "page" : null);
    }
    if (isNew) {
      scrollTo(0, 0);
      this.element.focus({ preventScroll: true });
    }
  }

  #clicked(event) {
    const anchor = event.target.closest?.("a[href]");
    const isOther = event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (!anchor || isOther || event.defaultPrevented || anchor.target || anchor.hasAttribute("download")) return;
    const address = new URL(anchor.href);
    if (address.origin !== location.origin || address.hash) return;
    event.preventDefault();
    this.go(address.pathname + address.search);
  }
}

function nothing(element) {
  element.append(h("h1", {}, "There is no such page"), h("p", {}, "The overview has a way to all that there is."));
  return {};
}

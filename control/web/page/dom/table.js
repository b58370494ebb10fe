// A table whose rows follow a list. It scrolls in a region of its own, which the keyboard reaches.

import { h, setText } from "./h.js";
import { List } from "./list.js";

/** `columns` are `{title, text(item), cell?(item), isNumber?}`; `cell` makes an element once, whose `show(item)` is
 * called. `options` are those of `List` beside `make`. */
export class Table {
  constructor(label, columns, options = {}) {
    const head = columns.map(({ title, isNumber }) =>
      h("th", { scope: "col", class: isNumber ? "number" : null }, title),
    );
    const body = h("tbody");
    const table = h("table", {}, h("caption", { class: "unseen" }, label), h("thead", {}, h("tr", {}, head)), body);
    this.element = h("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": label }, table);
    const make = (item) => {
      const cells = columns.map((column) => this.#cell(column, item));
      const row = h("tr", {}, cells);
      row.show = (now) => cells.forEach((cell) => cell.show(now));
      return row;
    };
    this.list = new List(body, { ...options, make });
  }

  #cell({ text, cell, isNumber }, item) {
    const element = h("td", { class: isNumber ? "number" : null });
    const inner = cell?.(item);
    if (inner) element.append(inner);
    element.show = (now) => (inner ? inner.show?.(now) : setText(element, text(now)));
    return element;
  }

  show(items) {
    this.list.show(items);
  }
}

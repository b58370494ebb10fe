// Who reads: publishers with their readers, what waits for them, and what they lost.

import { get } from "../app/api.js";
import { stationAddress } from "../app/address.js";
import { say } from "../app/banner.js";
import { badge } from "../dom/conditions.js";
import { facts } from "../dom/facts.js";
import { plain } from "../dom/format.js";
import { button, h, link } from "../dom/h.js";
import { Order } from "../dom/order.js";
import { Table } from "../dom/table.js";

const bySize = (a, b) => b.dropped - a.dropped || b.readers - a.readers || (a.key < b.key ? -1 : 1);

const COLUMNS = [
  { title: "component", cell: ({ title, station }) => link(stationAddress(station), title, { "data-row": true }) },
  { title: "state", cell: ({ condition }) => following(badge(condition)) },
  { title: "publishers", text: ({ publishers }) => plain(publishers.join(", ")) },
  { title: "readers", text: ({ readers }) => plain(readers), isNumber: true },
  { title: "waiting", text: ({ waiting }) => plain(waiting), isNumber: true },
  { title: "dropped", text: ({ dropped }) => plain(dropped), isNumber: true },
  {
    title: "who",
    cell: ({ key, title }) => button("show", () => showDetail(key), { "aria-label": `Show the readers of ${title}` }),
  },
];

function following(mark) {
  const { show } = mark;
  mark.show = ({ condition }) => show(condition);
  return mark;
}

async function showDetail(key) {
  const place = document.getElementById("reader-detail");
  try {
    const { title, publisher_list } = await get(`components/${encodeURIComponent(key)}`);
    const parts = publisher_list.map(({ name, class_name, address, readers, dropped, more }) => [
      h("h3", {}, `${name}: ${class_name}`),
      facts({ address, readers, dropped, ...more }),
    ]);
    place.replaceChildren(h("h2", {}, `Publishers of ${title}`), ...parts.flat());
    place.scrollIntoView({ block: "nearest" });
  } catch (error) {
    say(error.message, { isError: true });
  }
}

export function open(app, element) {
  const table = new Table("Readers of each component, with the most dropped first", COLUMNS);
  const { element: region } = table;
  element.append(
    h("h1", {}, "Readers"),
    region,
    h("section", { id: "reader-detail", "aria-label": "Publishers of a component" }),
  );
  const order = new Order({ isBusy: () => region.matches(":hover") || region.contains(document.activeElement) });
  const update = () => {
    const { components, isThere } = app.state;
    if (!isThere) return;
    const found = [...components.values()].filter(({ publishers }) => publishers.length).sort(bySize);
    table.show(
      order
        .settle(found.map(({ key }) => key))
        .map((key) => components.get(key))
        .filter(Boolean),
    );
  };
  const end = app.state.onChange(update);
  update();
  return { close: end };
}

// A component on the page of its station: state, connections, publishers, commands, the end of its log.

import { logAddress } from "../app/address.js";
import { commandButtons } from "../app/commands.js";
import { badge } from "../dom/conditions.js";
import { facts, pairs } from "../dom/facts.js";
import { bytes, counted, duration, plain } from "../dom/format.js";
import { h, link, setText } from "../dom/h.js";
import { Table } from "../dom/table.js";
import { LogTail } from "./logtail.js";

const LAST_LINES = 20;

const PUBLISHER_COLUMNS = [
  { title: "publisher", text: ({ name }) => name },
  { title: "class", text: ({ class_name }) => class_name },
  { title: "state", text: ({ state, reason, problem }) => [state, reason, problem].filter(Boolean).join(": ") },
  { title: "where", text: ({ address, folder }) => plain(address ?? folder) },
  { title: "readers", text: ({ readers }) => plain(readers), isNumber: true },
  { title: "delivered", text: ({ delivered }) => plain(delivered), isNumber: true },
  {
    title: "waiting",
    text: ({ waiting, waiting_bytes }) => (waiting ? `${waiting} (${bytes(waiting_bytes)})` : "0"),
    isNumber: true,
  },
  { title: "dropped", text: ({ dropped }) => plain(dropped), isNumber: true },
];

/** A card; `show({...component, detail})` brings it up to date, `close()` ends what it follows: its log. */
export function componentCard(app, first, { hasLog = true } = {}) {
  const mark = badge(first.condition);
  const state = h("span", { class: "since" });
  const commands = commandButtons();
  const problems = h("ul", { class: "problems-of" });
  const endpoints = h("ul", { class: "endpoints" });
  const publishers = new Table(`Publishers of ${first.title}`, PUBLISHER_COLUMNS, { key: ({ name }) => name });
  const more = h("div");
  const log = hasLog && new LogTail(app, first.key, { label: `End of the log of ${first.title}`, lines: LAST_LINES });
  const card = h(
    "section",
    { class: "card", "aria-label": `Component ${first.title}` },
    h("div", { class: "title" }, h("h2", {}, first.title), mark, state, commands),
    problems,
    endpoints,
    publishers.element,
    h("details", {}, h("summary", { "aria-label": `all it says: ${first.title}` }, "all it says"), more),
    h("div", { class: "title" }, h("h3", {}, "log"), link(logAddress(first.key), "all of it")),
    hasLog ? log.element : null,
  );
  let shown = "";
  card.show = (component) => {
    mark.show(component.condition);
    setText(state, describe(component));
    commands.show(component);
    const { detail } = component;
    publishers.element.hidden = !detail?.publisher_list.length;
    const text = JSON.stringify([
      component.problems,
      detail?.endpoints,
      detail?.receiver_more,
      detail?.journal,
      detail?.disks,
    ]);
    if (detail) publishers.show(detail.publisher_list);
    if (text === shown) return;
    shown = text;
    problems.replaceChildren(...component.problems.map((line) => h("li", {}, line)));
    // What is wrong with a connection is said above already.
    const isSaid = ({ address }) => component.problems.some((problem) => problem.includes(address));
    const others = (detail?.endpoints ?? []).filter((endpoint) => !isSaid(endpoint));
    const lines = [...others.map(connection), ...Object.entries(detail?.disks ?? {}).map(lasting)];
    endpoints.replaceChildren(...lines.map((line) => h("li", {}, line)));
    more.replaceChildren(...(detail ? everything(component, detail) : []));
  };
  card.close = () => hasLog && log.close();
  return card;
}

function describe({ state, uptime_s, streams, readers, dropped }) {
  const uptime = uptime_s === null ? "" : ` for ${duration(uptime_s)}`;
  return `${state}${uptime}, ${counted(streams.length, "stream")}, ${counted(readers, "reader")}, ${dropped} dropped`;
}

function connection({ address, connected, last_failure }) {
  if (connected === null) return address;
  return connected ? `${address} connected` : `${address} not connected${last_failure ? `: ${last_failure}` : ""}`;
}

/** How long a disk lasts, in words. */
function lasting([
  name,
  { path, size_bytes: size, free_bytes: free, grows_bytes_per_day: grows, left_s: left, failure },
]) {
  if (failure) return `${name}: ${failure}`;
  const rest = left === null ? "" : `, full in ${duration(left)}`;
  const growth = grows ? `, grows ${bytes(grows)} a day` : "";
  return `${name}: ${path}, ${bytes(free)} of ${bytes(size)} free${growth}${rest}`;
}

function everything(
  { file, pid, group, receiver, asked, answer_s },
  { receiver_more, journal, endpoints, publisher_list },
) {
  const known = {
    receiver,
    "station file": file,
    process: pid,
    group,
    "asked last": asked,
    "answered in": answer_s && `${(answer_s * 1000).toFixed(1)} ms`,
  };
  const parts = [pairs(Object.entries(known).map(([name, value]) => [name, plain(value)])), facts(receiver_more)];
  for (const endpoint of endpoints)
    if (Object.keys(endpoint.more).length) parts.push(h("h3", {}, endpoint.address), facts(endpoint.more));
  for (const { name, more } of publisher_list) if (Object.keys(more).length) parts.push(h("h3", {}, name), facts(more));
  if (journal) parts.push(h("h3", {}, "journal"), facts(journal));
  return parts;
}

// A log, or where there is none in the address, which logs there are and what has happened on this machine.

import { get } from "../app/api.js";
import { logAddress, stationAddress, withQuery } from "../app/address.js";
import { say } from "../app/banner.js";
import { badge } from "../dom/conditions.js";
import { button, h, labelled, link, setText } from "../dom/h.js";
import { List } from "../dom/list.js";
import { LogTail } from "./logtail.js";

const LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR"];
const LINES = 200;
const SHOWN_EVENTS = 50;

export function open(app, element, { key, query }) {
  if (!key) return openIndex(app, element);
  const view = new Log(app, element, key, query);
  return { close: () => view.tail.close(), filter: () => view.find.focus() };
}

class Log {
  constructor(app, element, key, query) {
    Object.assign(this, { app, key });
    const level = LEVELS.includes(query.level) ? query.level : "INFO";
    this.before = undefined;
    this.level = h(
      "select",
      { id: "level", change: () => this.setLevel() },
      LEVELS.map((name) => h("option", { value: name, selected: name === level }, name)),
    );
    this.find = h("input", { type: "search", id: "find", value: query.find ?? "", input: () => this.setFind() });
    this.follow = h("input", {
      type: "checkbox",
      id: "follow",
      checked: query.follow !== "0",
      change: () => this.setFollow(),
    });
    this.older = button("older lines", () => this.readOlder());
    this.tail = new LogTail(app, key, {
      label: `Log of ${key}`,
      lines: LINES,
      level,
      accept: ({ text }) => text.toLowerCase().includes(this.find.value.toLowerCase()),
    });
    this.tail.element.classList.add("is-tall");
    this.tail.follow(this.follow.checked);
    const station = key.split(".").slice(0, 2).join(".");
    element.append(
      h("div", { class: "title" }, h("h1", {}, "Log of ", link(stationAddress(station), key))),
      h(
        "div",
        { class: "tools" },
        labelled("level", this.level),
        labelled("find", this.find),
        h("label", { class: "check" }, this.follow, "follow"),
        this.older,
        button("copy", () => this.copy()),
      ),
      this.tail.element,
    );
  }

  setLevel() {
    this.before = undefined;
    this.older.disabled = false;
    this.tail.begin(this.level.value);
    this.app.router.change({ level: this.level.value === "INFO" ? null : this.level.value });
  }

  setFind() {
    this.tail.again();
    this.app.router.change({ find: this.find.value });
  }

  setFollow() {
    this.tail.follow(this.follow.checked);
    this.app.router.change({ follow: this.follow.checked ? null : "0" });
  }

  // Where the past begins is found with the first request: it gives the lines that are shown, and where these begin.
  async readOlder() {
    const path = `components/${encodeURIComponent(this.key)}/log`;
    const level = this.level.value;
    this.older.disabled = true;
    try {
      if (this.before === undefined) {
        const shown = Math.max(1, Math.min(1000, this.tail.lines.length));
        this.before = (await get(withQuery(path, { lines: shown, level }))).before;
      }
      if (this.before !== null) {
        const { lines, before } = await get(withQuery(path, { lines: LINES, level, before: this.before }));
        this.follow.checked = false;
        this.setFollow();
        this.before = before;
        this.tail.prepend(lines);
      }
    } catch (error) {
      say(error.message, { isError: true });
    }
    this.older.disabled = this.before === null;
    setText(this.older, this.before === null ? "no older lines" : "older lines");
  }

  async copy() {
    const lines = this.tail.lines.filter(this.tail.accept);
    const text = lines.map(({ time, level, text: words }) => [time, level, words].filter(Boolean).join(" ")).join("\n");
    await copyText(text, `${lines.length} lines copied`);
  }
}

/** Copies a text; says so, or why not. */
export async function copyText(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    say(done);
  } catch {
    say("The browser does not let this page copy: it does so only on this machine, or over https.", { isError: true });
  }
}

function openIndex(app, element) {
  const logs = h("ul", { class: "plain columns" });
  const events = h("ol", { class: "events" });
  const nothing = h("p", { class: "note", hidden: true }, "No state has changed since this server was started.");
  element.append(
    h("h1", { class: "unseen" }, "Logs"),
    h("h2", {}, "What has happened"),
    nothing,
    events,
    h("h2", {}, "All logs"),
    logs,
  );
  const list = new List(logs, { make: ({ key }) => h("li", {}, link(logAddress(key), key, { "data-row": true })) });
  const eventList = new List(events, { key: ({ serial }) => serial, make: eventElement });
  let past = null; // until the server has answered
  const update = () => {
    list.show([...app.state.components.values()].sort((a, b) => (a.key < b.key ? -1 : 1)));
    const known = new Map([...(past ?? []), ...app.state.events].map((event) => [event.serial, event]));
    eventList.show([...known.values()].sort((a, b) => b.serial - a.serial).slice(0, SHOWN_EVENTS));
    nothing.hidden = past === null || known.size > 0;
  };
  get("events")
    .then((found) => {
      past = found.events.slice(-SHOWN_EVENTS);
      update();
    })
    .catch((error) => say(error.message, { isError: true }));
  const end = app.state.onChange(update);
  update();
  return { close: end };
}

function eventElement({ time, component, title, condition, before, sentence }) {
  return h(
    "li",
    {},
    h("span", { class: "time" }, time.slice(0, 19).replace("T", " ")),
    badge(condition),
    link(logAddress(component), title),
    h("span", { class: "why" }, sentence || (before ? `was ${before}` : "")),
  );
}

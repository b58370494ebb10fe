// The end of a log, and what is added to it.

import { h, setText } from "../dom/h.js";

const MOST_LINES = 5000;

/** A line: time in UTC, level as a word, and the text; what a device wrote is only ever text. */
export function lineElement({ time, level, logger, text }) {
  return h(
    "li",
    { class: level ? `level-${level.toLowerCase()}` : "level-none" },
    h("span", { class: "time" }, time ? time.slice(0, 23).replace("T", " ") : ""),
    h("span", { class: "level" }, level ?? ""),
    h("span", { class: "text", title: logger }, text),
  );
}

export class LogTail {
  /** `accept(line)` says which lines are shown. */
  constructor(app, key, { label, lines, level = "DEBUG", accept = () => true }) {
    Object.assign(this, { key, accept, lineCount: lines });
    this.lines = [];
    this.list = h("ol", { class: "log" });
    this.note = h("p", { class: "note" });
    this.element = h(
      "div",
      { class: "log-box", tabindex: "0", role: "region", "aria-label": label },
      this.note,
      this.list,
    );
    this.isFollowing = true;
    this.link = app.connect(`log/${encodeURIComponent(key)}`, {
      text: (message) => this.#message(message),
      state: (link) => this.#state(link),
    });
    this.begin(level);
  }

  /** Begins anew, with lines of a level and above. */
  begin(level) {
    this.link.send({ lines: this.lineCount, level });
    this.isNew = true;
  }

  close() {
    this.link.close();
  }

  #state(link) {
    if (link.state === "open") this.isNew = true; // the request was sent again, so all lines come again
    if (link.state === "gone") setText(this.note, `There is no component ${this.key}.`);
  }

  #message({ lines, note, skipped, problem }) {
    if (problem) {
      setText(this.note, problem.error);
      return;
    }
    if (this.isNew) this.#clear();
    if (note) setText(this.note, note);
    if (skipped)
      this.#append([
        { time: null, level: null, logger: null, text: `… ${skipped} lines came too fast and were left out …` },
      ]);
    this.#append(lines);
  }

  #clear() {
    this.isNew = false;
    this.lines = [];
    this.list.replaceChildren();
    setText(this.note, "");
  }

  #append(lines) {
    this.lines.push(...lines);
    this.list.append(...lines.filter(this.accept).map(lineElement));
    const tooMany = this.lines.length - MOST_LINES;
    if (tooMany > 0) this.lines.splice(0, tooMany);
    while (this.list.childElementCount > MOST_LINES) this.list.firstElementChild.remove();
    this.scroll();
  }

  /** Puts lines of the past before the others. */
  prepend(lines) {
    const { scrollHeight } = this.element;
    this.lines.unshift(...lines);
    this.list.prepend(...lines.filter(this.accept).map(lineElement));
    this.element.scrollTop += this.element.scrollHeight - scrollHeight;
  }

  /** Shows the lines again, because other ones are accepted. */
  again() {
    this.list.replaceChildren(...this.lines.filter(this.accept).map(lineElement));
    this.scroll();
  }

  follow(isFollowing) {
    this.isFollowing = isFollowing;
    this.scroll();
  }

  scroll() {
    if (this.isFollowing) this.element.scrollTop = this.element.scrollHeight;
  }
}

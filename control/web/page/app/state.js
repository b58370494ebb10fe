// What is known of the components and streams, kept up to date by `/changes`.

import { learn } from "./clock.js";

/** Objects by name, of which messages change some keys. */
class Known extends Map {
  constructor(key) {
    super();
    this.key = key;
  }

  change(objects, isAll) {
    if (isAll) this.clear();
    for (const object of objects) {
      const name = object[this.key];
      this.set(name, { ...this.get(name), ...object });
    }
  }
}

const EVENTS = 500;

export class State {
  constructor(connect) {
    this.components = new Known("key");
    this.streams = new Known("id");
    this.details = new Known("key");
    this.events = [];
    this.isThere = false;
    this.listeners = new Set();
    this.stateListeners = new Set();
    this.link = connect("changes", {
      text: (message) => this.#changed(message),
      state: () => this.stateListeners.forEach((listener) => listener(this.link)),
    });
    this.look({});
  }

  /** Says what is looked at: patterns of streams, and keys of components of which everything is wanted. */
  look({ streams = [], details = [] }) {
    const request = { components: ["*"], streams, details: details.slice(0, 16) };
    this.wanted = request;
    // A view that closes and one that opens ask in the same turn: the server is asked once.
    queueMicrotask(() => this.wanted && this.#ask(this.wanted));
  }

  #ask(request) {
    this.wanted = null;
    const text = JSON.stringify(request);
    if (text === this.asked) return;
    this.asked = text;
    this.details.clear();
    this.streams.clear();
    this.isWaiting = true; // what still comes is for the request before
    this.link.send(request);
  }

  /** Calls back after each change; returns what ends that. */
  onChange(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  #changed(message) {
    if (message.problem) {
      console.error(`/changes: ${message.problem.error}`);
      return;
    }
    learn(message.time);
    if (this.isWaiting && !message.is_all) return;
    this.isWaiting = false;
    this.components.change(message.components, message.is_all);
    this.streams.change(message.streams, message.is_all);
    this.details.change(message.details, message.is_all);
    message.gone.forEach((key) => this.components.delete(key));
    message.gone_streams.forEach((id) => this.streams.delete(id));
    const last = this.events.at(-1)?.serial ?? -1;
    this.events.push(...message.events.filter((event) => event.serial > last || message.is_all));
    this.events.splice(0, this.events.length - EVENTS);
    this.isThere = true;
    this.listeners.forEach((listener) => listener(message));
  }
}

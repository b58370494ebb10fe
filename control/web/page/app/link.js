// A WebSocket that comes back: the token first, then what is wanted, and both again after each loss.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10000;

/** What the server's close codes mean for us; all others are tried again. */
const FINAL = { 4401: "refused", 4404: "gone" };

/** Closes a connection; one that is still being made as soon as it is, since browsers call anything else an error. */
function leave(socket) {
  if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
  else socket?.close();
}

export class Link {
  /** `on` has the functions `text(object)`, `binary(buffer)` and `state(link)`; `silenceMs` ends a connection without
   * data. */
  constructor(path, token, on, { silenceMs = null } = {}) {
    Object.assign(this, { path, token, on, silenceMs });
    this.state = "connecting"; // open, lost, refused, gone, suspended, closed
    this.lostMs = null;
    this.retryMs = null;
    this.tries = 0;
    this.request = null;
    this.online = () => this.state === "lost" && this.retry();
    addEventListener("online", this.online);
    this.#connect();
  }

  /** Sends what is wanted, now and after each new connection. */
  send(request) {
    this.request = request;
    if (this.state === "open") this.socket.send(JSON.stringify(request));
  }

  /** Tries to connect at once. */
  retry() {
    clearTimeout(this.timer);
    this.#connect();
  }

  suspend() {
    this.#end("suspended");
  }

  resume() {
    if (this.state === "suspended") this.#connect();
  }

  close() {
    removeEventListener("online", this.online);
    this.#end("closed");
  }

  #end(state) {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    this.state = state;
    leave(this.socket);
    this.socket = null;
  }

  #connect() {
    const address = new URL(`/api/v1/${this.path}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify({ token: this.token() }));
    socket.onmessage = ({ data }) => socket === this.socket && this.#message(data);
    socket.onclose = ({ code }) => socket === this.socket && this.#closed(code);
    if (this.state === "suspended") this.#become("connecting");
    this.socket = socket;
    this.#listen();
  }

  #message(data) {
    this.#listen();
    if (typeof data !== "string") {
      this.on.binary?.(data);
      return;
    }
    const message = JSON.parse(data);
    if (message.welcome) this.#welcomed(message.welcome);
    else this.on.text?.(message);
  }

  #welcomed(welcome) {
    this.tries = 0;
    this.lostMs = null;
    this.welcome = welcome;
    if (this.request) this.socket.send(JSON.stringify(this.request));
    this.#become("open");
  }

  #closed(code) {
    clearTimeout(this.silence);
    this.socket = null;
    this.lostMs ??= Date.now();
    if (FINAL[code]) {
      this.#become(FINAL[code]);
      return;
    }
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.tries);
    const waitMs = longest * (0.5 + Math.random() / 2);
    this.tries += 1;
    this.retryMs = Date.now() + waitMs;
    this.timer = setTimeout(() => this.#connect(), waitMs);
    this.#become("lost");
  }

  // A network that is gone closes nothing: silence does.
  #listen() {
    clearTimeout(this.silence);
    if (this.silenceMs === null) return;
    const { socket } = this;
    this.silence = setTimeout(() => {
      socket.close();
      if (socket === this.socket) this.#closed(1006);
    }, this.silenceMs);
  }

  #become(state) {
    this.state = state;
    this.on.state?.(this);
  }
}

// The page begins here: the token, the connection that brings what changes, and the view that the address names.

import { showBanner, showStatus } from "./app/banner.js";
import { askToken } from "./app/dialogs.js";
import { listenToKeys } from "./app/keys.js";
import { Link } from "./app/link.js";
import { Router } from "./app/router.js";
import { State } from "./app/state.js";
import { takeToken, token } from "./app/token.js";

const SILENCE_MS = 45000; // components are asked every 10 s at least, and their answers change

takeToken();

const app = {
  /** Opens one of the server's WebSockets. */
  connect: (path, on, options) => new Link(path, token, { ...on, state: (link) => linkChanged(link, on) }, options),
};

function linkChanged(link, on) {
  on.state?.(link);
  if (link.state === "refused") askToken(() => location.reload());
}

app.state = new State((path, on) => app.connect(path, on, { silenceMs: SILENCE_MS }));
app.router = new Router(app, document.getElementById("view"));

showBanner(app);
showStatus(app);
listenToKeys(app);
app.router.prepare();

// No view asks for anything before the token is known to be right.
function openOnce({ state }) {
  if (state !== "open") return;
  app.state.stateListeners.delete(openOnce);
  app.router.open();
}
app.state.stateListeners.add(openOnce);

// The token: from the part of the address after #, which no server is sent, into this tab's own storage.

const KEY = "rawdaq token";

/** Takes the token out of the address, so that it is neither seen nor copied with a link. */
export function takeToken() {
  const match = /^#token=(.+)$/.exec(location.hash);
  if (!match) return;
  setToken(decodeURIComponent(match[1]));
  history.replaceState(history.state, "", location.pathname + location.search);
}

export const token = () => sessionStorage.getItem(KEY) ?? "";

export const setToken = (value) => sessionStorage.setItem(KEY, value.trim());

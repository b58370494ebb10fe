// Every view has an address that shows it again. The server gives the same page for all of them.

const VIEWS = [
  [/^\/$/, "overview", []],
  [/^\/s\/([^/]+)$/, "station", ["station"]],
  [/^\/s\/([^/]+)\/([^/]+)$/, "stream", ["station", "channel"]],
  [/^\/s\/([^/]+)\/([^/]+)\/(\d{4}-\d{2}-\d{2})$/, "helicorder", ["station", "channel", "day"]],
  [/^\/traces$/, "traces", []],
  [/^\/map$/, "map", []],
  [/^\/clients$/, "readers", []],
  [/^\/logs\/([^/]*)$/, "logs", ["key"]],
];

/** Returns `{view, query}` and the parts of an address's path; the view is null where there is none. */
export function placeOf({ pathname, search }) {
  const query = Object.fromEntries(new URLSearchParams(search));
  for (const [pattern, view, names] of VIEWS) {
    const match = pattern.exec(pathname);
    if (match)
      return { view, query, ...Object.fromEntries(names.map((name, k) => [name, decodeURIComponent(match[k + 1])])) };
  }
  return { view: null, query };
}

/** The name of the stream of a place. */
export const streamOf = ({ station, channel }) => `${station}.${channel}`;

const part = encodeURIComponent;

export const stationAddress = (station) => `/s/${part(station)}`;

/** The address of a stream `NET.STA.LOC.CHA`. */
export function streamAddress(id) {
  const [network, station, ...channel] = id.split(".");
  return `/s/${part(`${network}.${station}`)}/${part(channel.join("."))}`;
}

export const dayAddress = (id, day) => `${streamAddress(id)}/${day}`;

export const logAddress = (key) => `/logs/${part(key)}`;

/** The address of here with other parameters; those that are null, or as they are without saying so, are left out. */
export function addressWith(changes, { pathname, search } = location) {
  const query = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  return text ? `${pathname}?${text}` : pathname;
}

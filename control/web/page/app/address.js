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

/** A path with parameters; those that are null are left out. */
export function withQuery(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  return query ? `${path}?${query}` : path;
}

/** The address of here with other parameters; those that are null, or as they are without saying so, are left out. */
export const addressWith = (changes) =>
  withQuery(location.pathname, { ...Object.fromEntries(new URLSearchParams(location.search)), ...changes });

// Stations from components: one has several components, and one component may carry the streams of many stations.

const DEAD = 800; // from this number on a component delivers nothing, so none of its stations has data
const stationsOfStreams = new WeakMap();

/** The stations of a component's streams, the one that it belongs to first. */
export function stationsOf(component) {
  const { station, streams } = component;
  if (!stationsOfStreams.has(streams)) {
    const found = new Set([station]);
    for (const id of streams) found.add(id.slice(0, id.indexOf(".", id.indexOf(".") + 1)));
    stationsOfStreams.set(streams, [...found]);
  }
  return stationsOfStreams.get(streams);
}

const SEVERITY = { "no data": 3, late: 2, stopped: 1, well: 0 };

/** Which of two judgements is worse; as a tie-break, the older one. */
export function compareWorst(a, b) {
  return (
    b.number - a.number ||
    SEVERITY[b.condition] - SEVERITY[a.condition] ||
    (a.since ?? "").localeCompare(b.since ?? "") ||
    (a.key < b.key ? -1 : 1)
  );
}

/** Whether a component has streams of other stations than its own. */
export const isShared = (component) => stationsOf(component).length > 1;

/** Returns stations by name: `{key, network, code, condition, number, sentence, since, latency_s, components}`.
 *
 * `troubles` are streams that have a problem: they say which of a component's many stations it is.
 */
export function stations(components, troubles = []) {
  const found = new Map();
  for (const component of components) {
    for (const name of stationsOf(component)) {
      const isOwn = name === component.station;
      const judged = isOwn || component.number >= DEAD || component.condition === "stopped" ? component : null;
      add(found, name, component, judged, isOwn ? component.latency_s : null);
    }
  }
  for (const stream of troubles) {
    const station = found.get(stream.station);
    if (station) worsen(station, stream);
  }
  return found;
}

function add(found, name, component, judged, latency) {
  if (!found.has(name)) {
    const [network, code] = name.split(".");
    const well = { condition: "well", number: 0, sentence: "", since: null };
    found.set(name, { key: name, network, code, ...well, latency_s: null, components: [], judged: false });
  }
  const station = found.get(name);
  station.components.push(component);
  if (latency !== null && !(station.latency_s >= latency)) station.latency_s = latency;
  if (judged) worsen(station, judged);
}

function worsen(station, judged) {
  if (station.judged && compareWorst(station, judged) <= 0) return;
  const { condition, number, sentence, since } = judged;
  Object.assign(station, { condition, number, sentence, since, judged: true });
}

/** Returns what says whether a name, or a text, is meant by what was typed: a pattern with * and ?, or a part of it. */
export function matcher(typed) {
  const text = typed.trim().toLowerCase();
  if (!/[*?]/.test(text)) return (name, more = "") => `${name} ${more}`.toLowerCase().includes(text);
  const source = text
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  const pattern = new RegExp(`^${source}$`);
  return (name) => pattern.test(name.toLowerCase());
}

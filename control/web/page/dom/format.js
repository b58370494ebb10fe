// Numbers and times as people of any language read them: ISO, UTC, a dot, units.

const pad = (number, width = 2) => String(Math.trunc(number)).padStart(width, "0");

/** Milliseconds since 1970 of one of the server's times, which have nanoseconds. */
export const msOf = (time) => Date.parse(`${time.slice(0, 23).replace(/Z?$/, "")}Z`);

/** A time of the server's for milliseconds since 1970. */
export const isoOf = (ms) => new Date(ms).toISOString();

/** `2026-11-29 12:06:13` for milliseconds, with as many decimals of seconds as asked for. */
export function dateTime(ms, decimals = 0) {
  const text = isoOf(ms);
  return `${text.slice(0, 10)} ${text.slice(11, decimals ? 20 + decimals : 19)}`;
}

/** `12:06:13`, likewise. */
export const timeOfDay = (ms, decimals = 0) => dateTime(ms, decimals).slice(11);

/** `2026-11-29` for milliseconds. */
export const dayOf = (ms) => isoOf(ms).slice(0, 10);

/** `00:12:40`, or `3d 04h` from one day on. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole >= 86400) return `${Math.floor(whole / 86400)}d ${pad((whole % 86400) / 3600)}h`;
  return `${pad(whole / 3600)}:${pad((whole % 3600) / 60)}:${pad(whole % 60)}`;
}

/** `20 ms`, `0.2 s`, `41 s`, or a duration from two minutes on. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 120) return duration(value);
  if (value !== 0 && Math.abs(value) < 0.0995) return `${Math.round(value * 1000)} ms`;
  return `${value.toFixed(Math.abs(value) < 10 ? 1 : 0)} s`;
}

/** `100 Hz`, `0.5 Hz`, `1 MHz`. */
export function rate(hz) {
  if (hz === null || hz === undefined) return "–";
  if (hz >= 1e6) return `${Number((hz / 1e6).toPrecision(4))} MHz`;
  if (hz >= 1e4) return `${Number((hz / 1e3).toPrecision(4))} kHz`;
  return `${Number(hz.toPrecision(6))} Hz`;
}

/** `412 MB`. */
export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let k = 0;
  while (size >= 1000 && k < units.length - 1) [size, k] = [size / 1000, k + 1];
  return `${k && size < 10 ? size.toFixed(1) : Math.round(size)} ${units[k]}`;
}

/** A value of a trace: `2.6e6`, `-12`, `0.25`. */
export function amplitude(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return value.toExponential(1).replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}

/** A number of the server's, as it is; a dash for what is not known. */
export const plain = (value) => (value === null || value === undefined || value === "" ? "–" : String(value));

/** `1 stream`, `3 streams`. */
export const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// The server's time: what is shown is never this computer's.

import { msOf } from "../dom/format.js";

const TELL_MS = 2000;

let offsetMs = 0;
let isKnown = false;

/** Learns the time from a message; the one that came the fastest is the best, so only a later time is believed at
 * once. */
export function learn(time) {
  const found = msOf(time) - Date.now();
  if (!isKnown || found > offsetMs || Math.abs(found - offsetMs) > TELL_MS) offsetMs = found;
  isKnown = true;
}

/** Milliseconds since 1970. */
export const now = () => Date.now() + offsetMs;

/** By how many seconds this computer's clock is ahead of the server's; null where that does not matter. */
export const aheadS = () => (Math.abs(offsetMs) > TELL_MS ? -offsetMs / 1000 : null);

// Times below traces, at round times, moving with them.

import { dayOf, timeOfDay } from "../dom/format.js";
import { h, setText } from "../dom/h.js";

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
const TICK_PX = 95; // what a time needs

export class TimeAxis {
  constructor() {
    this.element = h("div", { class: "axis", "aria-hidden": "true" });
  }

  /** Shows the times of a window that ends at `endMs`. */
  show(endMs, windowS) {
    const most = Math.max(2, Math.min(8, Math.floor(this.element.clientWidth / TICK_PX)));
    const stepMs = 1000 * (STEPS_S.find((step) => windowS / step <= most) ?? STEPS_S.at(-1));
    const beginMs = endMs - windowS * 1000;
    const ticks = [];
    for (let ms = Math.ceil(beginMs / stepMs) * stepMs; ms <= endMs; ms += stepMs) ticks.push(ms);
    while (this.element.childElementCount > ticks.length) this.element.lastElementChild.remove();
    while (this.element.childElementCount < ticks.length) this.element.append(h("span"));
    ticks.forEach((ms, k) => {
      const tick = this.element.children[k];
      const part = (ms - beginMs) / (endMs - beginMs);
      tick.style.left = `${(part * 100).toFixed(3)}%`;
      tick.classList.toggle("is-last", part > 0.93);
      const text = stepMs < 60000 ? timeOfDay(ms) : timeOfDay(ms).slice(0, 5);
      setText(tick, ms % 86400000 === 0 ? dayOf(ms) : text);
    });
  }
}

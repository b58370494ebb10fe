// The order of a list that people look at: it changes when a state has changed, not sooner than some seconds after
// it, and never under the pointer or the focus.

const SETTLE_MS = 5000;

/** Keeps the order of keys.
 *
 * `isBusy()` says whether somebody points at the list or has the focus in it; `now()` is a clock in milliseconds.
 */
export class Order {
  constructor({ isBusy, now = () => performance.now() }) {
    Object.assign(this, { isBusy, now });
    this.keys = null;
    this.wanted = [];
    this.changedMs = null;
  }

  /** Returns the keys in the order to show now; `wanted` is how they would stand without any delay.
   *
   * What is shown may be wanted no more: it goes when the order changes.
   */
  settle(wanted) {
    this.wanted = wanted;
    if (this.keys === null) return this.apply();
    if (!this.isWaiting) {
      this.changedMs = null;
      return this.keys;
    }
    this.changedMs ??= this.now();
    return this.isBusy() || this.now() - this.changedMs < SETTLE_MS ? this.keys : this.apply();
  }

  /** Whether the list stands otherwise than it should. */
  get isWaiting() {
    return this.wanted.length !== this.keys.length || this.wanted.some((key, k) => key !== this.keys[k]);
  }

  /** Orders it now: a person asked for it. */
  apply() {
    this.keys = this.wanted;
    this.changedMs = null;
    return this.keys;
  }

  /** Forgets the order: what is shown is something else. */
  clear() {
    this.keys = null;
  }
}

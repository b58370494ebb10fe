// Children of an element that follow a list, changed in place: what stays keeps its focus, its scroll and its
// selection.

/** Shows items as children of an element.
 *
 * `make(item)` returns a new child; its method `show(item)`, if it has one, brings it up to date, and its method
 * `close()` ends what it follows. `key(item)` is what makes an item the same one.
 */
export class List {
  constructor(parent, { key = (item) => item.key, make }) {
    Object.assign(this, { parent, key, make });
    this.children = new Map();
  }

  show(items) {
    const wanted = new Set();
    for (const item of items) {
      const key = this.key(item);
      wanted.add(key);
      if (!this.children.has(key)) this.children.set(key, this.make(item));
      this.children.get(key).show?.(item);
    }
    for (const [key, child] of this.children) {
      if (wanted.has(key)) continue;
      child.close?.();
      child.remove();
      this.children.delete(key);
    }
    this.#place(wanted);
  }

  get(key) {
    return this.children.get(key);
  }

  // Moves as few children as a list that is nearly in order needs: those that stand right are not touched.
  #place(keys) {
    let next = this.parent.firstElementChild;
    for (const key of keys) {
      const child = this.children.get(key);
      if (child === next) next = next.nextElementSibling;
      else this.parent.insertBefore(child, next);
    }
  }
}

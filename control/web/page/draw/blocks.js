// The binary messages of `/live` and the answers of `/columns`; docs/web.md describes them.

const HEADER_BYTES = 24;

/** Yields the blocks of a message as `{i, n, firstMs, perS, values}`.
 *
 * `typeOf(i)` returns `{isColumns, isFloat}` for a stream of the table, undefined for one that is in it no more: then
 * nothing after it can be read, because nobody knows how long it is.
 */
export function* blocks(buffer, typeOf) {
  const view = new DataView(buffer);
  let at = 0;
  while (at + HEADER_BYTES <= buffer.byteLength) {
    const i = view.getUint32(at, true);
    const n = view.getUint32(at + 4, true);
    const type = typeOf(i);
    const count = type?.isColumns ? 2 * n : n;
    if (!type || at + HEADER_BYTES + 4 * count > buffer.byteLength) return;
    const numbers = type.isFloat || type.isColumns ? Float32Array : Int32Array;
    yield {
      i,
      n,
      firstMs: view.getFloat64(at + 8, true),
      perS: view.getFloat64(at + 16, true),
      isColumns: type.isColumns,
      values: new numbers(buffer, at + HEADER_BYTES, count),
    };
    at += HEADER_BYTES + 4 * count;
  }
}

// Pixels: a trace into a rectangle of an image. No canvas path is as cheap as writing the pixels.

/** An image of `width` x `height` pixels of one number each, drawn into and then put onto a canvas at once. */
export class Picture {
  constructor(width, height) {
    this.data = new ImageData(Math.max(1, width), Math.max(1, height));
    this.pixels = new Uint32Array(this.data.data.buffer);
    this.width = this.data.width;
    this.height = this.data.height;
  }

  clear(colour) {
    this.pixels.fill(colour);
  }

  /** Fills a rectangle, as far as it is in the image. */
  fill(x, y, width, height, colour) {
    const [left, right] = [Math.max(0, x), Math.min(this.width, x + width)];
    const [top, bottom] = [Math.max(0, y), Math.min(this.height, y + height)];
    for (let row = top; row < bottom; row += 1) {
      if (left < right) this.pixels.fill(colour, row * this.width + left, row * this.width + right);
    }
  }

  /** Fills one column of pixels from `top` to `bottom`, both included, as far as it is in the image. */
  bar(x, top, bottom, colour) {
    if (x < 0 || x >= this.width) return;
    const end = Math.min(bottom, this.height - 1) * this.width + x;
    for (let at = Math.max(top, 0) * this.width + x; at <= end; at += this.width) this.pixels[at] = colour;
  }
}

/** Draws columns into a picture.
 *
 * `box` is `{x, y, width, height}` in pixels; `first` the number of the column at its left edge; `scale` has `centre`
 * and `half`. What is beyond the box is clipped at its edge, or at `spill` pixels beyond it. Columns without data
 * stay empty; where there are data on both sides, `gapColour` marks the bottom.
 */
export function drawTrace(picture, columns, box, first, scale, { colour, gapColour = null, spill = 0 }) {
  const middle = box.y + (box.height - 1) / 2;
  const perUnit = (box.height - 1) / 2 / scale.half;
  const [topLimit, bottomLimit] = [box.y - spill, box.y + box.height - 1 + spill];
  const clip = (y) => Math.round(Math.min(bottomLimit, Math.max(topLimit, y)));
  let before = null; // {top, bottom} of the column to the left
  for (let x = 0; x < box.width; x += 1) {
    const column = first + x;
    if (!columns.has(column)) {
      before = null;
      if (gapColour !== null && column > columns.oldest && column < columns.newest) {
        picture.bar(box.x + x, box.y + box.height - 2, box.y + box.height - 1, gapColour);
      }
      continue;
    }
    const slot = columns.slot(column);
    const top = clip(middle - (columns.high[slot] - scale.centre) * perUnit);
    const bottom = clip(middle - (columns.low[slot] - scale.centre) * perUnit);
    // Steep signals would fall into dashes: a column reaches to the one before it.
    const from = before === null ? top : Math.min(top, before.bottom);
    const to = before === null ? bottom : Math.max(bottom, before.top);
    picture.bar(box.x + x, from, to, colour);
    before = { top, bottom };
  }
}

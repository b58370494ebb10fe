// Degrees to the plane of a map: longitudes shortened as at its middle, so that distances look alike in both
// directions.

const RADIANS = Math.PI / 180;
const LEAST_SPAN = 6; // around one station there is to be something that can be recognised

/** Returns longitudes turned by whole circles so that they lie together, also across 180 degrees. */
export function together(longitudes) {
  const sorted = [...longitudes].sort((a, b) => a - b);
  let [widest, begin] = [sorted[0] + 360 - sorted.at(-1), sorted[0]];
  for (let k = 1; k < sorted.length; k += 1) {
    if (sorted[k] - sorted[k - 1] > widest) [widest, begin] = [sorted[k] - sorted[k - 1], sorted[k]];
  }
  return longitudes.map((longitude) => (longitude < begin ? longitude + 360 : longitude));
}

/** What a map shows: its middle in degrees, its height in degrees of latitude, and its shape. */
export class MapFrame {
  constructor({ longitude, latitude, span }) {
    Object.assign(this, { longitude, latitude, span });
    this.ratio = 2; // width by height of the picture
  }

  /** A frame around points `[longitude, latitude]`, with a margin. */
  static around(points, ratio) {
    const longitudes = points.map(([longitude]) => longitude);
    const latitudes = points.map(([, latitude]) => latitude);
    const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)];
    const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
    const latitude = (south + north) / 2;
    const width = (east - west) * Math.cos(latitude * RADIANS);
    const span = Math.min(180, Math.max(LEAST_SPAN, 1.3 * Math.max(north - south, width / ratio)));
    return new MapFrame({ longitude: (west + east) / 2, latitude, span });
  }

  get stretch() {
    return Math.max(0.05, Math.cos(this.latitude * RADIANS));
  }

  /** Where a point is in the picture, as parts of its width and height. */
  place(longitude, latitude) {
    const x = ((longitude - this.longitude) * this.stretch) / (this.span * this.ratio);
    return [x + 0.5, (this.latitude - latitude) / this.span + 0.5];
  }

  /** The transform of an SVG whose numbers are degrees into one that is `width` x `height` pixels. */
  transform(width, height) {
    const perDegree = height / this.span;
    const x = width / 2 - this.longitude * perDegree * this.stretch;
    const y = height / 2 + this.latitude * perDegree;
    const [toRight, up] = [perDegree * this.stretch, -perDegree].map((scale) => scale.toFixed(6));
    return `translate(${x.toFixed(3)} ${y.toFixed(3)}) scale(${toRight} ${up})`;
  }

  /** Moves by parts of the picture. */
  move(dx, dy) {
    this.longitude -= (dx * this.span * this.ratio) / this.stretch;
    this.latitude = Math.min(90, Math.max(-90, this.latitude + dy * this.span));
  }

  zoom(by) {
    this.span = Math.min(180, Math.max(0.02, this.span / by));
  }
}

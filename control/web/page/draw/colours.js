// Colours of the style sheet as numbers for pixels: read back through a canvas, so any way to write a colour will do.

const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const context = canvas.getContext("2d", { willReadFrequently: true });
const known = new Map();

/** Returns the colour of a custom property, such as `--trace`, as one pixel of ImageData. */
export function pixel(name) {
  const colour = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  if (!known.has(colour)) {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    known.set(colour, new Uint32Array(context.getImageData(0, 0, 1, 1).data.buffer)[0]);
  }
  return known.get(colour);
}

/** Calls back when the colours have changed, because the system turned dark or light; returns what ends that. */
export function onSchemeChange(callback) {
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", callback);
  return () => query.removeEventListener("change", callback);
}

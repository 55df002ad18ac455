/** Pictures on canvases, and the colours for numbers. */

import { bytes, clamp } from "./tools.js";

// Viridis (van der Walt and Smith, 2015) at nine even places: even in lightness, and safe for colour-blind readers.
export const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"].map(
  (hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)),
);

export function viridis(share) {
  const place = clamp(share || 0, 0, 1) * (VIRIDIS.length - 1); // NaN gets the lowest colour
  const i = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[i].map((low, channel) => low + (place - i) * (VIRIDIS[i + 1][channel] - low));
}

/** A function from a pixel's number to its colour, over bytes in the order row, column, channel. */
export const rgb = (pixels) => (i) => pixels.subarray(3 * i, 3 * i + 3);

/** Pixels as `draw` takes them, with a hole for every hidden patch. */
export const holed = (pixel, mask, patches) => (i) => (mask[patches[i]] ? null : pixel(i));

/** The predicted pixels where the mask hides, the given ones elsewhere. */
export const completed = (predicted, given, mask, patches) => (i) => (mask[patches[i]] ? predicted(i) : given(i));

/** The frames of a film in base64, size x size pixels each, as bytes. */
export function splitFrames(base64, size) {
  const all = bytes(base64);
  const area = 3 * size ** 2;
  return Array.from({ length: all.length / area }, (_, i) => all.subarray(i * area, (i + 1) * area));
}

/** The mean over the channels of the absolute difference of two colours, 0 to 1. */
export const colourDistance = (a, b) =>
  (Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) + Math.abs(a[2] - b[2])) / (3 * 255);

/** Draw size x size pixels; `pixel(i)` gives the i-th, row by row, as [red, green, blue], or null for a hole. */
export function draw(canvas, size, pixel) {
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  const { data } = image;
  for (let i = 0; i < size * size; i++) {
    const colour = pixel(i);
    if (!colour) continue;
    // A plain loop, since scrubbing draws many pictures.
    for (let channel = 0; channel < 3; channel++) data[4 * i + channel] = colour[channel];
    data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** A copy of the pixels, grey wherever `hides(i)` is true. */
export function blanked(pixels, hides) {
  return pixels.map((value, i) => (hides(Math.floor(i / 3)) ? 128 : value));
}

/** Draw side x side square tiles of `size` pixels with a gap of one; `pixel(tile, i)` as in `draw`. */
export function drawTiles(canvas, side, size, pixel) {
  const whole = side * (size + 1) - 1;
  draw(canvas, whole, (i) => {
    const [row, column] = [Math.floor(i / whole), i % whole];
    const [down, across] = [row % (size + 1), column % (size + 1)];
    if (down === size || across === size) return null;
    return pixel(Math.floor(row / (size + 1)) * side + Math.floor(column / (size + 1)), down * size + across);
  });
}

/** Which patch a pixel belongs to, as a table over the pixels of a size x size image cut into side x side patches. */
export function patchTable(size, side) {
  const patch = size / side;
  return Uint16Array.from({ length: size * size }, (_, i) => {
    const [row, column] = [Math.floor(i / size), i % size];
    return Math.floor(row / patch) * side + Math.floor(column / patch);
  });
}

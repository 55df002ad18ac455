/** Pictures on canvases, and the colours for numbers. */

import { bytes, clamp } from "./tools.js";

// Viridis (van der Walt and Smith, 2015) at nine even places: even in lightness, and safe for colour-blind readers.
export const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"].map(
  (hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)),
);

/** The colour of a share from 0 to 1. NaN gets the lowest. */
export const viridis = (share) => TABLE[Math.round(clamp(share || 0, 0, 1) * (TABLE.length - 1))];

function mixed(share) {
  const place = share * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[i].map((low, channel) => low + (place - i) * (VIRIDIS[i + 1][channel] - low));
}

const TABLE = Array.from({ length: 1024 }, (_, i) => mixed(i / 1023)); // a picture of 224 pixels takes 50,176 colours

/** A function from a pixel's number to its colour, over bytes in the order row, column, channel. */
export const rgb = (pixels) => Object.assign((i) => pixels.subarray(3 * i, 3 * i + 3), { pixels });

/** Pixels as `draw` takes them, with a hole for every hidden patch. */
export const holed = (pixel, mask, patches) => (i) => (mask[patches[i]] ? null : pixel(i));

/** The predicted pixels where the mask hides, the given ones elsewhere; both as `rgb` makes them. */
export function completed(predicted, given, mask, patches) {
  const pixels = new Uint8Array(given.pixels.length);
  for (let i = 0, at = 0; i < patches.length; i++, at += 3) {
    const from = mask[patches[i]] ? predicted.pixels : given.pixels;
    pixels[at] = from[at];
    pixels[at + 1] = from[at + 1];
    pixels[at + 2] = from[at + 2];
  }
  return rgb(pixels);
}

/** The frames of a film, size x size pixels each. @param {string | Uint8Array} packed */
export function splitFrames(packed, size) {
  const all = bytes(packed);
  const area = 3 * size ** 2;
  return Array.from({ length: all.length / area }, (_, i) => all.subarray(i * area, (i + 1) * area));
}

/** The mean over the channels of the absolute difference of two colours, 0 to 1. */
export const colourDistance = (a, b) =>
  (Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) + Math.abs(a[2] - b[2])) / (3 * 255);

/**
 * How far two pictures are apart, pixel by pixel, in the colours of `viridis` from 0 to `ceiling`; both as `rgb` makes
 * them. Gives the picture, and the mean of `colourDistance`.
 *
 * @param {{pixels?: Uint8Array}} one @param {{pixels?: Uint8Array}} other @param {number} ceiling
 */
export function differencePicture({ pixels: a }, { pixels: b }, ceiling) {
  const picture = new Uint8Array(a.length);
  const scale = 1 / (3 * 255);
  let total = 0;
  for (let at = 0; at < a.length; at += 3) {
    const error = scale * (Math.abs(a[at] - b[at]) + Math.abs(a[at + 1] - b[at + 1]) + Math.abs(a[at + 2] - b[at + 2]));
    total += error;
    picture.set(viridis(error / ceiling), at);
  }
  return { picture: rgb(picture), mean: (3 * total) / a.length };
}

/** Draw size x size pixels; `pixel(i)` gives the i-th, row by row, as [red, green, blue], or null for a hole. */
export function draw(canvas, size, pixel) {
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  const { data } = image;
  if (pixel.pixels) spread(pixel.pixels, data);
  for (let i = 0; i < size * size && !pixel.pixels; i++) {
    const colour = pixel(i);
    if (!colour) continue;
    // A plain loop, since scrubbing draws many pictures.
    for (let channel = 0; channel < 3; channel++) data[4 * i + channel] = colour[channel];
    data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Colours without holes, which need no function for each pixel. */
function spread(pixels, data) {
  for (let from = 0, to = 0; from < pixels.length; to += 4) {
    data[to] = pixels[from++];
    data[to + 1] = pixels[from++];
    data[to + 2] = pixels[from++];
    data[to + 3] = 255;
  }
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

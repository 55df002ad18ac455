/**
 * A picture cropped to its central square and shrunk, by the filter with which etviz reads an upload: Lanczos' with three
 * lobes, as Pillow computes it for bytes (first along the rows, rounded to bytes, then along the columns).
 */

const UNIT = 2 ** 22; // Pillow's weights are whole numbers of this

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** How far a filter reaches on either side, its weight at a distance, and whether it computes in bytes, as Pillow does. */
const LANCZOS = { reach: 3, inBytes: true, weight: (x) => (x < 3 ? sinc(x) * sinc(x / 3) : 0) };
const CUBIC = { reach: 2, inBytes: false, weight: cubic };

function cubic(x) {
  if (x >= 2) return 0;
  return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2;
}

/** Bytes by row, column and channel, size x size of them. @param {{data: ArrayLike<number>, width: number, height: number}} picture */
export const fitted = (picture, size) => shrunkBy(LANCZOS, picture, size);

/** A square picture of `size` pixels in another size, as etviz.pictures.resize computes it: bicubic, antialiased. */
export function resizedSquare(data, size) {
  const side = Math.sqrt(data.length / 3);
  return side === size ? data : shrunkBy(CUBIC, { data, width: side, height: side }, size);
}

function shrunkBy(filter, { data, width, height }, size) {
  const square = Math.min(width, height);
  const [left, top] = [(width - square) / 2, (height - square) / 2];
  const [across, down] = [weightsOf(filter, width, left, square, size), weightsOf(filter, height, top, square, size)];
  const rows = new (filter.inBytes ? Uint8ClampedArray : Float32Array)(3 * height * size);
  resizeInto(rows, data, across, (row, place) => 3 * (row * width + place), filter);
  const columns = new Uint8ClampedArray(3 * size * size);
  resizeInto(columns, rows, down, (column, place) => 3 * (place * size + column), filter);
  return turned(columns, size); // the second pass came out column by column
}

/** For each of `size` places, which pixels it takes and with what weight. */
function weightsOf({ reach, weight: weigh, inBytes }, length, start, extent, size) {
  const scale = extent / size;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: size }, (_, place) => {
    const centre = start + (place + 0.5) * scale;
    const from = Math.max(Math.trunc(centre - reach * stretch + 0.5), 0);
    const to = Math.min(Math.trunc(centre + reach * stretch + 0.5), length);
    const weights = Array.from({ length: to - from }, (_, i) => weigh(Math.abs((from + i - centre + 0.5) / stretch)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { from, weights: weights.map((weight) => (inBytes ? wholeUnits(weight / total) : weight / total)) };
  });
}

const wholeUnits = (weight) => Math.trunc(weight * UNIT + (weight < 0 ? -0.5 : 0.5));

/** One pass: lines of as many pixels as there are `weights`; `at` says where a pixel of a line lies. */
function resizeInto(out, data, weights, at, { inBytes }) {
  for (let i = 0; i < out.length; i++) {
    const [channel, pixel] = [i % 3, Math.floor(i / 3)];
    const { from, weights: factors } = weights[pixel % weights.length];
    const line = Math.floor(pixel / weights.length);
    let total = inBytes ? UNIT / 2 : 0;
    for (let k = 0; k < factors.length; k++) total += factors[k] * data[at(line, from + k) + channel];
    out[i] = inBytes ? Math.floor(total / UNIT) : total;
  }
}

/** Rows for columns. */
function turned(pixels, size) {
  return Uint8Array.from(pixels, (_, i) => {
    const pixel = Math.floor(i / 3);
    return pixels[3 * ((pixel % size) * size + Math.floor(pixel / size)) + (i % 3)];
  });
}

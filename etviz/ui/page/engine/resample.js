/**
 * A picture cropped to its central square and shrunk, by the filter with which etviz reads an upload: Lanczos' with three
 * lobes, as Pillow computes it for bytes (first along the rows, rounded to bytes, then along the columns).
 */

const LOBES = 3;
const UNIT = 2 ** 22; // weights are whole numbers of this

/** Bytes by row, column and channel, size x size of them. @param {{data: ArrayLike<number>, width: number, height: number}} picture */
export function fitted({ data, width, height }, size) {
  const square = Math.min(width, height);
  const [left, top] = [(width - square) / 2, (height - square) / 2];
  const [across, down] = [weightsOf(width, left, square, size), weightsOf(height, top, square, size)];
  const rows = resized(data, across, (row, place) => 3 * (row * width + place), height, size);
  const columns = resized(rows, down, (column, place) => 3 * (place * size + column), size, size);
  return turned(columns, size); // the second pass came out column by column
}

/** For each of `size` places, which pixels it takes and with what weight. */
function weightsOf(length, start, extent, size) {
  const scale = extent / size;
  const stretch = Math.max(scale, 1);
  return Array.from({ length: size }, (_, place) => {
    const centre = start + (place + 0.5) * scale;
    const from = Math.max(Math.trunc(centre - LOBES * stretch + 0.5), 0);
    const to = Math.min(Math.trunc(centre + LOBES * stretch + 0.5), length);
    const weights = Array.from({ length: to - from }, (_, i) => lanczos((from + i - centre + 0.5) / stretch));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { from, weights: weights.map((weight) => wholeUnits(weight / total)) };
  });
}

const wholeUnits = (weight) => Math.trunc(weight * UNIT + (weight < 0 ? -0.5 : 0.5));

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos = (x) => (x >= -LOBES && x < LOBES ? sinc(x) * sinc(x / LOBES) : 0);

/** One pass: `count` lines of `size` pixels each; `at` says where a pixel of a line lies. */
function resized(data, weights, at, count, size) {
  const out = new Uint8ClampedArray(3 * count * size);
  for (let line = 0; line < count; line++) {
    for (let place = 0; place < size; place++) {
      const { from, weights: factors } = weights[place];
      for (let channel = 0; channel < 3; channel++) {
        let total = UNIT / 2;
        for (let i = 0; i < factors.length; i++) total += factors[i] * data[at(line, from + i) + channel];
        out[3 * (line * size + place) + channel] = Math.floor(total / UNIT);
      }
    }
  }
  return out;
}

/** Rows for columns. */
function turned(pixels, size) {
  return Uint8Array.from(pixels, (_, i) => {
    const pixel = Math.floor(i / 3);
    return pixels[3 * ((pixel % size) * size + Math.floor(pixel / size)) + (i % 3)];
  });
}

/** How good a picture is, as etviz/metrics.py. Pictures are Float32Array (3, S, S) in [0, 1]. */

import { hiddenPixels } from "./patches.js";

/** Mean squared error over the hidden pixels and all channels; NaN where nothing is hidden. */
export function maskedMse(picture, predicted, mask) {
  const hidden = hiddenPixels(mask, Math.sqrt(picture.length / 3));
  let [squares, count] = [0, 0];
  for (let i = 0; i < picture.length; i++) {
    if (!hidden[i % hidden.length]) continue;
    squares += (predicted[i] - picture[i]) ** 2;
    count += 1;
  }
  return squares / count;
}

/** Of an error of values in [0, 1], in dB. */
export const psnrOf = (error) => -10 * Math.log10(error);

const [WINDOW_REACH, SIGMA] = [5, 1.5]; // of the window, in pixels on either side
const [C1, C2] = [0.01 ** 2, 0.03 ** 2];
export const SSIM_LEAST = 6; // pixels a side

const WINDOW = Float64Array.from({ length: 2 * WINDOW_REACH + 1 }, (_, i) =>
  Math.exp(-((i - WINDOW_REACH) ** 2) / (2 * SIGMA ** 2)),
);
const WINDOW_SUM = WINDOW.reduce((total, weight) => total + weight, 0);

/** Structural similarity (Wang et al. 2004), by torchmetrics' definition: borders are reflected; null for small pictures. */
export function ssimOf(picture, other) {
  const area = picture.length / 3;
  const size = Math.sqrt(area);
  if (size < SSIM_LEAST) return null;
  let total = 0;
  for (let channel = 0; channel < 3; channel++) {
    const [a, b] = [picture, other].map((whole) => whole.subarray(channel * area, (channel + 1) * area));
    total += similarity(a, b, size);
  }
  return total / 3;
}

function similarity(a, b, size) {
  const blurred = (read) =>
    blur(
      Float64Array.from(a, (_, i) => read(a[i], b[i])),
      size,
    );
  const [meanA, meanB] = [blurred((x) => x), blurred((_, y) => y)];
  const [aa, bb, ab] = [blurred((x) => x * x), blurred((_, y) => y * y), blurred((x, y) => x * y)];
  let total = 0;
  for (let i = 0; i < a.length; i++) {
    const both = meanA[i] * meanB[i];
    const squares = meanA[i] ** 2 + meanB[i] ** 2;
    const variances = Math.max(aa[i] - meanA[i] ** 2, 0) + Math.max(bb[i] - meanB[i] ** 2, 0);
    total += ((2 * both + C1) * (2 * (ab[i] - both) + C2)) / ((squares + C1) * (variances + C2));
  }
  return total / a.length;
}

/** Weighted by a Gaussian window along the rows and then along the columns. */
function blur(plane, size) {
  return blurRows(blurRows(plane, size), size); // each turns the plane over, so that both axes have their turn
}

/** Blurred along the rows, and transposed. */
function blurRows(plane, size) {
  const out = new Float64Array(plane.length);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      let total = 0;
      for (let k = -WINDOW_REACH; k <= WINDOW_REACH; k++)
        total += WINDOW[k + WINDOW_REACH] * plane[row * size + reflected(column + k, size)];
      out[column * size + row] = total / WINDOW_SUM;
    }
  }
  return out;
}

const reflected = (place, size) => (place < 0 ? -place : place >= size ? 2 * size - 2 - place : place);

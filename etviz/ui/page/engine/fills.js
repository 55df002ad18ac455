/** What filling in the hidden patches comes to without any learning, as etviz/inpainting.py. */

import { hiddenPixels } from "./patches.js";

const MID_GREY = 0.5; // where nothing shows at all

/** Each hidden pixel is its channel's mean over the visible pixels. */
export function meanFill(picture, mask) {
  const hidden = hiddenPixels(mask, Math.sqrt(picture.length / 3));
  const area = hidden.length;
  const shown = area - hidden.reduce((count, bit) => count + bit, 0);
  const means = [0, 1, 2].map((channel) => {
    let total = 0;
    for (let i = 0; i < area; i++) if (!hidden[i]) total += picture[channel * area + i];
    return shown ? total / shown : MID_GREY;
  });
  return picture.map((value, i) => (hidden[i % area] ? means[Math.floor(i / area)] : value));
}

const LARGEST = 64; // pixels a side, up to which the equation below is solved in a moment

/** Whether `biharmonicFill` takes pictures of this size. */
export const isSmooth = (size) => size <= LARGEST;

/**
 * The biharmonic equation solved over the hidden region: the smoothest surface that fits, as scikit-image has it.
 *
 * L L u = 0 in every hidden pixel, L the discrete Laplacian with reflecting borders. Restricted to the hidden pixels, row
 * by row, L L is symmetric, positive definite and zero two rows away from its diagonal: Cholesky's method solves it.
 */
export function biharmonicFill(picture, mask) {
  const size = Math.sqrt(picture.length / 3);
  const hidden = hiddenPixels(mask, size);
  const unknown = Array.from(hidden.keys()).filter((pixel) => hidden[pixel]);
  if (unknown.length === 0) return picture;
  if (unknown.length === hidden.length) return picture.map(() => MID_GREY);
  const filled = picture.slice();
  const factor = cholesky(unknown, size);
  for (let channel = 0; channel < 3; channel++) {
    const plane = filled.subarray(channel * size * size, (channel + 1) * size * size);
    const [low, high] = limits(plane, hidden);
    const right = unknown.map((pixel) => -weigh(size, pixel, (other) => (hidden[other] ? 0 : plane[other])));
    solve(factor, right).forEach((value, i) => {
      plane[unknown[i]] = Math.min(Math.max(value, low), high);
    });
  }
  return filled;
}

/** The least and the largest visible value. */
function limits(plane, hidden) {
  const shown = plane.filter((_, i) => !hidden[i]);
  return [
    shown.reduce((low, value) => Math.min(low, value), 1),
    shown.reduce((high, value) => Math.max(high, value), 0),
  ];
}

/** A row of the Laplacian: the pixel's neighbours with weight 1, and itself with minus their number. */
function neighbours(size, pixel) {
  const [row, column] = [Math.floor(pixel / size), pixel % size];
  const places = [
    ...[row > 0 && pixel - size, row < size - 1 && pixel + size],
    ...[column > 0 && pixel - 1, column < size - 1 && pixel + 1],
  ];
  return places.filter((place) => place !== false);
}

const laplacian = (size, pixel, value) =>
  neighbours(size, pixel).reduce((total, other) => total + value(other) - value(pixel), 0);

/** L L at one pixel of whatever `value` says of the others. */
const weigh = (size, pixel, value) => laplacian(size, pixel, (other) => laplacian(size, other, value));

/** The lower factor of L L over the unknown pixels, as rows that end at the diagonal: `rows[i][j - first[i]]`. */
function cholesky(unknown, size) {
  const place = new Map(unknown.map((pixel, i) => [pixel, i]));
  const [rows, first] = [[], []];
  unknown.forEach((pixel, i) => {
    first[i] = unknown.findIndex((other) => other >= pixel - 2 * size);
    rows[i] = new Float64Array(i - first[i] + 1);
    for (const [other, weight] of weights(size, pixel)) {
      if (other <= pixel && place.has(other)) rows[i][place.get(other) - first[i]] = weight;
    }
    for (let j = first[i]; j <= i; j++) {
      let value = rows[i][j - first[i]];
      for (let k = Math.max(first[i], first[j]); k < j; k++) value -= rows[i][k - first[i]] * rows[j][k - first[j]];
      rows[i][j - first[i]] = i === j ? Math.sqrt(value) : value / rows[j][j - first[j]];
    }
  });
  return { rows, first };
}

/** A row of L L as [pixel, weight]. */
function weights(size, pixel) {
  const near = new Set([pixel, ...neighbours(size, pixel)].flatMap((place) => [place, ...neighbours(size, place)]));
  return Array.from(near, (other) => [other, weigh(size, pixel, (place) => (place === other ? 1 : 0))]);
}

/** Forwards through the factor, then backwards through its transpose. */
function solve({ rows, first }, right) {
  const x = Float64Array.from(right);
  rows.forEach((row, i) => {
    for (let k = first[i]; k < i; k++) x[i] -= row[k - first[i]] * x[k];
    x[i] /= row[i - first[i]];
  });
  for (let i = rows.length - 1; i >= 0; i--) {
    x[i] /= rows[i][i - first[i]];
    for (let k = first[i]; k < i; k++) x[k] -= rows[i][k - first[i]] * x[i];
  }
  return x;
}

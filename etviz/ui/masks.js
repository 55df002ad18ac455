/**
 * Patch masks in the browser, a Uint8Array each: 1 = hidden. As etviz.masks has them: patches row by row from the top
 * left, patch 0 the highest bit of the hexadecimal, `Math.floor(N * share)` hidden by a share.
 */

export function maskFromHex(hex) {
  return Uint8Array.from([...hex].flatMap((digit) => [8, 4, 2, 1].map((bit) => (parseInt(digit, 16) & bit ? 1 : 0))));
}

export function maskToHex(mask) {
  let hex = "";
  for (let i = 0; i < mask.length; i += 4) {
    hex += (8 * mask[i] + 4 * mask[i + 1] + 2 * mask[i + 2] + mask[i + 3]).toString(16);
  }
  return hex;
}

/** Whether a text is a mask of so many patches. */
export const isMaskHex = (text, count) => text.length === count / 4 && /^[0-9a-f]+$/i.test(text);

export const countHidden = (mask) => mask.reduce((sum, bit) => sum + bit, 0);

/** Hide the patches with the smallest ranks. */
function smallest(ranks, share) {
  const order = Array.from(ranks.keys()).sort((a, b) => ranks[a] - ranks[b]);
  const mask = new Uint8Array(ranks.length);
  order.slice(0, Math.floor(ranks.length * share)).forEach((patch) => (mask[patch] = 1));
  return mask;
}

export function randomMask(count, share) {
  return smallest(Array.from({ length: count }, Math.random), share);
}

/** A compact block: the patches nearest, in square rings, to a random one; the last ring drawn at random. */
export function blockMask(count, share) {
  const side = Math.sqrt(count);
  const centre = [0, 0].map(() => Math.floor(Math.random() * side));
  const ring = (row, column) => Math.max(Math.abs(row - centre[0]), Math.abs(column - centre[1]));
  return smallest(Array.from({ length: count }, (_, i) => ring(Math.floor(i / side), i % side) + Math.random()), share);
}

const byPlace = (count, hides) => {
  const side = Math.sqrt(count);
  return Uint8Array.from({ length: count }, (_, i) => (hides(Math.floor(i / side), i % side, side) ? 1 : 0));
};

/** Every second patch, as on a chessboard, starting with the second of the first row. */
export const gridMask = (count) => byPlace(count, (row, column) => (row + column) % 2 === 1);

/** The central square of half the side. */
export function centerMask(count) {
  return byPlace(count, (row, column, side) => {
    const start = Math.floor(side / 4);
    return [row, column].every((place) => place >= start && place < side - start);
  });
}

const HALVES = {
  right: (row, column, side) => column >= Math.floor(side / 2),
  bottom: (row, column, side) => row >= Math.floor(side / 2),
  left: (row, column, side) => column < Math.floor(side / 2),
  top: (row, column, side) => row < Math.floor(side / 2),
};

export const halfMask = (count, which) => byPlace(count, HALVES[which]);

/** The right half; where a mask is a half already, the next one around. */
export function nextHalf(mask) {
  const halves = Object.keys(HALVES).map((which) => halfMask(mask.length, which));
  const now = halves.findIndex((half) => half.every((bit, i) => bit === mask[i]));
  return halves[(now + 1) % halves.length];
}

/** The hidden patch nearest to the middle; where nothing is hidden, the nearest of all. */
export function middlePatch(mask) {
  const side = Math.sqrt(mask.length);
  const off = (i) => Math.hypot(Math.floor(i / side) - (side - 1) / 2, (i % side) - (side - 1) / 2);
  const all = Array.from(mask.keys());
  const hidden = all.filter((i) => mask[i]);
  return (hidden.length ? hidden : all).reduce((best, i) => (off(i) < off(best) ? i : best));
}

/** The same picture of a mask on a grid of `count` patches: each takes the nearest one's bit. */
export function resizedMask(mask, count) {
  const [from, to] = [Math.sqrt(mask.length), Math.sqrt(count)];
  const near = (place) => Math.floor(((place + 0.5) * from) / to);
  return byPlace(count, (row, column) => mask[near(row) * from + near(column)]);
}

/** The patches that a brush covers around one patch, at most `side` a row; it stays within the grid. */
export const BRUSHES = {
  one: (row, column, side) => [row * side + column],
  four(row, column, side) {
    const first = Math.min(row, side - 2) * side + Math.min(column, side - 2);
    return [first, first + 1, first + side, first + side + 1];
  },
  row: (row, column, side) => Array.from({ length: side }, (_, i) => row * side + i),
  column: (row, column, side) => Array.from({ length: side }, (_, i) => i * side + column),
};

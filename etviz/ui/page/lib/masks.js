/**
 * Patch masks in the browser, each a Uint8Array in which 1 is hidden. The conventions are those of etviz.masks: patches
 * run row by row from the top left, patch 0 is the highest bit of the hexadecimal, and a share hides
 * `Math.floor(N * share)` patches. A seed gives the mask that etviz gives for a `torch.Generator` with that seed.
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

/** How many patches a mask in hexadecimal covers, and how many to a side. */
export const countPatches = (hex) => 4 * hex.length;
export const sideOf = (hex) => Math.sqrt(countPatches(hex));

/** Whether a text is a mask of `count` patches. */
export const isMaskHex = (text, count) => text.length === count / 4 && /^[0-9a-f]+$/i.test(text);

export const countHidden = (mask) => mask.reduce((sum, bit) => sum + bit, 0);

/** Hide the patches with the smallest ranks. */
function smallest(ranks, share) {
  const order = Array.from(ranks.keys()).sort((a, b) => ranks[a] - ranks[b]);
  const mask = new Uint8Array(ranks.length);
  order.slice(0, Math.floor(ranks.length * share)).forEach((patch) => (mask[patch] = 1));
  return mask;
}

export const MAX_SEED = 2 ** 32 - 1;
export const isSeed = (value) => Number.isInteger(value) && value >= 0 && value <= MAX_SEED;
export const anySeed = () => Math.floor(Math.random() * 10000); // few digits, for the address

/** Whole numbers of 32 bits: the Mersenne twister (Matsumoto and Nishimura 1998), which PyTorch draws from on a CPU. */
export function createTwister(seed) {
  const state = Uint32Array.of(seed, ...new Uint32Array(623));
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  let next = 624;

  function refill() {
    for (let i = 0; i < 624; i++) {
      const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
      state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    next = 0;
  }

  return () => {
    if (next === 624) refill();
    let y = state[next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

export const uniform = (draw) => (draw() & 0xffffff) / 2 ** 24; // the 24 bits that torch.rand takes

export function randomMask(count, share, seed) {
  const draw = createTwister(seed);
  return smallest(
    Array.from({ length: count }, () => uniform(draw)),
    share,
  );
}

/** A compact block: the patches nearest, in square rings, to a random one; the last ring drawn at random. */
export function blockMask(count, share, seed) {
  const [draw, side] = [createTwister(seed), Math.sqrt(count)];
  const centre = [0, 0].map(() => draw() % side);
  const ring = (row, column) => Math.max(Math.abs(row - centre[0]), Math.abs(column - centre[1]));
  const rank = (_, i) => Math.fround(ring(Math.floor(i / side), i % side) + uniform(draw)); // float32, as a tensor
  return smallest(Array.from({ length: count }, rank), share);
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
  right: (_row, column, side) => column >= Math.floor(side / 2),
  bottom: (row, _column, side) => row >= Math.floor(side / 2),
  left: (_row, column, side) => column < Math.floor(side / 2),
  top: (row, _column, side) => row < Math.floor(side / 2),
};

export const halfMask = (count, which) => byPlace(count, HALVES[which]);

/** The right half; for a mask that is a half already, the next one in turn. */
export function nextHalf(mask) {
  const halves = Object.keys(HALVES).map((which) => halfMask(mask.length, which));
  const now = halves.findIndex((half) => half.every((bit, i) => bit === mask[i]));
  return halves[(now + 1) % halves.length];
}

/** The hidden patch nearest to the middle, or the nearest of all where none is hidden. */
export function middlePatch(mask) {
  const side = Math.sqrt(mask.length);
  const off = (i) => Math.hypot(Math.floor(i / side) - (side - 1) / 2, (i % side) - (side - 1) / 2);
  const all = Array.from(mask.keys());
  const hidden = all.filter((i) => mask[i]);
  return (hidden.length ? hidden : all).reduce((best, i) => (off(i) < off(best) ? i : best));
}

/** The mask resized to a grid of `count` patches: each takes the bit of the nearest one. */
export function resizedMask(mask, count) {
  const [from, to] = [Math.sqrt(mask.length), Math.sqrt(count)];
  const near = (place) => Math.floor(((place + 0.5) * from) / to);
  return byPlace(count, (row, column) => mask[near(row) * from + near(column)]);
}

/** The patches that a brush covers at one patch of a side x side grid; it stays within the grid. */
export const BRUSHES = {
  one: (row, column, side) => [row * side + column],
  four(row, column, side) {
    const first = Math.min(row, side - 2) * side + Math.min(column, side - 2);
    return [first, first + 1, first + side, first + side + 1];
  },
  row: (row, _column, side) => Array.from({ length: side }, (_, i) => row * side + i),
  column: (_row, column, side) => Array.from({ length: side }, (_, i) => i * side + column),
};

/** A picture of a mask, as etviz.mask_to_image draws it: white is hidden; a patch is `patchSize` pixels wide. */
export function maskToPixels(mask, patchSize) {
  const side = Math.sqrt(mask.length);
  const size = side * patchSize;
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    const [row, column] = [Math.floor(i / size), i % size].map((place) => Math.floor(place / patchSize));
    image.data.set([...Array(3).fill(255 * mask[row * side + column]), 255], 4 * i);
  }
  return image;
}

/** The mask of `count` patches in any picture, as etviz.mask_from_image reads it: white or transparent is hidden. */
export function maskFromPixels({ data, width, height }, count) {
  const side = Math.sqrt(count);
  const part = (i, length) => {
    const start = Math.floor((i * length) / side);
    return [start, Math.max(Math.floor(((i + 1) * length) / side), start + 1)];
  };
  const lightness = (i) => {
    const luma = 299 * data[i] + 587 * data[i + 1] + 114 * data[i + 2];
    return luma * data[i + 3] + 255000 * (255 - data[i + 3]);
  };
  return byPlace(count, (row, column) => {
    const [[top, bottom], [left, right]] = [part(row, height), part(column, width)];
    let sum = 0;
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += lightness(4 * (y * width + x));
    return 2 * sum > 255000 * 255 * (bottom - top) * (right - left);
  });
}

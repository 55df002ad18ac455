/** The normal numbers that torch.randn draws on a CPU, so that a seed disturbs a start here as it does in Python. */

import { createTwister, uniform } from "../lib/masks.js";

const BLOCK = 16; // numbers that PyTorch makes at once

/** `torch.randn(count, generator=torch.Generator().manual_seed(seed))`. */
export function randn(count, seed) {
  const draw = createTwister(seed);
  return count < BLOCK ? few(count, draw) : many(count, draw);
}

/** First all uniform numbers, then blocks of them by Box and Muller; the last block is drawn anew if it is not whole. */
function many(count, draw) {
  const numbers = Float32Array.from({ length: count }, () => uniform(draw));
  for (let start = 0; start + BLOCK <= count; start += BLOCK) toNormal(numbers.subarray(start, start + BLOCK));
  if (count % BLOCK) {
    const last = numbers.subarray(count - BLOCK);
    for (let i = 0; i < BLOCK; i++) last[i] = uniform(draw);
    toNormal(last);
  }
  return numbers;
}

/** One block, in place: each number of the first half goes with one of the second. */
function toNormal(block) {
  const half = BLOCK / 2;
  for (let i = 0; i < half; i++) {
    const radius = Math.fround(Math.sqrt(-2 * Math.log(1 - block[i])));
    const angle = Math.fround(2 * Math.PI * block[i + half]);
    block[i] = radius * Math.cos(angle);
    block[i + half] = radius * Math.sin(angle);
  }
}

/** Fewer than a block: pairs from uniform numbers of 53 bits. */
function few(count, draw) {
  const fine = () => ((draw() & 0x1fffff) * 2 ** 32 + draw()) / 2 ** 53;
  const numbers = [];
  while (numbers.length < count) {
    const [angle, radius] = [2 * Math.PI * fine(), Math.sqrt(-2 * Math.log1p(-fine()))];
    numbers.push(radius * Math.cos(angle), radius * Math.sin(angle));
  }
  return Float32Array.from(numbers.slice(0, count));
}

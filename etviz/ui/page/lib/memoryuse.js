/**
 * How much each memory of a model is used: its energy, by state and token.
 *
 * @import { Memories } from "./readings.d.ts"
 */

import { bytes, floats, format } from "./tools.js";

export const energyWords = (value) => (value ? format(value, 4) : "0");
export const shareWords = (part, whole) => (whole ? `${(100 * (part / whole)).toFixed(1)}%` : "–");
export const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);

/** Memories by a number of each, the lowest first. */
export const byValue = (values) => Array.from(values.keys()).sort((a, b) => values[a] - values[b] || a - b);

/** Memories, the one with the lowest energy first. */
export const byUse = byValue;

/**
 * A reading with its numbers and pictures unpacked.
 *
 *   energyAt(step)           the energy of every memory, over all tokens
 *   energyOver(step)         its mean over the states of the same block, and so of the same memories
 *   picturesAt(step)         RGB bytes of all memories
 *   pixelAt(step, memory)    one memory as `draw` takes it
 *   frequencyAt(step)        the spatial frequency of every memory's patch, in cycles per pixel
 *
 * @param {Memories} reading
 */
export function unpackMemories(reading) {
  const { count, blocks, patch_size: side } = reading;
  const [energy, pictures] = [floats(reading.energy), bytes(reading.patches)];
  const pixels = side * side;
  const energyAt = (step) => energy.subarray(step * count, (step + 1) * count);

  function energyOver(step) {
    const states = blocks.flatMap((block, state) => (block === blocks[step] ? [energyAt(state)] : []));
    const mean = (i) => states.reduce((sum, state) => sum + state[i], 0) / states.length;
    return Float32Array.from({ length: count }, (_, i) => mean(i));
  }

  const area = 3 * count * pixels;
  const picturesAt = (step) => pictures.subarray(blocks[step] * area, (blocks[step] + 1) * area);
  const pixelAt = (step, memory) => (i) => {
    const from = 3 * (memory * pixels + i);
    return picturesAt(step).subarray(from, from + 3);
  };
  const frequencies = floats(reading.frequency ?? "");
  const frequencyAt = (step) => frequencies.subarray(blocks[step] * count, (blocks[step] + 1) * count);
  return { ...reading, frequencyAt, energyAt, energyOver, picturesAt, pixelAt };
}

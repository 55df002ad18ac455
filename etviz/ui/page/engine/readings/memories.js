/** The Hopfield memories at every step: all of them, those that act on one patch, and where one of them is active. */

import { layerNorm } from "../energy.js";
import { aNumber } from "../errors.js";
import { pictureFromBytes } from "../patches.js";
import { rowsOf } from "../payload.js";

/** All memories as patches, and the energy that each contributes over the whole picture. */
export async function readMemories(service, question) {
  const request = await service.readRequest(question);
  const { model } = request;
  const { states } = await service.trace(request);
  const patches = model.descent.blocks.map((block) => memoryPatches(model, block));
  const colours = model.descent.blocks.map((block) => memoryColours(model, block));
  return {
    count: countMemories(model),
    patch_size: model.patch,
    patches: Uint8Array.from(patches.flatMap((bytes) => Array.from(bytes))),
    blocks: states.map(({ block }) => block),
    energy: rowsOf(states.map((state) => memoryEnergy(model, state))),
    decoder: Boolean(model.encoder),
    frequency: rowsOf(colours.map((ofBlock) => frequencies(ofBlock, model.patch))),
  };
}

/** The energy that each memory contributes at one patch's token. */
export async function readMemoriesOfPatch(service, question) {
  const request = await service.readRequest(question);
  const { model } = request;
  const patch = aNumber(question.patch, "patch", model.patches);
  const { states } = await service.trace(request);
  const count = countMemories(model);
  const ofToken = (state) => {
    const overlaps = overlapsOf(model, state);
    return energies(overlaps.subarray((1 + patch) * count, (2 + patch) * count));
  };
  return { patch, energy: rowsOf(states.map(ofToken)) };
}

/** Where on the picture one memory is active. */
export async function readMemoryPlaces(service, question) {
  const request = await service.readRequest(question);
  const { model } = request;
  const memory = aNumber(question.memory, "memory", countMemories(model));
  const { states } = await service.trace(request);
  const count = countMemories(model);
  const ofMemory = (state) => energies(overlapsOf(model, state).filter((_, i) => i % count === memory));
  return { memory, energy: rowsOf(states.map(ofMemory)) };
}

/** How much each memory carries at the end of the descents of other pictures of the gallery, under the same mask. */
export async function readMemoryUse(service, question) {
  const request = await service.readRequest(question);
  const { model, mask, asked, descent } = request;
  const pictures = await service.pictures(asked.dataset ?? service.firstDataset, model.size);
  const settings = { ...descent, steps: Math.min(descent.steps, service.limits.steps), tolerance: null };
  const end = performance.now() + 1000 * service.limits.band_seconds;
  const total = new Float64Array(countMemories(model));
  let count = 0;
  for (const index of pictures.arranged().slice(0, service.limits.band_pictures)) {
    const picture = pictureFromBytes(pictures.bytes(index));
    const { states } = await service.inTurns(model.trace(picture, mask, settings));
    memoryEnergy(model, states[states.length - 1]).forEach((energy, memory) => {
      total[memory] += energy;
    });
    count += 1;
    if (performance.now() > end) break;
  }
  return { count, source: pictures.source, energy: Float32Array.from(total, (energy) => energy / count) };
}

/** Each memory as a picture in [0, 1]: the patch that the decoder makes of the token that this memory pulls towards. */
function memoryColours(model, block) {
  const { gamma, delta } = block.norm;
  const tokens = layerNorm(block.memories, delta.length, 0).map((value) => Math.sign(gamma) * value);
  return model.toColours(model.decodeTokens(tokens));
}

/** The same in bytes. */
export function memoryPatches(model, block) {
  return Uint8Array.from(new Uint8ClampedArray(memoryColours(model, block).map((value) => 255 * value)));
}

/** How fine the pattern of each memory is: the mean spatial frequency of its brightness, weighted by power. */
function frequencies(colours, side) {
  const area = 3 * side * side;
  const waves = Array.from({ length: side * side }, (_, i) => [Math.floor(i / side), i % side]);
  const cycles = (k) => (k < side / 2 ? k : k - side) / side;
  return Float32Array.from({ length: colours.length / area }, (_, memory) => {
    const grey = greyOf(colours.subarray(memory * area, (memory + 1) * area));
    let [total, weighted] = [0, 0];
    for (const [down, across] of waves.slice(1)) {
      const power = powerOf(grey, side, down, across); // without the first wave, the mean
      total += power;
      weighted += power * Math.hypot(cycles(down), cycles(across));
    }
    return total > 1e-9 ? weighted / total : 0;
  });
}

const greyOf = (patch) =>
  Float64Array.from({ length: patch.length / 3 }, (_, i) => (patch[3 * i] + patch[3 * i + 1] + patch[3 * i + 2]) / 3);

/** The power of one wave in a patch. */
function powerOf(grey, side, down, across) {
  let [real, imaginary] = [0, 0];
  for (let i = 0; i < grey.length; i++) {
    const angle = (2 * Math.PI * ((down * Math.floor(i / side) + across * (i % side)) % side)) / side;
    real += grey[i] * Math.cos(angle);
    imaginary += grey[i] * Math.sin(angle);
  }
  return real * real + imaginary * imaginary;
}

/** The part of the Hopfield energy that each memory carries in one state, summed over tokens. */
export function memoryEnergy(model, state) {
  const count = countMemories(model);
  const total = new Float32Array(count);
  energies(overlapsOf(model, state)).forEach((energy, i) => {
    total[i % count] += energy;
  });
  return total;
}

export const countMemories = ({ descent }) => descent.last.memories.length / descent.width;

/** Of every token and memory in one state, (N, M). */
function overlapsOf(model, { tokens, block }) {
  const chosen = model.descent.blocks[block];
  return chosen.overlaps(chosen.norm.apply(tokens));
}

const energies = (overlaps) => overlaps.map((overlap) => -0.5 * Math.max(overlap, 0) ** 2);

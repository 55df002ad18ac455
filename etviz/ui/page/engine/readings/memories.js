/** The Hopfield memories at every step: all of them, those that act on one patch, and where one of them is active. */

import { layerNorm } from "../energy.js";
import { aNumber } from "../errors.js";
import { rowsOf } from "../payload.js";

/** All memories as patches, and the energy that each contributes over the whole picture. */
export async function readMemories(service, question) {
  const request = await service.readRequest(question);
  const { model } = request;
  const { states } = await service.trace(request);
  const patches = model.descent.blocks.map((block) => memoryPatches(model, block));
  return {
    count: countMemories(model),
    patch_size: model.patch,
    patches: Uint8Array.from(patches.flatMap((bytes) => Array.from(bytes))),
    blocks: states.map(({ block }) => block),
    energy: rowsOf(states.map((state) => memoryEnergy(model, state))),
    decoder: Boolean(model.encoder),
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

/** Each memory as a picture, in bytes: the patch that the decoder makes of the token that this memory pulls towards. */
export function memoryPatches(model, block) {
  const { gamma, delta } = block.norm;
  const tokens = layerNorm(block.memories, delta.length, 0).map((value) => Math.sign(gamma) * value);
  return Uint8Array.from(
    new Uint8ClampedArray(model.toColours(model.decodeTokens(tokens)).map((value) => 255 * value)),
  );
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

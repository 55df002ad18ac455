/** A descent as plain data for the page, as etviz/ui/payload.py. Bytes and numbers travel as typed arrays. */

import { maskToHex } from "../lib/masks.js";
import { sum } from "./energy.js";
import { bytesFromPicture } from "./patches.js";
import { maskedMse, psnrOf } from "./quality.js";

/** Null in place of what is not finite, in a list or alone. */
export const finite = (value) => (Array.isArray(value) ? value.map(finite) : Number.isFinite(value) ? value : null);

/** Everything that the page shows of one descent. */
export function payload(trace, picture, mask) {
  const { states } = trace;
  const each = (read) => finite(states.map(read));
  return {
    ...picturesPayload(framesOf(trace), picture, mask),
    energy: each(({ energy }) => energy),
    attention_energy: each(({ attentionEnergy }) => sum(attentionEnergy)),
    hopfield_energy: each(({ hopfieldEnergy }) => sum(hopfieldEnergy)),
    gradient_norm: each(({ gradientNorm }) => gradientNorm),
    stationarity: each(({ stationarity }) => stationarity),
    rises: risesOf(trace),
    step_sizes: trace.stepSizes,
    settled: trace.settled < 0 ? null : trace.settled,
  };
}

/** The pictures of a descent, and how good each one is: `payload` without the energies. */
export function picturesPayload(frames, picture, mask) {
  const errors = frames.map((frame) => maskedMse(picture, frame, mask));
  return {
    size: Math.sqrt(picture.length / 3),
    mask: maskToHex(mask),
    image: bytesFromPicture(picture),
    frames: bytesOfFrames(frames),
    exact: true, // nothing is compressed on the way to the page
    mse: finite(errors),
    psnr: finite(errors.map(psnrOf)),
  };
}

export const framesOf = (trace) => trace.states.map(({ frame }) => frame);

function bytesOfFrames(frames) {
  const all = new Uint8Array(frames.length * frames[0].length);
  frames.forEach((frame, i) => all.set(bytesFromPicture(frame), i * frame.length));
  return all;
}

/** The steps, counted from 1, that raised the energy within one block, or lost it to NaN. */
export function risesOf({ states }) {
  const steps = states.map((_, i) => i).slice(1);
  const rises = (before, after) => before.block === after.block && !(after.energy <= before.energy);
  return steps.filter((step) => rises(states[step - 1], states[step]));
}

/** Lists of numbers of equal length as one array, row after row. */
export function rowsOf(lists) {
  const rows = new Float32Array(lists.length * lists[0].length);
  lists.forEach((list, i) => rows.set(list, i * list.length));
  return rows;
}

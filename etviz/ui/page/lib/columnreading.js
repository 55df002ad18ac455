/**
 * The descent of one column of a comparison, and what it shows at a step of the page.
 *
 * @import { ColumnReading } from "./readings.d.ts"
 */

import { maskFromHex, sideOf } from "./masks.js";
import { completed, patchTable, rgb, splitFrames } from "./pixels.js";
import { bytes } from "./tools.js";

/** A column's reading with its pictures as bytes. @param {ColumnReading} given */
export function unpackColumn(given) {
  const { size, mask, energy, rises } = given;
  return {
    ...given,
    original: bytes(given.image),
    frames: splitFrames(given.frames, size),
    mask: maskFromHex(mask),
    patches: patchTable(size, sideOf(mask)),
    end: energy ? energy[energy.length - 1] : null,
    rose: rises ? rises.length : null,
  };
}

/** A descent that is shorter than the page's stays at its last step. */
export const frameAt = (reading, step) => Math.min(step, reading.frames.length - 1);

/** The completed picture, as `draw` takes it. */
export function pictureAt(reading, step) {
  const { frames, original, mask, patches } = reading;
  return completed(rgb(frames[frameAt(reading, step)]), rgb(original), mask, patches);
}

/** A number of the reading: one for each step, or one for all. */
export const valueAt = (reading, key, step) =>
  Array.isArray(reading[key]) ? reading[key][frameAt(reading, step)] : reading[key];

/** The energy over the steps as [step, change since step 0 in units of |E₀|]; null where it has none. */
export function relativeEnergy({ energy }) {
  const start = energy?.[0];
  if (!start) return null;
  return energy.map((value, step) => [step, value === null ? null : (value - start) / Math.abs(start)]);
}

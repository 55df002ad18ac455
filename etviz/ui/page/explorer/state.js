/**
 * What the page knows, as plain data, and what follows from it. Nothing here touches the page itself.
 *
 * @import { Answer, Question, Shareable, Start, State } from "../lib/types.d.ts"
 */

import { LARGE } from "../lib/asker.js";
import { countPatches, maskFromHex, maskToHex, resizedMask, sideOf } from "../lib/masks.js";
import { blanked, completed, patchTable, rgb, splitFrames } from "../lib/pixels.js";
import { bytes } from "../lib/tools.js";

/** Stands for the model's own settings. */
export const OWN = {};

/** @param {Start} start @returns {State} */
export function createState(start) {
  const { picture, model, mask, seq = 0 } = start.answer;
  return {
    wanted: { picture, model, snapshot: null, mask: maskFromHex(mask), settings: OWN },
    get mask() {
      return this.wanted.mask;
    },
    answer: null,
    original: new Uint8Array(0),
    frames: [],
    completed: [],
    patches: new Uint16Array(0),
    step: 0,
    patch: null,
    tab: "explore",
    seed: 0,
    veil: null,
    from: null,
    links: {},
    seq,
  };
}

/** @param {State} state */
export const lastStep = (state) => state.answer.energy.length - 1;

/**
 * Put a descent on screen: at its end, unless the reader had stopped somewhere else.
 *
 * @param {State} state @param {Answer} answer
 * @returns {boolean} whether the model has another grid, so that the mask came along with the answer
 */
export function takeAnswer(state, answer) {
  const atEnd = state.answer === null || state.step === lastStep(state);
  const regridded = countPatches(answer.mask) !== state.mask.length;
  if (regridded) {
    state.wanted.mask = maskFromHex(answer.mask);
    state.patch = null;
  }
  state.answer = answer;
  state.frames = splitFrames(answer.frames, answer.size);
  state.original = bytes(answer.image);
  state.patches = patchTable(answer.size, sideOf(answer.mask));
  veilPixels(state, maskFromHex(answer.mask));
  state.completed = [];
  state.step = atEnd ? lastStep(state) : Math.min(state.step, lastStep(state));
  return regridded;
}

/** Under a veil the state holds no pixel that must stay secret, so that no view can give it away. */
function veilPixels(state, mask) {
  const hidden = (i) => mask[state.patches[i]] === 1;
  if (state.veil) state.original = blanked(state.original, hidden);
  if (state.veil === "all") state.frames = state.frames.map((frame) => blanked(frame, hidden));
}

/**
 * One state of the descent as `draw` takes it.
 *
 * @param {State} state @param {number} step @param {boolean} keep whether visible pixels stay as given
 */
export function pixelAt(state, step, keep) {
  if (!keep) return rgb(state.frames[step]);
  state.completed[step] ??= completed(
    rgb(state.frames[step]),
    rgb(state.original),
    maskFromHex(state.answer.mask),
    state.patches,
  );
  return state.completed[step];
}

/** The question whose answer is on screen, for readings of the same descent. @param {Answer} answer */
export function questionOf({ picture, model, snapshot, mask, settings }) {
  const { steps, step_size, beta, rule, settle } = settings;
  return { picture, model, snapshot, mask, settings: { steps, step_size, beta, rule, settle } };
}

/**
 * How many patches a model cuts a picture into, by the menu; `otherwise` where the menu lacks it.
 *
 * @param {Start} start @param {string} model @param {number} otherwise
 */
export const patchesOf = (start, model, otherwise) =>
  start.models?.find(({ name }) => name === model)?.patches ?? otherwise;

/** Whether a model takes large pictures. @param {Start} start @param {string} model */
export const isLarge = (start, model) => (start.models?.find(({ name }) => name === model)?.size ?? 0) >= LARGE;

/** The question for the descent that is wanted. @param {State} state @param {Start} start @returns {Question} */
export function wantedQuestion(state, start) {
  const { picture, model, snapshot, settings } = state.wanted;
  const mask = maskToHex(resizedMask(state.mask, patchesOf(start, model, state.mask.length)));
  return { kind: "trace", seq: state.seq, picture, model, snapshot, mask, settings };
}

/** What the address holds. @param {State} state @returns {Shareable} */
export function shareable({ wanted, answer, mask, seed, step, tab, patch, links }) {
  const { picture, model, snapshot } = wanted;
  const settings = { ...answer?.settings, ...wanted.settings };
  return { picture, model, snapshot, mask: maskToHex(mask), settings, seed, step, tab, patch, linked: links };
}

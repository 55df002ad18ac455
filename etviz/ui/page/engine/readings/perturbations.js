/**
 * Descents from disturbed starts, and whether they settle in the same basin as the undisturbed one, as
 * etviz/analysis/perturbations.py explains.
 */

import { lengthOf } from "../descent.js";
import { UsageError } from "../errors.js";
import { bytesFromPicture, complete, pictureFromBytes } from "../patches.js";
import { finite } from "../payload.js";
import { maskedMse } from "../quality.js";
import { randn } from "../randn.js";
import { planeOf } from "./plane.js";

const RUNS = 3; // from disturbed starts
const BARRIER = 0.001; // share of the energy lost on the way to the settled state; a smaller rise is no barrier
const LINE_POINTS = 17; // between two settled states
const SETTLED = 1e-4; // share of the gradient that may be left along the sphere
const SETTLING_STEPS = 200;

export async function readPerturbations(service, question) {
  const request = await service.readRequest(question);
  const noise = aNoise(question.noise, service.limits.noise);
  const seed = aSeed(question.seed, service.limits.seed);
  const { descent } = request.model;
  const plane = planeOf(descent, await service.trace(request));
  const other = await otherPicture(service, request);
  const experiment = new Experiment(request);
  const reference = await service.inTurns(experiment.undisturbed());
  const control = await service.inTurns(experiment.control(other.picture, reference));
  const runs = [];
  for (let run = seed * RUNS; run < (seed + 1) * RUNS; run++) {
    runs.push(await service.inTurns(experiment.disturbed(noise, run, reference, plane)));
  }
  const { end, valley } = reference;
  const shared = { noise, seed, criterion: BARRIER, limit: SETTLING_STEPS };
  return { ...shared, ...end, valley: valley.shown, control: { caption: other.caption, ...control }, runs };
}

/** The control: the next picture of the gallery, and its caption. */
async function otherPicture(service, { asked, model }) {
  const pictures = await service.pictures(asked.dataset ?? service.firstDataset, model.size);
  const index = pictures.after(asked.index);
  return { picture: pictureFromBytes(pictures.bytes(index)), caption: pictures.caption(index) };
}

/** Descents of one picture under one mask, each of which goes on from its end, on the sphere, until it settles. */
class Experiment {
  constructor({ model, picture, mask, descent }) {
    this.model = model;
    this.picture = picture;
    this.mask = mask;
    this.settings = model.descent.settings(descent);
  }

  /** The descent without noise, where it settles, and the energy that it loses: the unit of a barrier. */
  *undisturbed() {
    const trace = yield* this.model.trace(this.picture, this.mask, this.settings);
    const { end, valley } = yield* this.ends(trace, this.picture);
    const lost = Math.max(Math.abs(trace.states[0].energy - valley.energy), 1.17549435e-38);
    return { trace, end, valley, lost };
  }

  /** Another picture under the same mask: a verdict that holds of it, too, says nothing of this picture. */
  *control(picture, reference) {
    const trace = yield* this.model.trace(picture, this.mask, this.settings);
    const { end, valley } = yield* this.ends(trace, picture);
    return { frame: end.frame, ...this.verdict(reference, valley), valley: valley.shown };
  }

  /** One descent from a disturbed start, beside the undisturbed one. */
  *disturbed(noise, seed, reference, plane) {
    const calm = reference.trace.states;
    const start = disturbedTokens(calm[0].tokens, this.model.descent.width, noise, seed);
    const trace = yield* this.model.trace(this.picture, this.mask, { ...this.settings, start });
    const { states } = trace;
    const { end, valley } = yield* this.ends(trace, this.picture);
    const apart = (state, other) => this.distance(state, other);
    const ratio = apart(states[states.length - 1], calm[calm.length - 1]) / apart(states[0], calm[0]);
    return {
      ...end,
      path: pathOf(states, plane),
      ...this.verdict(reference, valley),
      distance_ratio: finite(ratio),
      valley: valley.shown,
    };
  }

  /** The end of a descent, and the valley in which it settles. */
  *ends({ states }, picture) {
    const { model, mask, settings } = this;
    const last = states[states.length - 1];
    const { tokens, steps } = yield* model.descent.settle(last.tokens, settings, SETTLING_STEPS, SETTLED);
    const energy = model.descent.energy(tokens, settings);
    const shown = (frame, energy) => ({
      frame: bytesFromPicture(complete(picture, frame, mask)),
      mse: finite(maskedMse(picture, frame, mask)),
      energy: finite(energy),
    });
    const valley = { ...shown(model.decode(tokens), energy), steps: steps < 0 ? null : steps };
    return { end: shown(last.frame, last.energy), valley: { tokens, energy, settled: steps >= 0, shown: valley } };
  }

  /** How far the energy rises on the straight line to another settled state, and whether that is a barrier. */
  verdict({ valley: here, lost }, there) {
    const { descent } = this.model;
    const line = Array.from({ length: LINE_POINTS }, (_, i) => {
      const share = i / (LINE_POINTS - 1);
      const between = here.tokens.map((value, k) => value + share * (there.tokens[k] - value));
      return descent.energy(between, this.settings);
    });
    const barrier = (Math.max(...line) - Math.max(line[0], line[LINE_POINTS - 1])) / lost;
    return { barrier: finite(barrier), same_basin: here.settled && there.settled && barrier <= BARRIER };
  }

  /** Between two states in layer-normed tokens. */
  distance(state, other) {
    const { norm } = this.model.descent.blocks[state.block];
    const there = norm.apply(other.tokens);
    return lengthOf(norm.apply(state.tokens).map((value, i) => value - there[i]));
  }
}

/** Start tokens (N, D) with noise relative to each token's root mean square. */
function disturbedTokens(tokens, width, noise, seed) {
  const drawn = randn(tokens.length, seed);
  const size = (token) => lengthOf(tokens.subarray(token * width, (token + 1) * width)) / Math.sqrt(width);
  const sizes = Array.from({ length: tokens.length / width }, (_, token) => size(token));
  return tokens.map((value, i) => value + noise * sizes[Math.floor(i / width)] * drawn[i]);
}

/** Where a run's states lie on the plane: those of the plane's block, where they are finite. */
function pathOf(states, plane) {
  const steps = plane.steps.length < states.length ? plane.steps : Array.from(states.keys());
  return steps.map((step) => plane.project(states[step].tokens)).filter((place) => place.every(Number.isFinite));
}

function aNoise(value, most) {
  if (Number.isFinite(value) && value >= 0 && value <= most) return value;
  throw new UsageError(`The noise is a number from 0 to ${most}, not ${String(value).slice(0, 20)}.`);
}

function aSeed(value, most) {
  if (Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new UsageError(
    `The seed is a whole number from 0 to ${most.toLocaleString("en-US")}, not ${String(value).slice(0, 20)}.`,
  );
}

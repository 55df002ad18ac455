/**
 * Descent on the energy of one picture: the loop, the step rules, and the record of a descent, as etviz/models/descent.py.
 *
 * Settings: {steps, stepSize, beta, rule, tolerance}; with a tolerance, the descent ends once the picture has settled.
 *
 * @import { EnergyBlock } from "./energy.js"
 */

import { layerNormed, sum } from "./energy.js";

const MAX_HALVINGS = 40; // below that no step changes a float32 state

/** Energy functions that are descended one after the other. */
export class EnergyDescent {
  /** @param {EnergyBlock[]} blocks */
  constructor(blocks, { steps, stepSize, normaliseTokens }) {
    this.blocks = blocks;
    this.steps = steps;
    this.stepSize = stepSize;
    this.normaliseTokens = normaliseTokens;
    this.beta = blocks[0].beta;
  }

  get width() {
    return this.last.norm.delta.length;
  }

  get last() {
    return this.blocks[this.blocks.length - 1];
  }

  /** The given settings, with the model's own in place of what is missing. */
  settings({ steps = this.steps, stepSize = this.stepSize, beta = this.beta, rule = "fixed", tolerance = null } = {}) {
    return { steps, stepSize, beta, rule, tolerance };
  }

  /**
   * Descend from the tokens x (N, D), keeping every state. Yields before each evaluation, so that others may compute.
   *
   * @returns {Generator<void, {states: any[], stepSizes: number[], settled: number}>}
   */
  *record(x, settings = this.settings(), { keepAttention = false } = {}) {
    const states = [];
    const stepSizes = [];
    let settled = -1;
    for (const [index, block] of this.blocks.entries()) {
      const energy = new EnergyFunction(block, settings, this.normaliseTokens, keepAttention);
      const isSettled = (state) => settings.tolerance !== null && settles(block, state, settings.tolerance);
      yield;
      let now = energy.at(x);
      settled = isSettled(now) ? stepSizes.length : -1; // each energy function settles anew
      for (let step = 0; step < settings.steps && settled < 0; step++) {
        yield;
        const [next, size] = RULES[settings.rule](energy, now, settings.stepSize);
        states.push(kept(now, index));
        stepSizes.push(size);
        now = next;
        if (isSettled(now)) settled = stepSizes.length;
      }
      x = now.tokens;
      if (index === this.blocks.length - 1) states.push(kept(now, index));
    }
    return { states, stepSizes, settled };
  }

  /**
   * Descend on the sphere by the last energy until the picture has settled, without a record. Yields as `record` does.
   *
   * @returns {Generator<void, {tokens: Float32Array, steps: number}>} The settled state, layer-normed, and the steps that
   * it took: -1 where it did not settle.
   */
  *settle(x, settings, most, tolerance) {
    const energy = new EnergyFunction(this.last, { ...settings, rule: "sphere" });
    let now = energy.at(layerNormed(x, this.width));
    for (let step = 0; step <= most; step++) {
      if (settles(this.last, now, tolerance)) return { tokens: now.tokens, steps: step };
      if (step < most) [now] = RULES.sphere(energy, now, settings.stepSize);
      yield;
    }
    return { tokens: now.tokens, steps: -1 };
  }

  /** The energy of any state by one block's energy function. */
  energy(x, settings, block = this.blocks.length - 1) {
    const chosen = this.blocks[block];
    return chosen.energy(chosen.norm.apply(x), settings.beta);
  }

  /** dE/dg of any state by one block's energy function. */
  gradient(x, settings, block = this.blocks.length - 1) {
    const chosen = this.blocks[block];
    return chosen.evaluate(chosen.norm.apply(x), settings.beta).gradient;
  }
}

/** What is kept of a state: all but its gradient. */
const kept = ({ gradient: _, ...state }, block) => ({ ...state, block });

/** One block's energy as a function of the tokens x, with everything that stays the same during a descent. */
class EnergyFunction {
  constructor(block, { beta, rule }, normaliseTokens = false, keepAttention = false) {
    this.block = block;
    this.beta = beta;
    this.keepAttention = keepAttention;
    this.onSphere = normaliseTokens || rule === "sphere";
  }

  /** The state x and what the energy is there. */
  at(x) {
    const { norm } = this.block;
    const now = this.block.evaluate(norm.apply(x), this.beta, { keepAttention: this.keepAttention });
    return {
      tokens: x,
      ...now,
      energy: Math.fround(sum(now.attentionEnergy)) + Math.fround(sum(now.hopfieldEnergy)),
      gradientNorm: lengthOf(now.gradient),
      stationarity: lengthOf(norm.alongSphere(x, now.gradient)),
    };
  }

  /** Where a step of this size along minus the gradient leads. */
  step({ tokens, gradient }, size) {
    const x = new Float32Array(tokens.length);
    for (let i = 0; i < x.length; i++) x[i] = tokens[i] - size * gradient[i];
    return this.at(this.onSphere ? layerNormed(x, this.block.norm.delta.length) : x);
  }
}

const asAsked = (energy, now, size) => [energy.step(now, size), size];

/** Halve the step while the energy would rise; stay put if it always does. */
function backtracking(energy, now, size) {
  for (let halvings = 0; halvings <= MAX_HALVINGS; halvings++, size /= 2) {
    const next = energy.step(now, size);
    if (Math.fround(next.energy) <= Math.fround(now.energy)) return [next, size]; // not so for NaN
  }
  return [now, 0];
}

// How a step is taken: "sphere" takes it as asked and then layer-norms the tokens, which changes no energy.
export const RULES = { fixed: asAsked, backtracking, sphere: asAsked };

/** Whether at most this share of the gradient is left along the sphere. */
const settles = ({ norm }, { stationarity, gradientNorm }, tolerance) =>
  stationarity <= tolerance * Math.abs(norm.gamma) * gradientNorm;

/** Euclidean. */
export function lengthOf(values) {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i] * values[i];
  return Math.sqrt(squares);
}

/** What a generator returns, without its pauses. */
export function finished(pieces) {
  for (let piece = pieces.next(); ; piece = pieces.next()) if (piece.done) return piece.value;
}

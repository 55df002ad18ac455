/** The energy along minus the gradient, from every state; in a long descent, from every second, third, ... state. */

import { finite } from "../payload.js";
import { LARGE, LARGE_POINTS } from "./plane.js";

const REACH = 4; // length of a line, in step sizes
const [FINE, COARSE] = [41, 21]; // points on a line
const FEW_STATES = 21; // up to this many states, the lines are fine

export async function readGradientLines(service, question) {
  const request = await service.readRequest(question);
  const trace = await service.trace(request);
  const every = Math.ceil(trace.states.length / service.limits.gradient_lines);
  const few = trace.states.length <= FEW_STATES ? FINE : COARSE;
  const points = request.model.patches > LARGE ? LARGE_POINTS : few;
  return { every, lines: await service.inTurns(linesOf(request.model.descent, trace, every, points)) };
}

function* linesOf(descent, trace, every, points) {
  const lines = [];
  for (let step = 0; step < trace.states.length; step += every) {
    lines.push(yield* lineFrom(descent, trace, step, points));
  }
  return lines;
}

/** The energy of x - a * dE/dg for many a, and whether the descent took a step from x. */
function* lineFrom(descent, { states, stepSizes, settings }, step, points) {
  const { tokens, block } = states[step];
  const gradient = descent.gradient(tokens, settings, block);
  const energyAt = (size) => {
    const x = tokens.map((value, i) => value - size * gradient[i]);
    return descent.energy(x, settings, block);
  };
  const stepSize = stepSizes[Math.min(step, stepSizes.length - 1)] || descent.stepSize;
  const sizes = Array.from({ length: points }, (_, i) => stepSize * (-1 + (i * (1 + REACH)) / (points - 1)));
  const energy = [];
  for (const size of sizes) {
    yield;
    energy.push(energyAt(size));
  }
  const ends = { energy_here: finite(energyAt(0)), energy_next: finite(energyAt(stepSize)) };
  return { step, sizes, energy: finite(energy), step_size: stepSize, ...ends, moved: Boolean(stepSizes[step]) };
}

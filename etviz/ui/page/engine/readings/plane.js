/** The energy on the plane of a descent's first two principal components. */

import { layerNormed } from "../energy.js";
import { UsageError } from "../errors.js";
import { finite, rowsOf } from "../payload.js";
import { principalAxes } from "../principal.js";

const POINTS = 25; // along either side
export const [LARGE, LARGE_POINTS] = [100, 13]; // a model of more patches has so many, along a line too
const MARGIN = 0.25; // on each side, as a share of the path's extent
const FLAT = 1e-12; // a direction with a smaller share of the variance does not count

export async function readEnergyPlane(service, question) {
  const request = await service.readRequest(question);
  const { descent } = request.model;
  const trace = await service.trace(request);
  const plane = planeOf(descent, trace);
  return {
    first: plane.first,
    second: plane.second,
    energy: rowsOf(await service.inTurns(energyRows(descent, trace.settings, plane))),
    path: plane.path,
    path_energy: finite(plane.states.map(({ energy }) => energy)),
    steps: plane.steps,
    variance: plane.variance,
    block: descent.blocks.length - 1,
    blocks: descent.blocks.length,
  };
}

/** The plane that fits the states of the last block best, in layer-normed tokens, and a grid over it. */
export function planeOf(descent, trace) {
  const last = descent.blocks.length - 1;
  const steps = trace.states.map((_, step) => step).filter((step) => trace.states[step].block === last);
  const states = steps.map((step) => trace.states[step]);
  const points = states.map(({ tokens }) => layerNormed(tokens, descent.width));
  if (points.length < 3 || !points.every((point) => point.every(Number.isFinite))) {
    throw new UsageError("A plane needs at least three finite states of one block: trace with two steps or more.");
  }
  const { mean, axes, shares } = principalAxes(points);
  if (!(shares[1] > FLAT)) {
    throw new UsageError("These states span no plane: the descent does not move, or moves on a straight line.");
  }
  const project = (tokens) => coordinates(layerNormed(tokens, descent.width), mean, axes);
  const path = points.map((point) => coordinates(point, mean, axes));
  const count = points[0].length / descent.width > 1 + LARGE ? LARGE_POINTS : POINTS;
  const [first, second] = [0, 1].map((axis) =>
    around(
      path.map((place) => place[axis]),
      count,
    ),
  );
  return { first, second, path, project, states, steps, variance: shares, mean, axes };
}

function coordinates(point, mean, axes) {
  return axes.map((axis) => {
    let total = 0;
    for (let i = 0; i < point.length; i++) total += (point[i] - mean[i]) * axis[i];
    return total;
  });
}

/** Numbers from the least coordinate to the largest, with a margin on each side. */
function around(places, count) {
  const [low, high] = [Math.min(...places), Math.max(...places)];
  const extra = MARGIN * (high - low);
  return Array.from({ length: count }, (_, i) => low - extra + (i / (count - 1)) * (high - low + 2 * extra));
}

function* energyRows(descent, settings, { first, second, mean, axes }) {
  const [along, up] = axes;
  const rows = [];
  for (const y of second) {
    const row = [];
    for (const x of first) {
      yield;
      row.push(
        descent.energy(
          mean.map((value, i) => value + x * along[i] + y * up[i]),
          settings,
        ),
      );
    }
    rows.push(row);
  }
  return rows;
}

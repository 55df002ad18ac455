/** The energy in more detail: the part of each token at every step, and how the energy usually falls in a gallery. */

import { sum } from "../energy.js";
import { UsageError } from "../errors.js";
import { pictureFromBytes } from "../patches.js";
import { finite, rowsOf } from "../payload.js";

const QUANTILES = [0.1, 0.5, 0.9];

/** Both energies by token and step, (T+1, 1+N), CLS first. */
export async function readTokenEnergies(service, question) {
  const { states } = await service.trace(await service.readRequest(question));
  return {
    attention: rowsOf(states.map(({ attentionEnergy }) => attentionEnergy)),
    hopfield: rowsOf(states.map(({ hopfieldEnergy }) => hopfieldEnergy)),
  };
}

/** How the energy falls for other pictures of the same gallery, under the same mask and settings. */
export async function readEnergyBand(service, question) {
  const request = await service.readRequest(question);
  const descent = await withFixedSteps(service, request);
  const pictures = await service.pictures(request.asked.dataset ?? service.firstDataset, request.model.size);
  const chosen = pictures.arranged().slice(0, service.limits.band_pictures);
  const end = performance.now() + 1000 * service.limits.band_seconds;
  const lines = [];
  for (const index of chosen) {
    const picture = pictureFromBytes(pictures.bytes(index));
    lines.push(energiesOf(await service.inTurns(request.model.trace(picture, request.mask, descent))));
    if (performance.now() > end) break;
  }
  const changes = lines.map((line) => line.map((values) => values.map((value) => value - values[0])));
  return { count: lines.length, source: pictures.source, values: band(lines), changes: band(changes) };
}

/** The descent of the request, with a fixed number of steps. */
async function withFixedSteps(service, request) {
  const { descent } = request;
  if (descent.tolerance === null) return descent;
  if (request.model.descent.blocks.length > 1) {
    throw new UsageError("Several energies settle at different steps: for a band, choose a number of steps.");
  }
  const { states } = await service.trace(request);
  return { ...descent, steps: states.length - 1, tolerance: null };
}

/** Total, attention and Hopfield energy at every step. */
function energiesOf({ states }) {
  const [attention, hopfield] = ["attentionEnergy", "hopfieldEnergy"].map((key) => states.map((s) => sum(s[key])));
  return [states.map(({ energy }) => energy), attention, hopfield];
}

/** The quantiles over pictures of each energy at every step. */
function band(lines) {
  const of = (part) =>
    QUANTILES.map((share) =>
      lines[0][part].map((_, step) => {
        return quantile(
          lines.map((line) => line[part][step]),
          share,
        );
      }),
    );
  return finite2({ energy: of(0), attention_energy: of(1), hopfield_energy: of(2) });
}

const finite2 = (parts) => Object.fromEntries(Object.entries(parts).map(([name, rows]) => [name, finite(rows)]));

/** Between two values in proportion, as torch.quantile; NaN where a value is. */
function quantile(values, share) {
  if (values.some(Number.isNaN)) return NaN;
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const low = sorted[Math.floor(place)];
  return low + (place % 1) * (sorted[Math.ceil(place)] - low);
}

/** How models were trained: a list of the runs, the curves of one, and one picture through its epochs. */

import { bytesFromPicture } from "../patches.js";
import { framesOf, picturesPayload } from "../payload.js";
import { descend } from "./compare.js";

/** The models of the menu, and those that were trained beside them. */
export async function readRuns(service) {
  return { runs: await Promise.all(service.runs().map(async (name) => (await service.training(name)).run)) };
}

/** One run's curves, facts and state. */
export async function readTraining(service, { run }) {
  return service.training(String(run));
}

/** One masked picture, reconstructed by each snapshot of a run and by its final weights, with the model's settings. */
export async function readEpochs(service, question) {
  const { run } = await service.training(String(question.run));
  const epochs = [];
  let shown = null;
  for (const epoch of [...run.snapshots, { file: null, epoch: run.epoch }]) {
    const request = await service.readRequest(ofEpoch(question, epoch.file, service.limits));
    const { frames, mse, psnr } = picturesPayload(
      framesOf(await descend(service, request)),
      request.picture,
      request.mask,
    );
    epochs.push({ ...epoch, frames, mse, psnr });
    shown = request;
  }
  return { size: shown.model.size, image: bytesFromPicture(shown.picture), epochs };
}

/** The question, with the weights of one epoch. */
function ofEpoch({ picture, mask, run, steps }, snapshot, limits) {
  const few = Number.isInteger(steps) ? Math.min(steps, limits.epoch_steps) : steps;
  return { picture, mask, model: run, snapshot, settings: { steps: few } };
}

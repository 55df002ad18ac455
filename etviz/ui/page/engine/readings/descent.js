/** The descent itself: all its states at once, for the page to walk through. */

import { maskToHex } from "../../lib/masks.js";
import { finished } from "../descent.js";
import { bytesFromPicture } from "../patches.js";
import { payload } from "../payload.js";

export async function readDescent(service, question) {
  const request = await service.readRequest(question);
  const trace = await service.trace(request, { urgent: true });
  return {
    seq: seqOf(question),
    model: request.modelName,
    snapshot: request.snapshot,
    picture: request.asked,
    caption: request.caption,
    settings: request.settingsForPage,
    ...payload(trace, request.picture, request.mask),
  };
}

/** The first few steps of a descent, to be shown while the whole is computed; only seq where it has no more than that. */
export async function readFirstSteps(service, question) {
  const request = await service.readRequest(question);
  const { model, picture, mask, descent } = request;
  const few = service.limits.first_steps;
  if (descent.steps <= few || descent.tolerance !== null || model.descent.blocks.length > 1) {
    return { seq: seqOf(question) };
  }
  const { states } = finished(model.trace(picture, mask, { ...descent, steps: few }));
  const shown = { size: model.size, mask: maskToHex(mask), image: bytesFromPicture(picture) };
  return { seq: seqOf(question), ...shown, step: few, frame: bytesFromPicture(states[states.length - 1].frame) };
}

const seqOf = ({ seq }) => (Number.isFinite(seq) ? seq : null);

/** The descent itself: all its states at once, for the page to walk through. */

import { payload } from "../payload.js";

export async function readDescent(service, question) {
  const request = await service.readRequest(question);
  const trace = await service.trace(request, { urgent: true });
  return {
    seq: Number.isFinite(question.seq) ? question.seq : null,
    model: request.modelName,
    snapshot: request.snapshot,
    picture: request.asked,
    caption: request.caption,
    settings: request.settingsForPage,
    ...payload(trace, request.picture, request.mask),
  };
}

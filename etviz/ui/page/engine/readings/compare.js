/** Several models, snapshots or settings on one picture and mask, side by side in columns. */

import { anObject, UsageError } from "../errors.js";
import { complete } from "../patches.js";
import { finite, framesOf, picturesPayload, risesOf } from "../payload.js";
import { ssimOf } from "../quality.js";

/** The pictures and numbers of every column, at every step; a column that fails holds a sentence. */
export async function readCompare(service, question) {
  const { columns, picture } = question;
  const most = service.limits.columns;
  if (!Array.isArray(columns) || columns.length < 1 || columns.length > most) {
    throw new UsageError(`One to ${most} columns can be compared: reload the page.`);
  }
  const read = [];
  for (const column of columns) read.push(await columnOrSentence(service, picture, column));
  return { columns: read };
}

async function columnOrSentence(service, picture, column) {
  try {
    return await readColumn(service, await service.readRequest({ ...anObject(column), picture }));
  } catch (error) {
    if (error instanceof UsageError) return { error: error.message };
    throw error;
  }
}

async function readColumn(service, request) {
  const { picture, mask } = request;
  const start = performance.now();
  const trace = await descend(service, request);
  const milliseconds = performance.now() - start;
  const frames = framesOf(trace);
  return {
    ...picturesPayload(frames, picture, mask),
    ssim: frames.map((frame) => finite(ssimOf(picture, complete(picture, frame, mask)))),
    energy: finite(trace.states.map(({ energy }) => energy)),
    rises: risesOf(trace),
    milliseconds,
  };
}

/** The trace of a request, computed anew since its time is shown, unless it diverged. */
export async function descend(service, request) {
  const { model, picture, mask, descent } = request;
  const trace = await service.inTurns(model.trace(picture, mask, descent));
  if (!framesOf(trace).every((frame) => frame.every(Number.isFinite))) {
    throw new UsageError("This descent diverged: take a smaller step size.");
  }
  return trace;
}

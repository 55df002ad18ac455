/** How good the picture is next to fills that need no learning: SSIM at every step, the mean, and the smoothest one. */

import { biharmonicFill, isSmooth, meanFill } from "../fills.js";
import { complete } from "../patches.js";
import { finite, framesOf } from "../payload.js";
import { maskedMse, psnrOf, ssimOf } from "../quality.js";

/** As in Python, but for the best fill: OpenCV's two are not there, and large pictures have the mean alone. */
export async function readQuality(service, question) {
  const request = await service.readRequest(question);
  const { picture, mask, model } = request;
  const frames = framesOf(await service.trace(request));
  const ssim = await service.inTurns(ssimOfAll(frames, picture, mask));
  const mean_fill = measured("visible mean", meanFill, picture, mask);
  const best_fill = isSmooth(model.size) ? measured("biharmonic", biharmonicFill, picture, mask) : mean_fill;
  return { ssim, mean_fill, best_fill };
}

function* ssimOfAll(frames, picture, mask) {
  const values = [];
  for (const frame of frames) {
    yield;
    values.push(finite(ssimOf(picture, complete(picture, frame, mask))));
  }
  return values;
}

function measured(name, fill, picture, mask) {
  const filled = fill(picture, mask);
  const error = maskedMse(picture, filled, mask);
  return { name, mse: finite(error), psnr: finite(psnrOf(error)), ssim: finite(ssimOf(picture, filled)) };
}

/**
 * The reader's own pictures: from a file, dropped on the page, or from the camera.
 *
 * @import { Picture } from "../lib/types.d.ts"
 */

import { shrunk } from "../lib/crop.js";
import { h } from "../lib/tools.js";
import { createCamera } from "./camera.js";
import { createCropNote } from "./cropnote.js";

const UNSENT = "The picture did not reach the server. Is the app still running?";

/**
 * `controls` to choose with, and a `note` that shows how the picture was cropped. `limit` is {bytes, side};
 * `readFile(file, model)` gives {pixels} or {error}, for the model wanted where none is named; `onPicture(picture)` takes
 * a picture, `onProblem(sentence)` says what is wrong with it. The browser itself shrinks a file that is too large.
 */
export function createUploads({ limit, readFile, onPicture, onBusy, onProblem }) {
  const megabytes = limit.bytes / 2 ** 20;
  const note = createCropNote();
  const file = h("input", {
    type: "file",
    accept: "image/png,image/jpeg,image/webp",
    class: "etviz-file",
    tabindex: "-1",
    "aria-hidden": "true",
  });
  file.addEventListener("change", () => {
    if (file.files.length) take(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  });
  const title = "PNG, JPEG or WebP; the square in the middle is used, and large photographs are shrunk here first";
  const button = h("button", { type: "button", click: () => file.click(), title }, "Upload…");
  // The camera's dialog has shown the crop.
  const camera = createCamera({ onFile: (shot) => take(shot, { shown: false }), onProblem });

  let last = { file: null, pixels: "" };

  async function read(chosen, model) {
    onBusy(true);
    const answer = await readFile(chosen, model).catch(() => ({ error: UNSENT }));
    onBusy(false);
    if (!answer.error) last = { file: chosen, pixels: answer.pixels };
    return answer;
  }

  /**
   * The picture in the size of another model. Its file is read again where it is still known; otherwise the server
   * resizes what there is. @param {Picture} picture @param {string} model
   */
  async function again(picture, model) {
    if (!picture.pixels || picture.pixels !== last.pixels) return picture;
    const answer = await read(last.file, model);
    return answer.error ? picture : { ...picture, pixels: answer.pixels };
  }

  async function take(chosen, { shown = true } = {}) {
    const sent = chosen.size > limit.bytes ? await shrunk(chosen) : chosen;
    if (!sent)
      return onProblem(
        `${chosen.name} is larger than ${megabytes} MB, and this browser cannot read it: choose another.`,
      );
    const answer = await read(sent);
    if (answer.error) return onProblem(answer.error);
    onPicture({ pixels: answer.pixels, name: chosen.name });
    if (shown) await note.show(chosen, Math.sqrt(answer.pixels.length / 4)); // base64 of three bytes a pixel
  }

  return {
    take,
    again,
    note,
    controls: [button, file, ...(camera ? [camera.button, camera.dialog] : [])],
  };
}

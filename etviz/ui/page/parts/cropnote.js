/** A note that shows how an upload was cropped: the whole picture, with the square that was used. */

import { centredSquare } from "../lib/crop.js";
import { h } from "../lib/tools.js";

/** The note stays until it is dismissed. */
export function createCropNote() {
  const image = h("img", { alt: "All of your picture" });
  const square = h("i");
  const words = h("figcaption");
  const close = h("button", { type: "button", class: "etviz-icon", "aria-label": "Dismiss", click: hide }, "×");
  const node = h(
    "figure",
    { class: "etviz-crop", role: "note", hidden: true },
    h("div", { class: "etviz-cropped" }, image, square),
    words,
    close,
  );

  function hide() {
    node.hidden = true;
    URL.revokeObjectURL(image.src);
  }

  return {
    node,
    hide,
    /** Show `file` with its centred square, which became size x size pixels. */
    async show(file, size) {
      hide();
      image.src = URL.createObjectURL(file);
      await image.decode();
      const [width, height] = [image.naturalWidth, image.naturalHeight];
      const { left, top, side } = centredSquare(width, height);
      const percent = (part, whole) => `${(100 * part) / whole}%`;
      square.style.left = percent(left, width);
      square.style.top = percent(top, height);
      square.style.width = percent(side, width);
      square.style.height = percent(side, height);
      const used = width === height ? "All of it" : `The ${side}×${side} square in the middle`;
      const change = side === size ? "used as it is, in" : side > size ? "shrunk to" : "enlarged to";
      words.textContent = `Your picture has ${width}×${height} pixels. ${used} was ${change} ${size}×${size}.`;
      node.hidden = false;
    },
  };
}

/** What the model makes of the picture, right beside the painter: for pages too narrow to show a view there. */

import { draw, rgb } from "../lib/pixels.js";
import { h } from "../lib/tools.js";

/**
 *   show(state, pixel)   the step on screen; `pixel` is its picture as `draw` takes it
 */
export function createPreview() {
  const [result, picture] = [createBoard("Result", "is-result"), createBoard("Picture")];
  const node = h("div", { class: "etviz-preview" }, result.node, picture.node);
  return {
    node,
    show({ answer, original, step }, pixel) {
      if (!node.checkVisibility()) return;
      draw(result.canvas, answer.size, pixel);
      draw(picture.canvas, answer.size, rgb(original));
      result.value.textContent = `step ${step}`;
    },
  };
}

function createBoard(title, name = "") {
  const canvas = h("canvas", { role: "img", "aria-label": title });
  const value = h("span");
  const caption = h("figcaption", {}, h("span", {}, title), value);
  const node = h("figure", { class: `etviz-tile ${name}` }, caption, h("div", { class: "etviz-canvas" }, canvas));
  return { node, canvas, value };
}

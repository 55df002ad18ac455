/** What the colours of a map or a picture stand for. */

import { VIRIDIS } from "../lib/pixels.js";
import { h } from "../lib/tools.js";

function createGradient() {
  const bar = h("i");
  bar.style.background = `linear-gradient(to right, ${VIRIDIS.map((colour) => `rgb(${colour.join(" ")})`).join(", ")})`;
  return bar;
}

/** The viridis colours in one line of text, between their two ends; `low`, `high` and `before` are texts or nodes. */
export function createColourBar(low, high, title, before = null) {
  return h("div", { class: "etviz-bar", title }, before, low, createGradient(), high);
}

/** The viridis colours across a map, over three numbers: left, middle and right. `show(texts, title)`. */
export function createScale() {
  const numbers = [0, 1, 2].map(() => h("span"));
  const node = h("div", { class: "etviz-scale" }, createGradient(), h("div", {}, ...numbers));
  return {
    node,
    show(texts, title) {
      numbers.forEach((cell, i) => {
        cell.textContent = texts[i];
      });
      node.title = title;
    },
  };
}

/** A picture with a number for every token: the patches laid over it, the CLS token beside its title. */

import { maskFromHex, middlePatch } from "../lib/masks.js";
import { viridis } from "../lib/pixels.js";
import { h } from "../lib/tools.js";
import { createPatchMap } from "./patchmap.js";

const CLS_TITLE = "The CLS token belongs to no patch, and descends with the patches. Its colour follows their scale";

/** The patch that views show: the chosen one, or a hidden one near the middle. */
export function patchInView(app) {
  const mask = maskFromHex(app.answer.mask);
  return app.patch !== null && app.patch >= 0 && app.patch < mask.length ? app.patch : middlePatch(mask);
}

/**
 * A patch map (see `createPatchMap`) with the CLS token beside its title. `brief(value)` is a value in few characters.
 *
 *   values(tokens, scale)     a number for each token, CLS first
 */
export function createTokenMap({ title = null, label, onPick = null, tell, brief }) {
  const map = createPatchMap({ label, onPick, tell });
  const swatch = h("i");
  const number = h("b");
  const node = h(
    "figure",
    { class: "etviz-tokens" },
    h(
      "figcaption",
      {},
      title ? h("h2", {}, title) : null,
      h("span", { class: "etviz-cls", title: CLS_TITLE }, "CLS", swatch, number),
    ),
    map.node,
  );
  return {
    node,
    show: map.show,
    select: map.select,
    values(tokens, scale) {
      const { low = 0, high = 1, colour = viridis } = scale;
      map.values(tokens.slice(1), scale);
      swatch.style.background = `rgb(${colour((tokens[0] - low) / (high - low || 1))
        .map(Math.round)
        .join(" ")})`;
      number.textContent = brief(tokens[0]);
    },
  };
}

/** The memories that carry most of one patch's energy, as a row of cards. */

import { byUse, energyWords, shareWords, sumOf } from "../lib/memoryuse.js";
import { draw } from "../lib/pixels.js";
import { h } from "../lib/tools.js";

const TOP_MEMORIES = 8;

/**
 * `onMemory(memory)` when the reader chooses one.
 *
 *   show(all, token, at, chosen)   `unpackMemories` of the model, the energy of each memory in the patch's token, the
 *                                  step, and the memory that is chosen
 */
export function createTopMemories({ onMemory }) {
  const cards = Array.from({ length: TOP_MEMORIES }, () => createCard(onMemory));
  return {
    node: h("div", { class: "etviz-top-memories" }, ...cards.map((card) => card.node)),
    show(all, token, at, chosen) {
      const order = byUse(token);
      const whole = sumOf(token);
      cards.forEach((card, rank) => {
        card.node.hidden = rank >= order.length;
        if (!card.node.hidden) card.show(all, order[rank], token[order[rank]], whole, at, chosen);
      });
    },
  };
}

function createCard(onMemory) {
  const [canvas, energy, share] = [h("canvas"), h("b"), h("span")];
  let shown = 0;
  const node = h("button", { type: "button", click: () => onMemory(shown) }, canvas, energy, share);
  return {
    node,
    show(all, memory, value, whole, at, chosen) {
      shown = memory;
      draw(canvas, all.patch_size, all.pixelAt(at, memory));
      energy.textContent = energyWords(value);
      share.textContent = shareWords(value, whole);
      const words = `energy ${energy.textContent}, ${share.textContent} of this patch's Hopfield energy at step ${at}`;
      node.title = `Memory ${memory}: ${words}`;
      node.setAttribute("aria-label", node.title);
      node.setAttribute("aria-pressed", String(memory === chosen));
    },
  };
}

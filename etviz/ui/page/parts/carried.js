/** How much of the Hopfield energy the strongest memories carry: in the picture and in one patch. */

import { createCurve, cumulated } from "../charts/curve.js";
import { energyWords, sumOf } from "../lib/memoryuse.js";
import { clamp, h } from "../lib/tools.js";

const FIRST_NUMBER = 20; // of memories

/**
 * `onNumber()` when the reader asks about another number of memories.
 *
 *   show(energy, token, mean, at)   the energy of each memory in the picture and in the patch's token; whether the former
 *                                   is a mean over the descent; the step
 */
export function createCarried({ onNumber }) {
  const sentence = h("p", { class: "etviz-carried" });
  const curve = createCurve({ label: "Number of memories", onNumber: choose });
  let number = FIRST_NUMBER;

  function choose(next) {
    number = next;
    onNumber();
  }

  function percentOf({ mark, shares }) {
    const percent = `${(100 * shares[number]).toFixed(0)}%`;
    return h("span", { class: `is-${mark}` }, h("i", { class: "etviz-key" }), h("b", {}, percent));
  }

  return {
    nodes: [sentence, curve.node],
    show(energy, token, mean, at) {
      const picture = { mark: "picture", shares: cumulated(energy) };
      const patch = { mark: "patch", shares: cumulated(token) };
      number = clamp(number, 1, energy.length);
      sentence.replaceChildren(
        `The ${number} strongest of ${energy.length} memories carry `,
        percentOf(picture),
        ` of the picture's (${mean ? "mean " : ""}${energyWords(sumOf(energy))}); `,
        `the patch's own ${number} carry `,
        percentOf(patch),
        ` of its (${energyWords(sumOf(token))}).`,
      );
      const when = mean ? "in the mean over the descent" : `at step ${at}`;
      sentence.title = `The picture ${when}, the patch at step ${at}, each in its own order`;
      curve.show([picture, patch], number, sentence.textContent);
    },
  };
}

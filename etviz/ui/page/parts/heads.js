/** Small maps of every head in both roles, with its entropy over the steps. A click chooses a head. */

import { COVER } from "../charts/patchmap.js";
import { draw } from "../lib/pixels.js";
import { h, svg } from "../lib/tools.js";

const SPARK = { width: 100, height: 30 }; // in its own units, since it stretches
const ROLE_NAMES = ["as a query", "as a key"];

/**
 * The mean of the heads, then each head. `onHead(head)` when the reader chooses one; null is the mean.
 *
 *   show(entropy, maximum)      entropy[card][step] in bits; card 0 is the mean, then the heads
 *   step(step, picture, small)  small[card] = {maps: [as query, as key], scale}, a number for each patch, laid over the
 *                               canvas `picture`
 *   select(head)
 */
export function createHeads({ onHead }) {
  const node = h("div", { class: "etviz-heads", role: "group", "aria-label": "Heads" });
  const veil = h("canvas");
  let cards = [];
  let entropy = [];
  let maximum = 1;

  function createCard(_, i) {
    const canvases = ROLE_NAMES.map((role) => h("canvas", { title: role }));
    const course = svg("path", { class: "etviz-spark-line" });
    const now = svg("line", { class: "etviz-now", y1: 0, y2: SPARK.height });
    const bits = h("span");
    const spark = svg(
      "svg",
      {
        class: "etviz-spark",
        viewBox: `0 0 ${SPARK.width} ${SPARK.height}`,
        preserveAspectRatio: "none",
        "aria-hidden": "true",
      },
      ...[0, SPARK.height].map((y) => svg("line", { class: "etviz-rule", x1: 0, x2: SPARK.width, y1: y, y2: y })),
      now,
      course,
    );
    const card = h(
      "span",
      { class: "etviz-card" },
      h("b", {}, ...(i ? [h("i", {}, "Head "), String(i - 1)] : [cardName(i)])),
      ...canvases,
      spark,
      bits,
    );
    const button = h("button", { type: "button", click: () => onHead(i ? i - 1 : null) }, card);
    return { button, canvases, course, now, bits };
  }

  const cardName = (i) => (i ? `Head ${i - 1}` : "Mean");
  const acrossSpark = (step) => (step / Math.max(entropy[0].length - 1, 1)) * SPARK.width;

  function show(courses, most) {
    [entropy, maximum] = [courses, most];
    if (cards.length !== courses.length) {
      cards = courses.map(createCard);
      node.replaceChildren(...cards.map((card) => card.button));
    }
    cards.forEach((card, i) => {
      const up = (bits) => (1 - bits / maximum) * SPARK.height;
      const points = courses[i].map((bits, step) => `${acrossSpark(step).toFixed(1)} ${up(bits).toFixed(2)}`);
      card.course.setAttribute("d", `M${points.join("L")}`);
    });
  }

  function step(at, picture, small) {
    cards.forEach((card, i) => {
      const bits = entropy[i][at].toFixed(2);
      card.canvases.forEach((canvas, role) => lay(canvas, picture, small[i].maps[role], small[i].scale));
      for (const end of ["x1", "x2"]) card.now.setAttribute(end, acrossSpark(at));
      card.bits.textContent = bits;
      const words = `${cardName(i)}: entropy ${bits} of at most ${maximum.toFixed(2)} bits at step ${at}`;
      card.button.setAttribute("aria-label", words);
      card.button.title = i ? words : `${words}, the mean of the heads' entropies`;
    });
  }

  /** Draw a picture with colours over it, like the larger maps. */
  function lay(canvas, picture, list, { low, high, colour }) {
    draw(veil, Math.sqrt(list.length), (i) => colour((list[i] - low) / (high - low || 1)));
    if (canvas.width !== picture.width) canvas.width = canvas.height = picture.width;
    const pen = canvas.getContext("2d");
    pen.imageSmoothingEnabled = false;
    pen.globalAlpha = 1;
    pen.drawImage(picture, 0, 0);
    pen.globalAlpha = COVER;
    pen.drawImage(veil, 0, 0, canvas.width, canvas.height);
  }

  return {
    node,
    show,
    step,
    select(head) {
      cards.forEach((card, i) => card.button.setAttribute("aria-pressed", i === (head === null ? 0 : head + 1)));
    },
  };
}

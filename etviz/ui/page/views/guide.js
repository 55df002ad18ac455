/**
 * The Guide: five steps drawn from what is on screen, each with a button that leads there, and a game for a class.
 *
 * @import { MemorySheet } from "../lib/readings.d.ts"
 * @import { App, View } from "../lib/types.d.ts"
 */

import { linearScale, linePath } from "../charts/axes.js";
import { createReader } from "../lib/asker.js";
import { anySeed, countHidden, gridMask, halfMask, randomMask, sideOf } from "../lib/masks.js";
import { draw, drawTiles, holed, rgb } from "../lib/pixels.js";
import { bytes, clamp, format, h, svg } from "../lib/tools.js";
import { createGame } from "../parts/game.js";

const STRIP = [0, 1 / 12, 1 / 4, 1]; // how far along the descent each frame of the strip is
const CURVE = { width: 200, height: 92, edge: 7 };
const OWN_SETTINGS = {}; // the model's

/** @param {App} app @returns {View} */
export function createGuideView(app) {
  const pictures = {
    masking: [createPicture("The picture"), createPicture("The same with its hidden patches left out")],
    patches: [createPicture("The picture cut into its patches")],
    descent: STRIP.map(() => createPicture("")),
    memories: [createPicture("Memories, decoded as patches")],
  };
  const curve = svg("svg", { class: "etviz-guide-curve", role: "img", viewBox: `0 0 ${CURVE.width} ${CURVE.height}` });
  const words = Object.fromEntries(
    ["masking", "patches", "energy", "descent", "memories"].map((name) => [name, h("p")]),
  );
  const count = () => app.mask.length;
  const cards = [
    card("masking", "1. Masking", pictures.masking, "Hide 85% at random", () => {
      app.setSeed(anySeed());
      return { tab: "explore", mask: randomMask(count(), 0.85, app.seed), step: 0 };
    }),
    card("patches", "2. Patches", pictures.patches, "Hide every second patch", () => ({
      tab: "explore",
      mask: gridMask(count()),
      step: app.answer.energy.length - 1,
    })),
    card("energy", "3. Energy", [curve], "Follow the energy", () => ({ tab: "energy", step: 0 })),
    card("descent", "4. Descent", pictures.descent, "Walk down from step 0", () => ({
      tab: "landscape",
      mask: halfMask(count(), "right"),
      step: 0,
    })),
    card("memories", "5. Memories", pictures.memories, "Look at the memories", () => ({
      tab: "memories",
      step: app.answer.energy.length - 1,
    })),
  ];
  const game = createGame(app, (playing) => (steps.hidden = playing));
  const steps = h("div", { class: "etviz-guide-steps" }, ...cards, game.invitation);
  const node = h("div", { class: "etviz-guide" }, steps, game.node);
  const readMemories = createReader(app, "memory_sheet", showMemories);
  let asked = null; // the answer that the memories were read for

  function createPicture(label) {
    return h("canvas", { role: "img", "aria-label": label });
  }

  function card(name, title, images, label, where) {
    const lead = () => app.lead({ settings: OWN_SETTINGS, ...where() });
    return h(
      "article",
      { class: `etviz-lesson is-${name}` },
      h("h2", {}, title),
      h("div", { class: "etviz-lesson-picture" }, ...images),
      words[name],
      h("button", { type: "button", click: lead }, `${label} →`),
    );
  }

  function showMasking(mask) {
    const pixel = rgb(app.original);
    draw(pictures.masking[0], app.answer.size, pixel);
    draw(pictures.masking[1], app.answer.size, holed(pixel, mask, app.patches));
    const hidden = countHidden(mask);
    words.masking.textContent = `${hidden} of ${mask.length} patches are hidden. The model sees only the others, and rebuilds the hidden ones.`;
  }

  function showPatches({ size, mask }) {
    const side = sideOf(mask);
    const patch = size / side;
    const pixel = rgb(app.original);
    drawTiles(pictures.patches[0], side, patch, (tile, i) => {
      const [row, column] = [
        Math.floor(tile / side) * patch + Math.floor(i / patch),
        (tile % side) * patch + (i % patch),
      ];
      return pixel(row * size + column);
    });
    words.patches.textContent = `${side} by ${side} patches of ${patch} by ${patch} pixels. Each becomes a token: a list of numbers for the model to change.`;
  }

  function showCurve({ energy }, step) {
    const known = energy.filter((value) => Number.isFinite(value));
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const last = energy.length - 1;
    const x = linearScale([0, last], CURVE.edge, CURVE.width - CURVE.edge);
    const y = linearScale([low, high], CURVE.height - CURVE.edge, CURVE.edge);
    curve.setAttribute("aria-label", `Energy from ${format(energy[0])} to ${format(energy[last])}`);
    curve.replaceChildren(
      svg("path", { class: "etviz-line is-total", d: linePath(energy, x, y) }),
      svg("circle", { class: "etviz-here", cx: x(step), cy: y(energy[step]), r: 6 }),
    );
    words.energy.textContent = `How badly all tokens fit together: ${format(energy[step], 6)} at step ${step}. Lower fits better, but may not look better.`;
  }

  function showStrip({ size, energy }) {
    const last = energy.length - 1;
    const wanted = STRIP.map((share) => clamp(Math.round(share * last), 0, last));
    wanted.forEach((step, i) => {
      draw(pictures.descent[i], size, app.pixel(step));
      pictures.descent[i].setAttribute("aria-label", `Step ${step}`);
    });
    words.descent.textContent = `Each of the ${last} steps moves all tokens downhill on the energy. Here are steps ${wanted.slice(0, -1).join(", ")} and ${wanted[wanted.length - 1]}.`;
  }

  /** @param {MemorySheet} reading */
  function showMemories({ size, count: all, patches, share }) {
    const side = Math.ceil(Math.sqrt(patches.length));
    const pixels = patches.map((patch) => rgb(bytes(patch)));
    drawTiles(pictures.memories[0], side, size, (tile, i) => pixels[tile]?.(i) ?? null);
    words.memories.textContent = `A token that matches one of ${all} learned memories has less energy. These ${patches.length} carry ${Math.round(100 * share)}% of the Hopfield energy here.`;
  }

  return {
    name: "guide",
    title: "Guide",
    text: "Five steps from a hidden picture to a rebuilt one, drawn from what is on screen. Each button takes the page to what its step is about; a button there leads back.",
    node,
    show(answer) {
      game.show();
      showMasking(app.mask);
      showPatches(answer);
      showStrip(answer);
      if (asked !== answer) readMemories();
      asked = answer;
    },
    step(step) {
      showCurve(app.answer, step);
      game.step(step);
    },
    paint: showMasking,
  };
}

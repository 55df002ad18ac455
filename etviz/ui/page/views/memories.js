/**
 * Memories: all of them by use, their share of the energy, those that act on one patch, and where one fires.
 *
 * @import { App, View } from "../lib/types.d.ts"
 */

import { createScale } from "../charts/colourbar.js";
import { createCurve, cumulated } from "../charts/curve.js";
import { createMemoryGrid } from "../charts/memorygrid.js";
import { patchName } from "../charts/patchmap.js";
import { createTokenMap, patchInView } from "../charts/tokenmap.js";
import { createReader } from "../lib/asker.js";
import { sideOf } from "../lib/masks.js";
import { draw } from "../lib/pixels.js";
import { bytes, clamp, floats, format, h } from "../lib/tools.js";
import { createSwitch } from "../parts/switch.js";

const TOP_MEMORIES = 8; // shown for the chosen patch
const USES = { step: { text: "At this step" }, descent: { text: "Over the descent" } };
const ENERGY_SCALE = "Energy that this memory gives to a token (no unit). The colours are the same at all steps";
const MEMORY_PICTURE =
  "A memory is a direction in the space of tokens. It is drawn as the patch that the decoder makes of the token it pulls towards, which is stronger than in any picture";
const energyWords = (value) => (value ? format(value, 4) : "0");
const shareWords = (part, whole) => (whole ? `${(100 * (part / whole)).toFixed(1)}%` : "–");
const sumOf = (values) => values.reduce((sum, value) => sum + value, 0);
/** Memories, the one with the lowest energy first. */
const byUse = (energy) => Array.from(energy.keys()).sort((a, b) => energy[a] - energy[b] || a - b);

/** @param {App} app @returns {View} */
export function createMemoriesView(app) {
  const readAll = createReader(app, "memories", acceptAll);
  const readPatch = createReader(app, "memories_of_patch", acceptPatch);
  const readPlaces = createReader(app, "memory_places", acceptPlaces);
  const grid = createMemoryGrid({ onPick: chooseMemory, tell: tellMemory });
  const curve = createCurve({ label: "Number of memories", onNumber: chooseNumber });
  const map = createTokenMap({
    label: "Where the memory fires; choose a patch",
    onPick: app.choosePatch,
    tell: (value) => `energy ${energyWords(value)}`,
    brief: energyWords,
  });
  const scale = createScale();
  const [count, name, facts, whose] = [h("h2"), h("h2"), h("p", { class: "etviz-hint" }), h("h2")];
  const [carried, whichPart] = [h("p", { class: "etviz-carried" }), h("p", { class: "etviz-hint", hidden: true })];
  const portrait = h("canvas", { class: "etviz-portrait", title: MEMORY_PICTURE });
  const cards = Array.from({ length: TOP_MEMORIES }, createCard);
  let by = "step";
  const uses = createSwitch({ label: "Use", options: USES, chosen: by, onChoose: chooseBy });
  const node = h(
    "div",
    { class: "etviz-memories" },
    h(
      "div",
      { class: "etviz-aside" },
      h("div", { class: "etviz-head" }, count, uses),
      grid.node,
      h("h2", {}, "How much of the Hopfield energy they carry"),
      carried,
      curve.node,
      whichPart,
    ),
    h(
      "div",
      { class: "etviz-aside" },
      h("div", { class: "etviz-memory" }, portrait, h("div", {}, name, facts)),
      map.node,
      scale.node,
      whose,
      h("div", { class: "etviz-top-memories" }, ...cards.map((card) => card.node)),
    ),
  );
  // The readings on screen, each with the answer it was read for.
  let all = null;
  let ofPatch = null;
  let places = null;
  let memory = null; // the chosen one
  let number = 20; // of memories, in the curve

  function createCard() {
    const [canvas, energy, share] = [h("canvas"), h("b"), h("span")];
    const card = { memory: 0, canvas, energy, share };
    card.node = h("button", { type: "button", click: () => chooseMemory(card.memory) }, canvas, energy, share);
    return card;
  }

  // -- asking

  function ask() {
    const patch = patchInView(app);
    map.select(patch);
    node.classList.toggle("is-waiting", all?.answer !== app.answer);
    readAll();
    readPatch({ patch });
    askForPlaces();
  }

  function askForPlaces() {
    if (all?.answer === app.answer) readPlaces({ memory });
  }

  function acceptAll(reading) {
    if (all?.answer.model !== app.answer.model) memory = null; // its number means another memory now
    const pictures = bytes(reading.patches);
    const area = 3 * reading.count * reading.patch_size ** 2;
    const picturesOf = (block) => pictures.subarray(block * area, (block + 1) * area);
    all = { ...reading, energy: floats(reading.energy), picturesOf, answer: app.answer };
    memory ??= byUse(energyOver(all.blocks.length - 1))[0];
    node.classList.remove("is-waiting");
    whichPart.hidden = !reading.decoder;
    whichPart.textContent = "These are the memories of the decoder, in whose descent hidden patches form.";
    askForPlaces();
    step(app.step);
  }

  function acceptPatch(reading) {
    ofPatch = { ...reading, energy: floats(reading.energy), answer: app.answer };
    step(app.step);
  }

  function acceptPlaces(reading) {
    const energy = floats(reading.energy);
    const tokens = energy.length / (app.answer.energy.length || 1);
    const lowest = energy.reduce((low, value, i) => (i % tokens && value < low ? value : low), 0);
    places = { ...reading, energy, tokens, lowest, answer: app.answer };
    step(app.step);
  }

  // -- choosing

  function chooseMemory(next) {
    memory = next;
    grid.select(memory);
    askForPlaces();
  }

  function chooseNumber(next) {
    number = next;
    step(app.step);
  }

  function chooseBy(next) {
    by = next;
    step(app.step);
  }

  // -- drawing

  const energyAt = (at) => all.energy.subarray(at * all.count, (at + 1) * all.count);

  /** The mean over the states that belong to the same block, and so to the same memories, as this one. */
  function energyOver(at) {
    const states = all.blocks.flatMap((block, state) => (block === all.blocks[at] ? [energyAt(state)] : []));
    return Float32Array.from(
      { length: all.count },
      (_, i) => states.reduce((sum, energy) => sum + energy[i], 0) / states.length,
    );
  }

  const energyByUse = (at) => (by === "step" ? energyAt(at) : energyOver(at));

  function tellMemory(which, rank) {
    const energy = energyByUse(app.step);
    return `Memory ${which}, number ${rank + 1} by use: energy ${energyWords(energy[which])}, ${shareWords(energy[which], sumOf(energy))} of the picture's`;
  }

  function step(at) {
    if (all?.answer !== app.answer) return; // the last reading stays on screen until the next one is here
    const energy = energyByUse(at);
    number = clamp(number, 1, all.count);
    count.textContent = `All ${all.count} memories by use`;
    grid.select(memory);
    grid.show(byUse(energy), all.picturesOf(all.blocks[at]), energy);
    if (places?.answer === app.answer) drawPlaces(at);
    if (ofPatch?.answer !== app.answer) return;
    const token = ofPatch.energy.subarray(at * all.count, (at + 1) * all.count);
    drawCards(at, token);
    drawCurve(at, energy, token);
  }

  function drawMemory(canvas, which, at) {
    const side = all.patch_size;
    const pictures = all.picturesOf(all.blocks[at]);
    draw(canvas, side, (i) => pictures.subarray(3 * (which * side * side + i), 3 * (which * side * side + i + 1)));
  }

  function drawPlaces(at) {
    const [now, whole] = [energyAt(at)[places.memory], sumOf(energyAt(at))];
    drawMemory(portrait, places.memory, at);
    name.textContent = `Where memory ${places.memory} fires`;
    facts.textContent = `${energyWords(now)}, ${shareWords(now, whole)} of the picture's`;
    facts.title = `Energy that memory ${places.memory} carries over all tokens at step ${at}, and its share of the Hopfield energy`;
    map.show(app.answer.size, Math.sqrt(places.tokens - 1), app.pixel(at));
    map.values(places.energy.subarray(at * places.tokens, (at + 1) * places.tokens), { low: 0, high: places.lowest });
    map.select(patchInView(app));
    scale.show([0, places.lowest / 2, places.lowest].map(energyWords), ENERGY_SCALE);
  }

  function drawCards(at, token) {
    const [order, whole] = [byUse(token), sumOf(token)];
    whose.textContent = `Strongest at ${patchName(ofPatch.patch, sideOf(app.answer.mask))}`;
    cards.forEach((card, rank) => {
      card.node.hidden = rank >= order.length;
      if (card.node.hidden) return;
      card.memory = order[rank];
      drawMemory(card.canvas, card.memory, at);
      card.energy.textContent = energyWords(token[card.memory]);
      card.share.textContent = shareWords(token[card.memory], whole);
      card.node.title = `Memory ${card.memory}: energy ${card.energy.textContent}, ${card.share.textContent} of this patch's Hopfield energy at step ${at}`;
      card.node.setAttribute("aria-label", card.node.title);
      card.node.setAttribute("aria-pressed", card.memory === memory);
    });
  }

  function drawCurve(at, energy, token) {
    const parts = [
      { mark: "picture", shares: cumulated(energy) },
      { mark: "patch", shares: cumulated(token) },
    ];
    const key = ({ mark, shares }) =>
      h(
        "span",
        { class: `is-${mark}` },
        h("i", { class: "etviz-key" }),
        h("b", {}, `${(100 * shares[number]).toFixed(0)}%`),
      );
    const energies = [`${by === "step" ? "" : "mean "}${energyWords(sumOf(energy))}`, energyWords(sumOf(token))];
    carried.replaceChildren(
      `The ${number} strongest of ${all.count} memories carry `,
      key(parts[0]),
      ` of the picture's energy (${energies[0]}); the patch's own ${number} strongest carry `,
      key(parts[1]),
      ` of its energy (${energies[1]}).`,
    );
    carried.title = `The picture ${by === "step" ? `at step ${at}` : "in the mean over the descent"}, the patch at step ${at}, each in its own order`;
    curve.show(parts, number, carried.textContent);
  }

  return {
    name: "memories",
    title: "Memories",
    text: "Each memory ξ lowers the energy of the tokens g that point its way by ½ relu(ξ·g)², and is drawn here as a patch. Choose one to see where on the picture it fires, or a patch to see which memories act there.",
    node,
    show: ask,
    choose: ask,
    step,
  };
}

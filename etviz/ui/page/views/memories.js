/**
 * Memories: all of them by use or spatial frequency, their share of the energy, those that act on one patch, and where one fires.
 *
 * @import { Memories, MemoriesOfPatch, MemoryPlaces, MemoryUse } from "../lib/readings.d.ts"
 * @import { App, View } from "../lib/types.d.ts"
 */

import { createScale } from "../charts/colourbar.js";
import { createMemoryGrid } from "../charts/memorygrid.js";
import { patchName } from "../charts/patchmap.js";
import { createTokenMap, patchInView } from "../charts/tokenmap.js";
import { createReader } from "../lib/asker.js";
import { sideOf } from "../lib/masks.js";
import { byUse, byValue, energyWords, shareWords, sumOf, unpackMemories } from "../lib/memoryuse.js";
import { draw } from "../lib/pixels.js";
import { floats, h, isNumberBelow } from "../lib/tools.js";
import { createCarried } from "../parts/carried.js";
import { createSwitch } from "../parts/switch.js";
import { createTopMemories } from "../parts/topmemories.js";

const SORTS = {
  picture: "by use in this picture",
  gallery: "by use over other pictures",
  frequency: "by spatial frequency",
};
const SORT_TITLE =
  "By the energy that each memory carries here; by the mean of what it carries for other pictures under this mask; or from patches of one colour to fine patterns";
const USES = { step: { text: "At this step" }, descent: { text: "Over the descent" } };
const ENERGY_SCALE = "Energy that this memory gives to a token (no unit). The colours are the same at all steps";
const MEMORY_PICTURE =
  "A memory is a direction in the space of tokens. It is drawn as the patch that the decoder makes of the token it pulls towards, which is stronger than in any picture";

/** A menu of orders; `onChoose(name)` when the reader chooses one. */
function createSorts(onChoose) {
  const options = Object.entries(SORTS).map(([value, text]) => h("option", { value }, text));
  const change = (event) => onChoose(event.target.value);
  return h("select", { "aria-label": "Sort memories", title: SORT_TITLE, change }, ...options);
}

/** @param {App} app @returns {View} */
export function createMemoriesView(app) {
  const readAll = createReader(app, "memories", acceptAll);
  const readPatch = createReader(app, "memories_of_patch", acceptPatch);
  const readUse = createReader(app, "memory_use", acceptUse);
  const readPlaces = createReader(app, "memory_places", acceptPlaces);
  const grid = createMemoryGrid({ onPick: chooseMemory, tell: tellMemory });
  const carried = createCarried({ onNumber: () => step(app.step) });
  const top = createTopMemories({ onMemory: chooseMemory });
  const map = createTokenMap({
    label: "Where the memory fires; choose a patch",
    onPick: app.choosePatch,
    tell: (value) => `energy ${energyWords(value)}`,
    brief: energyWords,
  });
  const scale = createScale();
  const [count, name, facts, whose] = [h("h2"), h("h2"), h("p", { class: "etviz-hint" }), h("h2")];
  const whichPart = h("p", { class: "etviz-hint", hidden: true });
  const portrait = h("canvas", { class: "etviz-portrait", title: MEMORY_PICTURE });
  let by = "step";
  const uses = createSwitch({ label: "Use", options: USES, chosen: by, onChoose: chooseBy });
  let sort = "picture";
  const sorts = createSorts(chooseSort);
  const node = h(
    "div",
    { class: "etviz-memories" },
    h(
      "div",
      { class: "etviz-aside" },
      h("div", { class: "etviz-head" }, h("div", { class: "etviz-sorted" }, count, sorts), uses.node),
      grid.node,
      h("h2", {}, "How much of the Hopfield energy they carry"),
      ...carried.nodes,
      whichPart,
    ),
    h(
      "div",
      { class: "etviz-aside" },
      h("div", { class: "etviz-memory" }, portrait, h("div", {}, name, facts)),
      map.node,
      scale.node,
      whose,
      top.node,
    ),
  );
  // The readings on screen, each with the answer it was read for.
  let all = null;
  let ofPatch = null;
  let places = null;
  let use = null; // over other pictures
  let memory = null; // the chosen one

  // -- asking

  function ask() {
    const patch = patchInView(app);
    map.select(patch);
    node.classList.toggle("is-waiting", all?.answer !== app.answer);
    readAll();
    readPatch({ patch });
    askForPlaces();
    if (sort === "gallery") readUse();
  }

  function askForPlaces() {
    if (all?.answer === app.answer) readPlaces({ memory });
  }

  /** @param {Memories} reading */
  function acceptAll(reading) {
    memory = memoryToKeep(app, all, memory, reading.count);
    all = { ...unpackMemories(reading), answer: app.answer };
    memory ??= byUse(all.energyOver(all.blocks.length - 1))[0];
    node.classList.remove("is-waiting");
    sorts.hidden = !reading.frequency; // a host in the browser knows one order
    whichPart.hidden = !reading.decoder;
    whichPart.textContent = "These are the memories of the decoder, in whose descent hidden patches form.";
    askForPlaces();
    step(app.step);
  }

  /** @param {MemoriesOfPatch} reading */
  function acceptPatch(reading) {
    ofPatch = { ...reading, energy: floats(reading.energy), answer: app.answer };
    step(app.step);
  }

  /** @param {MemoryUse} reading */
  function acceptUse(reading) {
    use = { ...reading, energy: floats(reading.energy), answer: app.answer };
    step(app.step);
  }

  /** @param {MemoryPlaces} reading */
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
    app.link("memory", String(next), { passing: true });
    grid.select(memory);
    askForPlaces();
  }

  function chooseBy(next) {
    by = next;
    step(app.step);
  }

  function chooseSort(next) {
    sort = next;
    if (sort === "gallery") readUse();
    step(app.step);
  }

  /** The numbers to sort by, the lowest first. @param {ArrayLike<number>} energy */
  function sortedBy(energy, at) {
    if (sort === "frequency") return all.frequencyAt(at);
    return sort === "gallery" && use?.answer === app.answer && use.count ? use.energy : energy;
  }

  /** What the heading says of the order. */
  function orderWords() {
    if (sort !== "gallery") return "";
    if (use?.answer !== app.answer) return ", measuring…";
    return use.count ? `, ${use.count} pictures` : ", busy: try again";
  }

  // -- drawing

  const energyByUse = (at) => (by === "step" ? all.energyAt(at) : all.energyOver(at));

  function tellMemory(which, rank) {
    const energy = energyByUse(app.step);
    const share = shareWords(energy[which], sumOf(energy));
    const order = sort === "picture" ? "by use" : SORTS[sort];
    const fine = sort === "frequency" ? `${all.frequencyAt(app.step)[which].toFixed(3)} cycles per pixel, ` : "";
    return `Memory ${which}, number ${rank + 1} ${order}: ${fine}energy ${energyWords(energy[which])}, ${share} of the picture's`;
  }

  function step(at) {
    if (all?.answer !== app.answer) return; // the last reading stays on screen until the next one is here
    const energy = energyByUse(at);
    count.textContent = `All ${all.count} memories${sort === "picture" ? " by use" : orderWords()}`;
    grid.select(memory);
    grid.show(byValue(sortedBy(energy, at)), all.picturesAt(at), energy);
    if (places?.answer === app.answer) drawPlaces(at);
    if (ofPatch?.answer !== app.answer) return;
    const token = ofPatch.energy.subarray(at * all.count, (at + 1) * all.count);
    whose.textContent = `Strongest at ${patchName(ofPatch.patch, sideOf(app.answer.mask))}`;
    top.show(all, token, at, memory);
    carried.show(energy, token, by === "descent", at);
  }

  function drawPlaces(at) {
    const energy = all.energyAt(at);
    const now = energy[places.memory];
    draw(portrait, all.patch_size, all.pixelAt(at, places.memory));
    name.textContent = `Where memory ${places.memory} fires`;
    facts.textContent = `${energyWords(now)}, ${shareWords(now, sumOf(energy))} of the picture's`;
    facts.title = `Energy that memory ${places.memory} carries over all tokens at step ${at}, and its share of the Hopfield energy`;
    map.show(app.answer.size, Math.sqrt(places.tokens - 1), app.pixel(at));
    map.values(places.energy.subarray(at * places.tokens, (at + 1) * places.tokens), { low: 0, high: places.lowest });
    map.select(patchInView(app));
    scale.show([0, places.lowest / 2, places.lowest].map(energyWords), ENERGY_SCALE);
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

/** The memory that a link names, or the one chosen before; null under another model, where it would be another one. */
function memoryToKeep(app, before, memory, count) {
  const other = before?.answer.model !== app.answer.model;
  if (before && other) app.link("memory", null, { passing: true });
  const linked = app.linked("memory");
  if (isNumberBelow(linked, count)) return Number(linked);
  return other ? null : memory;
}

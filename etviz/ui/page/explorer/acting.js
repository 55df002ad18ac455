/**
 * What the reader does: paint, undo, open a tab, follow a link, and so on.
 *
 * @import { Mask, Page, Picture, Travelled } from "../lib/types.d.ts"
 */

import { isMaskHex, isSeed, maskFromHex, maskToHex } from "../lib/masks.js";
import { fetchOffer } from "../parts/offer.js";
import { OWN, patchesOf, shareable } from "./state.js";

const KEY_PAUSE_MS = 120; // after a key press, in case another follows
const LOST = "This link was made with an uploaded picture, which stays with its owner. Here is another picture.";

/** @param {Page} page */
export function createActing(page) {
  const { state, host, start, history, asking, drawing } = page;
  let keyTimer = null;

  // -- the mask

  /** @param {boolean} viaKeyboard */
  function endStroke(viaKeyboard) {
    clearTimeout(keyTimer);
    const end = () => commit({ stroke: true });
    if (viaKeyboard) keyTimer = setTimeout(end, KEY_PAUSE_MS);
    else end();
  }

  function commit(what = {}) {
    const hex = maskToHex(state.mask);
    if (history.commit(hex)) descend(hex, what);
  }

  function descend(hex, what = {}) {
    host.onMask?.(hex);
    asking.change({}, what);
  }

  /**
   * Put a mask in place; while `passing`, as when a slider moves, it is no step to undo.
   *
   * @param {Mask | string} given itself, or in hexadecimal
   */
  function setMask(given, { passing = false } = {}) {
    clearTimeout(keyTimer);
    drawing.putMask(typeof given === "string" ? maskFromHex(given) : given);
    if (passing) asking.change({}, { remember: false });
    else commit();
  }

  /** @param {string | null} hex */
  function travel(hex) {
    if (hex === null) return;
    drawing.putMask(maskFromHex(hex));
    descend(hex);
  }

  const undo = () => travel(history.undo());
  const redo = () => travel(history.redo());

  // -- everything else

  /** @param {Picture} picture */
  function pick(picture) {
    page.parts.transport.stop();
    asking.change({ picture });
  }

  /** @param {string} model */
  async function chooseModel(model) {
    const { picture } = state.wanted;
    const resized = (await page.parts.uploads?.again(picture, model)) ?? picture;
    await asking.change({ model, picture: resized, snapshot: null, settings: OWN });
  }

  /** Fetch a published model that the menu offers, then change to it. @param {string} source */
  async function getModel(source) {
    const { models, picker } = page.parts;
    drawing.say("");
    models.tell("Fetching…");
    const { model, datasets, error } = await fetchOffer(host.ask, source, models.tell);
    models.tell("");
    models.show(state.wanted.model);
    if (error) return drawing.say(error);
    asking.offer(model);
    picker.offer(datasets);
    models.arrived(source, model.name);
    await chooseModel(model.name);
  }

  /** @param {number} step */
  function setStep(step) {
    page.parts.transport.stop();
    drawing.showStep(step);
  }

  /** @param {number} seed */
  function setSeed(seed) {
    state.seed = seed;
    page.parts.tools.showSeed(seed);
    page.address.replace(shareable(state));
  }

  /** @param {number} patch */
  function choosePatch(patch) {
    state.patch = patch;
    drawing.showPatch();
    page.address.replace(shareable(state));
  }

  /** Keep a text of a view's in the address; while `passing`, as when scrubbing, it is no step to go back to. */
  function link(name, text, { passing = false } = {}) {
    if ((state.links[name] ?? null) === text) return;
    state.links[name] = text;
    if (passing) page.address.replace(shareable(state));
    else page.address.push(shareable(state));
  }

  /** @param {string} name */
  function openTab(name) {
    drawing.showTab(name);
    page.address.push(shareable(state));
  }

  /** Lead to another tab, mask, step, settings and so on; a button leads back to the tab that was left. */
  async function lead({ tab, mask = state.mask, step = null, ...part }) {
    page.parts.transport.stop();
    history.commit(maskToHex(mask));
    drawing.putMask(mask);
    await asking.change(part, { remember: false });
    if (tab !== state.tab) state.from = state.tab;
    drawing.showTab(tab);
    if (step !== null) drawing.showStep(step);
    page.address.push(shareable(state));
  }

  /** Take on the state of an address, as far as it says; the rest stays. @param {Travelled} there */
  async function travelTo({ picture, mask, step, tab, patch, seed, settings = OWN, linked = {}, ...rest }) {
    const { model = start.answer.model, snapshot = null } = rest;
    page.parts.transport.stop();
    state.links = linked;
    await asking.learn(model);
    const patches = patchesOf(start, model, state.mask.length);
    const hex = mask ?? start.answer.mask;
    const readable = isMaskHex(hex, patches);
    state.wanted.mask = maskFromHex(readable ? hex : start.answer.mask);
    history.reset(maskToHex(state.mask));
    state.seed = isSeed(seed) ? seed : 0;
    page.parts.tools.showSeed(state.seed);
    state.patch = Number.isInteger(patch) ? patch : null;
    if (state.veil) drawing.setVeil(null);
    page.parts.painter.show(state.mask);
    drawing.showTab(tab ?? "explore");
    const known = picture && picture !== "lost" ? picture : start.answer.picture;
    await asking.change({ picture: known, model, snapshot, settings }, { remember: false });
    if (picture === "lost") drawing.say(LOST);
    if (!readable) drawing.say(`The address holds no mask of ${patches} patches, so here is another one.`);
    if (Number.isInteger(step)) drawing.showStep(step);
    if (state.patch !== null) drawing.showPatch(); // no view could, before there was a descent
  }

  return {
    endStroke,
    setMask,
    undo,
    redo,
    pick,
    chooseModel,
    getModel,
    setStep,
    setSeed,
    choosePatch,
    link,
    openTab,
    lead,
    travelTo,
  };
}

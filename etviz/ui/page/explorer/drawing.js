/**
 * Drawing: brings the page in line with its state.
 *
 * @import { Answer, FirstSteps, Mask, Page, Veil } from "../lib/types.d.ts"
 */

import { countHidden, maskToHex } from "../lib/masks.js";
import { draw, rgb } from "../lib/pixels.js";
import { clamp, format, h } from "../lib/tools.js";
import { lastStep, pixelAt, shareable, takeAnswer } from "./state.js";

/** @param {Page} page */
export function createDrawing(page) {
  const { state, root } = page;
  const view = () => page.views.find((entry) => entry.name === state.tab);

  /** @param {Mask} mask */
  function showMask(mask) {
    const hex = maskToHex(mask);
    const hidden = countHidden(mask);
    state.wanted.mask = mask;
    page.layout.counter.textContent = `${hidden} of ${mask.length} hidden`;
    page.parts.tools.show(hex);
    Object.assign(root.dataset, { mask: hex, hidden });
    if (state.answer) view().paint?.(mask);
  }

  /** Show a mask that was not painted, on the painter too. @param {Mask} mask */
  function putMask(mask) {
    page.parts.painter.show(mask);
    showMask(mask);
  }

  /** @param {number} step */
  function showStep(step) {
    const last = lastStep(state);
    state.step = clamp(step, 0, last);
    root.dataset.step = String(state.step);
    page.parts.transport.step(state.step, last);
    page.parts.preview.show(state, pixelAt(state, state.step, true));
    view().step(state.step);
    page.address.replace(shareable(state));
  }

  /** Put a descent on screen. @param {Answer} answer */
  function show(answer) {
    if (takeAnswer(state, answer)) page.history.reset(answer.mask); // masks of another grid cannot come back
    showParts(answer);
    view().show(answer);
    showMask(state.mask);
    showStep(state.step);
    Object.assign(root.dataset, { steps: lastStep(state), shown: answer.mask, seq: answer.seq, ready: "true" });
  }

  /** Show the first steps of a descent, while the rest is on its way. @param {FirstSteps} first */
  function preview(first) {
    view().preview?.(first);
    root.dataset.preview = String(first.seq);
  }

  /** What is around the views. @param {Answer} answer */
  function showParts(answer) {
    const { painter, picker, uploads, models, transport, chip } = page.parts;
    draw(painter.canvas, answer.size, rgb(state.original));
    if (!painter.busy()) painter.show(state.mask);
    page.layout.caption.textContent = state.veil ? "Which picture is this?" : answer.caption;
    picker.show(answer.picture);
    if (!("pixels" in answer.picture)) uploads?.note.hide();
    models?.show(answer.model, answer.snapshot);
    transport.offer(answer.settings);
    chip.show(answer.settings);
  }

  /**
   * Hide what lies under the mask, "all" of it or only the "original", together with whatever would give it away; null
   * shows everything again.
   *
   * @param {Veil} veil
   */
  function setVeil(veil) {
    const { picker, models, tabs, transport, share } = page.parts;
    transport.stop();
    state.veil = veil;
    root.dataset.veil = veil ?? "";
    if (picker.node) picker.node.style.visibility = veil === null ? "" : "hidden"; // its place stays
    for (const part of [page.layout.left, tabs.list, models?.node, share?.node]) if (part) part.inert = veil !== null;
    transport.node.inert = veil === "all";
    if (state.answer) show(state.answer);
  }

  /**
   * Say a sentence above the page, with a button for what can be done; an empty one takes the last away.
   *
   * @param {string} sentence @param {{name: string, act: () => void} | null} remedy
   */
  function say(sentence, remedy = null) {
    const { notice } = page.layout;
    notice.hidden = !sentence;
    const attributes = { type: "button", class: "etviz-icon", "aria-label": "Dismiss", click: () => say("") };
    const button = remedy && h("button", { type: "button", click: remedy.act }, remedy.name);
    const parts = [h("span", {}, sentence), button, h("button", attributes, "×")].filter(Boolean);
    notice.replaceChildren(...(sentence ? parts : []));
  }

  /** Tell a screen reader what has just been rebuilt. */
  function announce() {
    const { spoken, counter } = page.layout;
    const end = format(state.answer.energy[lastStep(state)]);
    spoken.textContent = `Reconstructed with ${counter.textContent}. Energy ${end}.`;
  }

  /** @param {string} name */
  function showTab(name) {
    state.tab = page.views.some((entry) => entry.name === name) ? name : page.views[0].name;
    root.dataset.tab = state.tab;
    page.parts.tabs.open(state.tab);
    showWayBack();
    if (!state.answer) return;
    view().show(state.answer);
    view().choose?.(state.patch);
    view().step(state.step);
  }

  function showWayBack() {
    const { back } = page.layout;
    if (state.tab === state.from) state.from = null;
    const left = page.views.find((entry) => entry.name === state.from);
    back.hidden = state.from === null;
    back.textContent = `← Back to the ${left?.title ?? ""} tab`;
  }

  function showPatch() {
    view().choose?.(state.patch);
  }

  return { showMask, putMask, showStep, show, preview, setVeil, say, announce, showTab, showPatch };
}

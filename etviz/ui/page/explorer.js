/**
 * The explorer: paint a mask over a picture, then walk through the descent that fills it in.
 *
 * ES modules without dependencies, for any host. `createExplorer(root, host)` draws into a DOM element; the host says
 * what to show first and answers questions:
 *
 *   host.start     {heading?, models?, datasets?, gallery?, uploads?, most_steps?, note?, answer}: what is known at load
 *   host.ask       async ({kind, ...}) -> a reading | {error}: see etviz/ui/readings; without it, the first answer is
 *                  replayed and nothing else can be asked for
 *   host.readFile  async (File) -> {pixels, caption} | {error}: make a picture of an upload (optional)
 *   host.onMask    (hex) -> nothing: told of every new mask (optional)
 *   host.onAnswer  (answer) -> nothing: told of every descent that comes on screen (optional)
 *   host.views     names of the views to show; all where left out
 *   host.address   the window whose address holds the state (optional)
 *
 * An answer holds all states of one descent (see etviz/ui/payload.py), so that scrubbing asks nobody. A mask is
 * written in hexadecimal, patch 0 the highest bit, row by row: the convention of etviz.masks.
 *
 * A view is {name, title, text, node, show(answer), step(step), paint?(mask), choose?(patch)}; those functions are called
 * while it is open, and on opening it. Views see the page through `app` below and change it through `app` only.
 */

import { createAddress } from "./lib/address.js";
import { createAsker, patiently } from "./lib/asker.js";
import { countHidden, isMaskHex, isSeed, maskFromHex, maskToHex, resizedMask } from "./lib/masks.js";
import { blanked, draw, patchTable, rgb } from "./lib/pixels.js";
import { bytes, clamp, format, h } from "./lib/tools.js";
import { createPainter } from "./parts/painter.js";
import { createModelMenu, createPicker } from "./parts/picker.js";
import { createSettingsChip } from "./parts/settings.js";
import { createShare } from "./parts/share.js";
import { createTabs } from "./parts/tabs.js";
import { createToolbar } from "./parts/toolbar.js";
import { createTransport } from "./parts/transport.js";
import { createUploads } from "./parts/uploads.js";
import { createAttentionView } from "./views/attention.js";
import { createCompareView } from "./views/compare.js";
import { createEnergyView } from "./views/energy.js";
import { createExploreView } from "./views/explore.js";
import { createGuideView } from "./views/guide.js";
import { createLandscapeView } from "./views/landscape.js";
import { createMemoriesView } from "./views/memories.js";
import { createTrainingView } from "./views/training.js";

const KEY_PAUSE_MS = 120; // after a key press, in case another follows
const HINT = "Drag to hide patches or to show them again. Or arrow keys, space.";
const TYPING = "input[type=number], input[type=text], select"; // where keys mean characters
const VIEWS = [
  createExploreView,
  createEnergyView,
  createAttentionView,
  createMemoriesView,
  createLandscapeView,
  createCompareView,
  createTrainingView,
  createGuideView,
];
const REPLAYED = [createExploreView]; // those that ask for nothing more than the descent
const LOST = "This link was made with an uploaded picture, which stays with its owner: here is another one.";
const OWN = {}; // the model's own settings

export function createExplorer(root, host) {
  const { start } = host;
  const live = Boolean(host.ask);
  const wanted = {
    // What was asked for, perhaps ahead of the answer on screen.
    picture: start.answer.picture,
    model: start.answer.model,
    snapshot: null,
    mask: maskFromHex(start.answer.mask), // as painted
    settings: OWN,
  };
  const state = {
    seq: start.answer.seq ?? 0,
    tab: "explore",
    seed: 0, // of what is drawn at random
    veil: null, // "all" keeps the original and the reconstruction off the page, "original" the original only
    from: null, // the tab to lead back to
    linked: {}, // what views keep in the address, by name, as text
    past: [], // masks before and after the present one, as hexadecimal
    future: [],
    committed: start.answer.mask,
  };
  const app = {
    start,
    host,
    answer: null, // the descent on screen
    original: new Uint8Array(0),
    frames: [],
    patches: new Uint16Array(0), // patch of each pixel
    step: 0,
    patch: null, // the one that views look at
    get mask() {
      return wanted.mask;
    },
    get seed() {
      return state.seed;
    },
    get veil() {
      return state.veil;
    },
    question,
    pixel,
    change,
    setStep: scrub,
    choosePatch,
    setSeed,
    setMask: replaceMask,
    setVeil,
    openTab,
    lead,
    say,
    linked: (name) => state.linked[name] ?? null,
    link,
    offer,
  };

  const painter = createPainter({ onPaint: showMask, onStroke: endStroke });
  const tools = createToolbar({
    mask: () => wanted.mask,
    seed: () => state.seed,
    patchSize: () => app.answer.size / Math.sqrt(wanted.mask.length),
    onMask: replaceMask,
    onSeed: setSeed,
    onBrush: painter.setBrush,
    onUndo: undo,
    onRedo: redo,
    onProblem: say,
  });
  const transport = createTransport({
    onStep: showStep,
    onSteps: goOn,
    most: start.most_steps ?? start.answer.energy.length - 1,
  });
  const uploads = start.uploads
    ? createUploads({ limit: start.uploads, readFile, onPicture: pick, onBusy: tellBusy, onProblem: say })
    : null;
  const picker = createPicker(start, { onPicture: pick, onProblem: say, ask: host.ask, extra: uploads?.controls });
  const models = createModelMenu(start, (model) => change({ model, snapshot: null, settings: OWN }));
  const chip = createSettingsChip({ onReset: () => change({ settings: OWN }) });
  const views = (live ? VIEWS : REPLAYED)
    .map((create) => create(app))
    .filter(({ name }) => host.views?.includes(name) ?? true);
  const tabs = createTabs(views, openTab);
  const address = createAddress(host.address ?? null, travelTo);
  const share = live ? createShare(app, host.address ? () => host.address.location.href : null) : null;
  const askForDescent = createAsker(host.ask, tellBusy);
  const ui = build();
  root.replaceChildren(ui.node);

  const view = () => views.find((entry) => entry.name === state.tab);

  // -- drawing

  function build() {
    const counter = h("span", { class: "etviz-count" });
    const caption = h("p", { class: "etviz-caption" });
    const notice = h("p", { class: "etviz-notice", role: "alert", hidden: true });
    const spoken = h("p", { class: "etviz-spoken", role: "status" });
    const back = h("button", { type: "button", class: "etviz-back", hidden: true, click: () => openTab(state.from) });
    const left = h(
      "section",
      { class: "etviz-left", "aria-label": "Mask", inert: !live },
      h("div", { class: "etviz-head" }, h("h2", {}, live ? "Paint to hide" : "The mask"), counter),
      painter.node,
      live ? tools.bar : null,
      h(
        "div",
        { class: "etviz-notes" },
        caption,
        start.note ? h("p", { class: "etviz-hint" }, start.note) : null,
        live ? h("p", { class: "etviz-hint" }, HINT) : null,
      ),
      live ? tools.more : null,
    );
    const side = h("div", { class: "etviz-side" }, models?.node ?? null, live ? chip.node : null, share?.node ?? null);
    const heading = start.heading
      ? h("header", { class: "etviz-top" }, h("h1", {}, start.heading.title), h("p", {}, start.heading.text), side)
      : side;
    const node = h(
      "div",
      { class: "etviz-page" },
      heading,
      picker.node,
      uploads?.note.node ?? null,
      notice,
      h(
        "div",
        { class: "etviz-main" },
        left,
        h("div", { class: "etviz-right" }, views.length > 1 ? tabs.list : null, back, ...tabs.panels, transport.node),
      ),
      spoken,
    );
    return { node, counter, caption, notice, spoken, back, left };
  }

  function showMask(mask) {
    wanted.mask = mask;
    const hidden = countHidden(mask);
    ui.counter.textContent = `${hidden} of ${mask.length} hidden`;
    root.dataset.mask = maskToHex(mask);
    tools.show(root.dataset.mask);
    root.dataset.hidden = hidden;
    if (app.answer) view().paint?.(mask);
  }

  /** A state of the descent as `draw` takes it, with the given pixels kept where visible if that is wished. */
  function pixel(step, { keep = true } = {}) {
    const [predicted, given] = [rgb(app.frames[step]), rgb(app.original)];
    if (!keep) return predicted;
    const mask = maskFromHex(app.answer.mask);
    return (i) => (mask[app.patches[i]] ? predicted(i) : given(i));
  }

  const lastStep = () => app.answer.energy.length - 1;

  function showStep(step) {
    app.step = clamp(step, 0, lastStep());
    root.dataset.step = app.step;
    transport.step(app.step, lastStep());
    view().step(app.step);
    address.replace(shareable());
  }

  /** Put a descent on screen, at its end unless the reader had stopped somewhere else. */
  function show(answer) {
    const atEnd = app.answer === null || app.step === lastStep();
    if (4 * answer.mask.length !== wanted.mask.length) {
      // A model with another grid: the mask came along, its history cannot.
      Object.assign(wanted, { mask: maskFromHex(answer.mask) });
      Object.assign(state, { committed: answer.mask, past: [], future: [] });
      app.patch = null;
    }
    const area = 3 * answer.size ** 2;
    const frames = bytes(answer.frames);
    app.answer = answer;
    app.frames = Array.from({ length: frames.length / area }, (_, i) => frames.subarray(i * area, (i + 1) * area));
    app.original = bytes(answer.image);
    app.patches = patchTable(answer.size, Math.sqrt(4 * answer.mask.length));
    veilPixels(maskFromHex(answer.mask));
    draw(painter.canvas, answer.size, rgb(app.original));
    ui.caption.textContent = state.veil ? "Which picture is this?" : answer.caption;
    picker.show(answer.picture);
    if (!("pixels" in answer.picture)) uploads?.note.hide();
    models?.show(answer.model, answer.snapshot);
    transport.offer(answer.settings);
    chip.show(answer.settings);
    if (!painter.busy()) painter.show(wanted.mask);
    app.step = atEnd ? lastStep() : Math.min(app.step, lastStep());
    view().show(answer);
    showMask(wanted.mask);
    showStep(app.step);
    Object.assign(root.dataset, { steps: lastStep(), shown: answer.mask, seq: answer.seq, ready: "true" });
  }

  /** Under a veil the page does not hold what it must not show: no view can give it away. */
  function veilPixels(mask) {
    const hidden = (i) => mask[app.patches[i]] === 1;
    if (state.veil) app.original = blanked(app.original, hidden);
    if (state.veil === "all") app.frames = app.frames.map((frame) => blanked(frame, hidden));
  }

  /** Hide "all" or "original" of what lies under the mask, and what would show it; null shows everything again. */
  function setVeil(veil) {
    transport.stop();
    state.veil = veil;
    root.dataset.veil = veil ?? "";
    if (picker.node) picker.node.style.visibility = veil === null ? "" : "hidden"; // its place stays
    for (const part of [ui.left, tabs.list, models?.node].filter(Boolean)) part.inert = veil !== null;
    transport.node.inert = veil === "all";
    if (app.answer) show(app.answer);
  }

  function say(sentence) {
    ui.notice.hidden = !sentence;
    const close = h(
      "button",
      { type: "button", class: "etviz-icon", "aria-label": "Dismiss", click: () => say("") },
      "×",
    );
    ui.notice.replaceChildren(...(sentence ? [sentence, close] : []));
  }

  function showTab(name) {
    state.tab = views.some((entry) => entry.name === name) ? name : views[0].name;
    root.dataset.tab = state.tab;
    tabs.open(state.tab);
    if (state.tab === state.from) state.from = null;
    ui.back.hidden = state.from === null;
    ui.back.textContent = `← Back to the ${views.find((entry) => entry.name === state.from)?.title ?? ""} tab`;
    if (!app.answer) return;
    view().show(app.answer);
    view().choose?.(app.patch);
    view().step(app.step);
  }

  // -- acting

  function openTab(name) {
    showTab(name);
    address.push(shareable());
  }

  /** Lead to another tab, mask, step, settings ...; a button leads back to the tab that was left. */
  async function lead({ tab, mask = wanted.mask, step = null, ...part }) {
    transport.stop();
    const hex = maskToHex(mask);
    if (hex !== state.committed) state.past.push(state.committed);
    state.committed = hex;
    painter.show(mask);
    showMask(mask);
    await change(part, { remember: false });
    if (tab !== state.tab) state.from = state.tab;
    showTab(tab);
    if (step !== null) showStep(step);
    address.push(shareable());
  }

  function scrub(step) {
    transport.stop();
    showStep(step);
  }

  function choosePatch(patch) {
    app.patch = patch;
    view().choose?.(patch);
    address.replace(shareable());
  }

  function setSeed(seed) {
    state.seed = seed;
    tools.showSeed(seed);
    address.replace(shareable());
  }

  /** Keep a text of a view's in the address; while `passing`, as when scrubbing, it is no step to go back to. */
  function link(name, text, { passing = false } = {}) {
    if ((state.linked[name] ?? null) === text) return;
    state.linked[name] = text;
    if (passing) address.replace(shareable());
    else address.push(shareable());
  }

  /** A model that was not in the menu at the start, such as a run in training. */
  function offer({ name, patches }) {
    if (start.models && !start.models.some((entry) => entry.name === name))
      start.models.push({ name, patches, facts: "" });
  }

  async function learn(name) {
    const { runs = [] } = await patiently(host.ask({ kind: "runs" }));
    const run = runs.find((entry) => entry.name === name && !entry.problem);
    if (run) offer(run);
  }

  let keyTimer = null;
  function endStroke(viaKeyboard) {
    clearTimeout(keyTimer);
    if (viaKeyboard) keyTimer = setTimeout(commit, KEY_PAUSE_MS);
    else commit();
  }

  function commit() {
    const hex = maskToHex(wanted.mask);
    if (hex === state.committed) return;
    state.past.push(state.committed);
    state.future = [];
    settle(hex);
  }

  function settle(hex) {
    state.committed = hex;
    host.onMask?.(hex);
    change({});
  }

  /** Put a mask in place, given as itself or in hexadecimal; while `passing`, it does not count as a step to undo. */
  function replaceMask(given, { passing = false } = {}) {
    const mask = typeof given === "string" ? maskFromHex(given) : given;
    clearTimeout(keyTimer);
    painter.show(mask);
    showMask(mask);
    if (passing) change({}, { remember: false });
    else commit();
  }

  function travel(from, to) {
    if (!from.length) return;
    to.push(state.committed);
    const hex = from.pop();
    painter.show(maskFromHex(hex));
    showMask(maskFromHex(hex));
    settle(hex);
  }

  function undo() {
    travel(state.past, state.future);
  }

  function redo() {
    travel(state.future, state.past);
  }

  function pick(picture) {
    transport.stop();
    change({ picture });
  }

  function readFile(file) {
    return host.readFile(file, wanted.model);
  }

  function tellBusy(busy) {
    root.dataset.busy = String(busy);
  }

  /** A descent of another length, walked on from the step on screen. */
  async function goOn(count) {
    const from = app.step;
    await change({ settings: { ...wanted.settings, steps: count } });
    if (lastStep() !== count || count <= from) return; // refused, or shorter
    showStep(from);
    transport.start();
  }

  // -- asking

  /** The question whose answer is on screen, for readings of the same descent. */
  function question() {
    const { picture, model, snapshot, mask, settings } = app.answer;
    const { steps, step_size, beta, rule, settle } = settings;
    return { picture, model, snapshot, mask, settings: { steps, step_size, beta, rule, settle } };
  }

  /** What the address holds. */
  function shareable() {
    const { picture, model, snapshot, settings } = wanted;
    const { step, patch, answer } = app;
    const shown = { ...(answer?.settings ?? {}), ...settings };
    return {
      picture,
      model,
      snapshot,
      mask: maskToHex(wanted.mask),
      settings: shown,
      seed: state.seed,
      step,
      tab: state.tab,
      patch,
      linked: state.linked,
    };
  }

  /** Ask for the descent under the present mask with some of picture, model, snapshot and settings replaced. */
  async function change(part, { remember = true } = {}) {
    Object.assign(wanted, part);
    state.seq += 1;
    const { picture, model, snapshot, settings } = wanted;
    const patches = start.models?.find((entry) => entry.name === model)?.patches ?? wanted.mask.length;
    const mask = maskToHex(resizedMask(wanted.mask, patches));
    const answer = await askForDescent({ kind: "trace", seq: state.seq, picture, model, snapshot, mask, settings });
    if (answer === null) return; // a newer question is under way
    if (answer.error) refuse(answer.error);
    else accept(answer, remember);
  }

  /** What is on screen stays, and what is painted is kept for the next question. */
  function refuse(sentence) {
    if (!app.answer) show(start.answer);
    const { picture, model, snapshot, settings } = app.answer;
    Object.assign(wanted, { picture, model, snapshot, settings });
    models?.show(model);
    picker.show(picture);
    say(sentence);
  }

  function accept(answer, remember) {
    say("");
    wanted.picture = answer.picture; // a link may have left its dataset out
    show(answer);
    host.onAnswer?.(answer);
    if (remember) address.push(shareable());
    const end = answer.energy[lastStep()];
    ui.spoken.textContent = `Reconstructed with ${ui.counter.textContent}. Energy ${format(end)}.`;
  }

  // -- the address

  /** Take on the state of an address, as far as it says; the rest stays. */
  async function travelTo({ picture, mask, step, tab, patch, seed, settings = OWN, linked = {}, ...rest }) {
    transport.stop();
    const { model = start.answer.model, snapshot = null } = rest;
    state.linked = linked;
    if (start.models && !start.models.some((entry) => entry.name === model)) await learn(model);
    const lost = picture === "lost";
    const patches = start.models?.find((entry) => entry.name === model)?.patches ?? wanted.mask.length;
    const hex = mask ?? start.answer.mask;
    const readable = isMaskHex(hex, patches);
    wanted.mask = maskFromHex(readable ? hex : start.answer.mask);
    Object.assign(state, { committed: maskToHex(wanted.mask), past: [], future: [], seed: isSeed(seed) ? seed : 0 });
    tools.showSeed(state.seed);
    app.patch = Number.isInteger(patch) ? patch : null;
    if (state.veil) setVeil(null);
    painter.show(wanted.mask);
    showTab(tab ?? "explore");
    await change(
      { picture: picture && !lost ? picture : start.answer.picture, model, snapshot, settings },
      { remember: false },
    );
    if (lost) say(LOST);
    if (!readable) say(`The address holds no mask of ${patches} patches: this is another one.`);
    if (Number.isInteger(step)) showStep(step);
  }

  root.addEventListener("keydown", (event) => {
    if (state.veil) return;
    const plain = !(event.ctrlKey || event.metaKey || event.altKey);
    const ours = () => (live && tools.press(event.key)) || transport.press(event.key);
    if (plain && !event.target.matches(TYPING) && ours()) event.preventDefault();
    if (!live || !(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    if (event.target.matches(TYPING)) return; // typing has an undo of its own
    event.preventDefault();
    if (event.shiftKey) redo();
    else undo();
  });
  if (uploads) {
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length && !state.veil) uploads.take(event.dataTransfer.files[0]);
    });
  }

  root.classList.add("etviz");
  painter.show(wanted.mask);
  const linked = address.read();
  if (Object.keys(linked).length) travelTo(linked);
  else {
    showTab("explore");
    show(start.answer);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) transport.start(); // shows what this is about
  }
  return { change, setMask: replaceMask, setStep: scrub, openTab, travelTo };
}

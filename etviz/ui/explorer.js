/**
 * The explorer: paint a mask over a picture, then walk through the descent that fills it in.
 *
 * One ES module without dependencies, for any host. `createExplorer(root, host)` draws into a DOM element; the host
 * says what to show first and answers questions:
 *
 *   host.start     {heading?, models?, thumbs?, count?, uploads?, note?, answer}: what is known at load
 *   host.trace     async ({seq, model, picture, mask}) -> answer | {error}: reconstruct under a mask
 *   host.readFile  async (File) -> {pixels, caption} | {error}: make a picture of an upload (optional)
 *   host.onMask    (hex) -> nothing: told of every new mask (optional)
 *
 * An answer holds all states of one descent (see etviz/ui/payload.py), so that scrubbing asks nobody. A mask is
 * written in hexadecimal, patch 0 the highest bit, row by row: the convention of etviz.masks.
 */

import { createChart, energies, LINES } from "./chart.js";
import { countHidden, maskFromHex, maskToHex, resizedMask } from "./masks.js";
import { createPainter } from "./painter.js";
import { createModelMenu, createPicker } from "./picker.js";
import { draw, patchTable, rgb, viridis, VIRIDIS } from "./pixels.js";
import { bytes, clamp, format, h, steps } from "./tools.js";
import { createToolbar } from "./toolbar.js";
import { createTransport } from "./transport.js";

const KEY_PAUSE_MS = 120; // after a key press, in case another follows
const PATIENCE_MS = 20000; // for an answer
const HINT = "Drag to hide patches or to show them again. Or arrow keys, space.";
const TYPING = "input[type=number], input[type=text], select"; // where keys mean characters
const ERROR_CEILING = 0.5; // absolute error drawn in the brightest colour

export function createExplorer(root, host) {
  const { start } = host;
  const state = {
    answer: null, // the descent on screen
    original: new Uint8Array(0),
    frames: [],
    patches: new Uint16Array(0), // patch of each pixel
    mask: maskFromHex(start.answer.mask), // as painted, perhaps ahead of the answer
    picture: start.answer.picture, // as asked for, perhaps ahead of the answer
    model: start.answer.model,
    step: 0,
    seq: start.answer.seq ?? 0,
    waiting: null, // the newest question, while an older one is being answered
    asking: false,
    past: [], // masks before and after the present one, as hexadecimal
    future: [],
    committed: start.answer.mask,
  };

  const painter = createPainter({ onPaint: showMask, onStroke: endStroke });
  const tools = createToolbar({
    mask: () => state.mask,
    onMask: replaceMask,
    onBrush: painter.setBrush,
    onUndo: undo,
    onRedo: redo,
    onProblem: say,
  });
  const chart = createChart({ onStep: scrub });
  const transport = createTransport({ onStep: showStep });
  const picker = createPicker(start, { onPicture: pick, onFile: read });
  const models = createModelMenu(start, (model) => ask({ model }));
  const ui = build();
  root.replaceChildren(ui.node);

  // -- drawing

  function build() {
    const counter = h("span", { class: "etviz-count" });
    const caption = h("p", { class: "etviz-caption" });
    const notice = h("p", { class: "etviz-notice", role: "alert", hidden: true });
    const spoken = h("p", { class: "etviz-spoken", role: "status" });
    const tiles = {
      original: createTile("Original"),
      masked: createTile("Masked input", "is-holed"),
      reconstruction: createTile("Reconstruction", "is-result"),
      error: createTile("Absolute error"),
    };
    const keep = h("input", { type: "checkbox", checked: true, change: () => showFrame() });
    const badge = h("span", { class: "etviz-badge" });
    const mean = h("span");
    const readout = Object.fromEntries(
      [...LINES.map((line) => line.key), "gradient_norm", "psnr", "mse"].map((key) => [key, h("dd")]),
    );
    const heading = start.heading
      ? h("header", { class: "etviz-top" }, h("h1", {}, start.heading.title), h("p", {}, start.heading.text), models?.node ?? null)
      : models?.node ?? null;
    const node = h(
      "div",
      { class: "etviz-page" },
      heading,
      picker.node,
      notice,
      h(
        "div",
        { class: "etviz-main" },
        h(
          "section",
          { class: "etviz-left", "aria-label": "Mask" },
          h("div", { class: "etviz-head" }, h("h2", {}, "Paint to hide"), counter),
          painter.node,
          tools.bar,
          h(
            "div",
            { class: "etviz-notes" },
            caption,
            start.note ? h("p", { class: "etviz-hint" }, start.note) : null,
            h("p", { class: "etviz-hint" }, HINT),
          ),
          tools.more,
        ),
        h(
          "section",
          { class: "etviz-right", "aria-label": "Reconstruction" },
          h("div", { class: "etviz-tiles" }, ...Object.values(tiles).map((tile) => tile.node)),
          h(
            "div",
            { class: "etviz-under" },
            h("label", { class: "etviz-check" }, keep, "Keep the visible pixels as given"),
            colourBar(mean),
          ),
          h("div", { class: "etviz-head" }, h("h2", {}, "Energy"), badge, scaleSwitch()),
          readouts(readout),
          chart.node,
          transport.node,
        ),
      ),
      spoken,
    );
    return { node, counter, caption, notice, spoken, tiles, keep, badge, mean, readout };
  }

  function createTile(title, name = "") {
    const canvas = h("canvas", { role: "img", "aria-label": title });
    const value = h("span");
    const node = h(
      "figure",
      { class: `etviz-tile ${name}` },
      h("figcaption", {}, h("span", {}, title), value),
      h("div", { class: "etviz-canvas" }, canvas),
    );
    return { node, canvas, value };
  }

  function scaleSwitch() {
    const choose = (relative) => () => {
      chart.relative(relative);
      change.setAttribute("aria-pressed", relative);
      value.setAttribute("aria-pressed", !relative);
    };
    const change = h("button", { type: "button", "aria-pressed": "true", click: choose(true) }, "Change since step 0");
    const value = h("button", { type: "button", "aria-pressed": "false", click: choose(false) }, "Value");
    return h("div", { class: "etviz-switch", role: "group", "aria-label": "Energy axis" }, change, value);
  }

  function readouts(cells) {
    const item = (name, cell, mark = "", title = null) =>
      h("div", { class: mark && `is-${mark}`, title }, h("dt", {}, mark ? h("i", { class: "etviz-key" }) : null, name), cell);
    return h(
      "dl",
      { class: "etviz-readout" },
      ...LINES.map((line) => item(line.name, cells[line.key], line.mark)),
      item("Slope ‖∂E/∂g‖", cells.gradient_norm, "", "Length of the energy's gradient: how steep it is here"),
      item("Hidden PSNR", cells.psnr, "", "Peak signal-to-noise ratio over the hidden pixels: higher is better"),
      item("Hidden MSE", cells.mse, "", "Mean squared error over the hidden pixels, of values in 0..1: lower is better"),
    );
  }

  function colourBar(mean) {
    const stops = VIRIDIS.map((colour) => `rgb(${colour.join(" ")})`).join(", ");
    const bar = h("i");
    bar.style.background = `linear-gradient(to right, ${stops})`;
    return h("div", { class: "etviz-bar", title: "Absolute error, mean of the three channels" }, mean, "0", bar, `≥ ${ERROR_CEILING}`);
  }

  function showMask(mask) {
    state.mask = mask;
    const hidden = countHidden(mask);
    ui.counter.textContent = `${hidden} of ${mask.length} hidden`;
    root.dataset.mask = maskToHex(mask);
    tools.show(root.dataset.mask);
    root.dataset.hidden = hidden;
    if (!state.answer) return;
    const pixel = rgb(state.original);
    draw(ui.tiles.masked.canvas, state.answer.size, (i) => (mask[state.patches[i]] ? null : pixel(i)));
  }

  /** The frame at the present step, with the given pixels kept where visible if that is wished. */
  function composed() {
    const frame = state.frames[state.step];
    if (!ui.keep.checked) return rgb(frame);
    const mask = maskFromHex(state.answer.mask);
    const [predicted, given] = [rgb(frame), rgb(state.original)];
    return (i) => (mask[state.patches[i]] ? predicted(i) : given(i));
  }

  function showFrame() {
    const { size } = state.answer;
    const [shown, given] = [composed(), rgb(state.original)];
    let total = 0;
    draw(ui.tiles.reconstruction.canvas, size, shown);
    draw(ui.tiles.error.canvas, size, (i) => {
      const [a, b] = [shown(i), given(i)];
      const error = (Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) + Math.abs(a[2] - b[2])) / (3 * 255);
      total += error;
      return viridis(error / ERROR_CEILING);
    });
    ui.mean.textContent = `Mean error ${(total / size ** 2).toFixed(3)}`;
  }

  function showStep(step) {
    const { answer } = state;
    const last = answer.energy.length - 1;
    state.step = clamp(step, 0, last);
    root.dataset.step = state.step;
    transport.step(state.step, last);
    chart.step(state.step);
    ui.tiles.reconstruction.value.textContent = `step ${state.step}`;
    for (const line of energies(answer, state.step)) ui.readout[line.key].textContent = line.value;
    ui.readout.gradient_norm.textContent = format(answer.gradient_norm[state.step], 4);
    ui.readout.psnr.textContent = answer.psnr[state.step] === null ? "–" : `${answer.psnr[state.step].toFixed(2)} dB`;
    ui.readout.mse.textContent = answer.mse[state.step] === null ? "–" : answer.mse[state.step].toFixed(4);
    showFrame();
  }

  /** Put a descent on screen. */
  function show(answer) {
    const atEnd = state.answer === null || state.step === state.answer.energy.length - 1;
    const area = 3 * answer.size ** 2;
    const frames = bytes(answer.frames);
    if (4 * answer.mask.length !== state.mask.length) {
      // A model with another grid: the mask came along, its history cannot.
      Object.assign(state, { mask: maskFromHex(answer.mask), committed: answer.mask, past: [], future: [] });
    }
    state.answer = answer;
    state.frames = Array.from({ length: frames.length / area }, (_, i) => frames.subarray(i * area, (i + 1) * area));
    state.original = bytes(answer.image);
    state.patches = patchTable(answer.size, Math.sqrt(4 * answer.mask.length));
    [painter.canvas, ui.tiles.original.canvas].forEach((canvas) => draw(canvas, answer.size, rgb(state.original)));
    ui.caption.textContent = answer.caption;
    picker.show(answer.picture);
    models?.show(answer.model);
    ui.badge.textContent = answer.rises.length ? `${steps(answer.rises)} went up` : "every step went down";
    ui.badge.classList.toggle("is-up", answer.rises.length > 0);
    if (!painter.busy()) painter.show(state.mask);
    showMask(state.mask);
    chart.show(answer);
    showStep(atEnd ? state.frames.length - 1 : state.step);
    Object.assign(root.dataset, { steps: state.frames.length - 1, shown: answer.mask, seq: answer.seq, ready: "true" });
  }

  function say(sentence) {
    ui.notice.hidden = !sentence;
    const close = h("button", { type: "button", class: "etviz-icon", "aria-label": "Dismiss", click: () => say("") }, "×");
    ui.notice.replaceChildren(...(sentence ? [sentence, close] : []));
  }

  // -- acting

  function scrub(step) {
    transport.stop();
    showStep(step);
  }

  let keyTimer = null;
  function endStroke(viaKeyboard) {
    clearTimeout(keyTimer);
    if (viaKeyboard) keyTimer = setTimeout(commit, KEY_PAUSE_MS);
    else commit();
  }

  function commit() {
    const hex = maskToHex(state.mask);
    if (hex === state.committed) return;
    state.past.push(state.committed);
    state.future = [];
    settle(hex);
  }

  function settle(hex) {
    state.committed = hex;
    host.onMask?.(hex);
    ask({});
  }

  /** Put a mask in place, given as itself or in hexadecimal; while `passing`, it does not count as a step to undo. */
  function replaceMask(given, { passing = false } = {}) {
    const mask = typeof given === "string" ? maskFromHex(given) : given;
    clearTimeout(keyTimer);
    painter.show(mask);
    showMask(mask);
    if (passing) ask({});
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
    ask({ picture });
  }

  async function read(file) {
    if (file.size > start.uploads.bytes) {
      say(`${file.name} is larger than ${start.uploads.bytes / 2 ** 20} MB: choose a smaller picture.`);
      return;
    }
    root.dataset.busy = "true";
    const answer = await host.readFile(file, state.model).catch(() => ({ error: "The picture did not reach the server: is the app still running?" }));
    root.dataset.busy = String(state.asking);
    if (answer.error) say(answer.error);
    else pick({ pixels: answer.pixels, name: file.name });
  }

  /** Ask for the descent of the present mask, with some of picture and model replaced. The newest question wins. */
  function ask({ picture = state.picture, model = state.model }) {
    Object.assign(state, { picture, model, seq: state.seq + 1 });
    const patches = start.models?.find((entry) => entry.name === model)?.patches ?? state.mask.length;
    state.waiting = { seq: state.seq, model, picture, mask: maskToHex(resizedMask(state.mask, patches)) };
    if (!state.asking) answerAll();
  }

  async function answerAll() {
    state.asking = true;
    root.dataset.busy = "true";
    while (state.waiting) {
      const question = state.waiting;
      state.waiting = null;
      receive(question, await patiently(host.trace(question)));
    }
    state.asking = false;
    root.dataset.busy = "false";
  }

  function patiently(promise) {
    const failed = { error: "The app does not answer: is it still running?" };
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, failed));
    return Promise.race([promise.then((answer) => answer ?? failed, () => failed), patience]);
  }

  function receive(question, answer) {
    if (question.seq !== state.seq) return; // a newer question is under way
    if (answer.error) {
      // What is on screen stays, and what is painted is kept for the next question.
      Object.assign(state, { picture: state.answer.picture, model: state.answer.model });
      models?.show(state.model);
      picker.show(state.picture);
      say(answer.error);
      return;
    }
    say("");
    show(answer);
    const end = answer.energy[answer.energy.length - 1];
    ui.spoken.textContent = `Reconstructed with ${ui.counter.textContent}. Energy ${format(end)}, ${ui.badge.textContent}.`;
  }

  root.addEventListener("keydown", (event) => {
    const plain = !(event.ctrlKey || event.metaKey || event.altKey);
    if (plain && !event.target.matches(TYPING) && tools.press(event.key)) event.preventDefault();
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    if (event.target.matches(TYPING)) return; // typing has an undo of its own
    event.preventDefault();
    if (event.shiftKey) redo();
    else undo();
  });
  if (start.uploads) {
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) read(event.dataTransfer.files[0]);
    });
  }

  root.classList.add("etviz");
  painter.show(state.mask);
  showMask(state.mask);
  show(start.answer);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) transport.start(); // shows what this is about
  return { ask, setMask: (hex) => replaceMask(maskFromHex(hex)), setStep: scrub };
}

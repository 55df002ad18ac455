/**
 * Training: the curves of a run, and the same picture and mask filled in at each of its epochs.
 *
 * @import { App, View } from "../lib/types.d.ts"
 */

import { createLines } from "../charts/lines.js";
import { createAsker } from "../lib/asker.js";
import { createCatalogue, epochText } from "../lib/catalogue.js";
import { maskFromHex, maskToHex, resizedMask, sideOf } from "../lib/masks.js";
import { METRIC_INFO } from "../lib/metrics.js";
import { completed, draw, patchTable, rgb, splitFrames } from "../lib/pixels.js";
import { bytes, clamp, fixed, h } from "../lib/tools.js";

const LOOK_MS = 5000; // between two questions about an unfinished run
const TICK_MS = 1000;

const CURVES = [
  {
    key: "train_loss",
    label: "Training loss",
    tell: (v) => v.toFixed(4),
    title: "Mean squared error over hidden patches, in normalised units, averaged since the last validation",
  },
  {
    key: "masked_psnr",
    label: "Validation masked PSNR, dB",
    tell: (v) => `${v.toFixed(2)} dB`,
    title: `On the images held out of training. ${METRIC_INFO.masked_psnr.text}`,
  },
  {
    key: "lr",
    label: "Learning rate",
    tell: (v) => v.toExponential(2),
    title: "AdamW's learning rate at the end of the epoch",
  },
  {
    key: "images_per_second",
    label: "Images/s",
    tell: (v) => fixed(v, 0),
    title: "Images trained on per second, without the validations",
  },
];

/** @param {App} app @returns {View} */
export function createTrainingView(app) {
  const catalogue = createCatalogue(app);
  const [askRun, askEpochs] = [0, 1].map(() => createAsker((question) => app.host.ask(question)));
  let run = null; // as `describe_run` gives it
  let reading = null; // its curves
  let film = null; // its epochs: {run, epochs: [{file, epoch, frames, psnr}], original, hidden, patches, size}
  let filmOf = ""; // the question that the film answers
  let chosen = 0; // index into the film's epochs
  let looked = 0; // when the run was last asked about
  let timer = null;

  const menu = h("select", { "aria-label": "Run", change: () => open(menu.value) });
  const badge = h("span", { class: "etviz-state", role: "status" });
  const facts = h("p", { class: "etviz-hint" });
  const problem = h("p", { class: "etviz-hint", hidden: true });
  const charts = CURVES.map((curve) => ({
    ...curve,
    lines: createLines({ label: curve.label, axis: "Epoch", tell: curve.tell, onPick: pickNear }),
  }));
  const canvas = h("canvas", { role: "img", "aria-label": "Completed picture at this epoch" });
  const original = h("canvas", { role: "img", "aria-label": "Original picture" });
  const title = h("b");
  const score = h("span", { title: `Of this picture. ${METRIC_INFO.masked_psnr.text}` });
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 0,
    step: 1,
    value: 0,
    "aria-label": "Training epoch",
    input: () => choose(Number(slider.value)),
  });
  const strip = h("div", { class: "etviz-snapshots" });
  const everywhere = h("button", { type: "button", click: openEverywhere }, "Open this epoch everywhere");
  const node = h(
    "div",
    { class: "etviz-training" },
    h("div", { class: "etviz-which" }, h("label", { class: "etviz-number" }, "Run", menu), badge, facts),
    problem,
    h(
      "div",
      { class: "etviz-curves" },
      ...charts.map(({ label, title, lines }) =>
        h("div", {}, h("p", { class: "etviz-axis", title }, label), lines.node),
      ),
    ),
    h(
      "section",
      { class: "etviz-film", "aria-label": "Epochs" },
      h("figure", {}, h("div", { class: "etviz-canvas" }, canvas), h("figcaption", {}, title, score)),
      h("figure", {}, h("div", { class: "etviz-canvas" }, original), h("figcaption", {}, "Original")),
      h(
        "div",
        { class: "etviz-epochs" },
        h("p", { class: "etviz-axis" }, "Training epoch, and masked PSNR in dB"),
        strip,
        slider,
        h("div", { class: "etviz-group" }, everywhere),
      ),
    ),
  );

  // -- asking

  function open(name) {
    app.link("epoch", null, { passing: true });
    app.link("run", name);
    return look(name);
  }

  /** Ask for a run's curves, then for its epochs unless they are on screen already. */
  async function look(name) {
    looked = performance.now();
    const found = await askRun({ kind: "training", run: name });
    if (found === null) return;
    if (found.error) return app.say(found.error);
    run = found.run;
    reading = found;
    drawRun();
    watch();
    fillMenu(await catalogue.list(), name);
    await fetchFilm();
  }

  async function fetchFilm() {
    if (run.problem) return showFilm(null);
    const { picture } = app.answer;
    const mask = maskToHex(resizedMask(maskFromHex(app.answer.mask), run.patches));
    const weights = [run.snapshots.length, run.epoch]; // a training run adds to them
    const question = { kind: "epochs", run: run.name, picture, mask, steps: app.answer.energy.length - 1 };
    const wanted = JSON.stringify([question, weights]);
    if (wanted === filmOf) return;
    filmOf = wanted;
    const answer = await askEpochs(question);
    if (answer === null || wanted !== filmOf) return;
    if (answer.error) filmOf = "";
    if (answer.error) return app.say(answer.error);
    showFilm({ ...answer, run: run.name, mask });
  }

  /** Once a second while the tab is visible: say how long ago the run wrote, and now and then ask about it anew. */
  function watch() {
    clearInterval(timer);
    if (reading.state !== "finished") timer = setInterval(tick, TICK_MS);
  }

  function tick() {
    if (node.offsetParent === null) return clearInterval(timer); // another tab is open; `show` starts the timer again
    if (document.hidden) return;
    showState();
    if (performance.now() - looked > LOOK_MS) look(run.name);
  }

  // -- drawing

  function fillMenu(runs, name) {
    const names = runs.map((entry) => entry.name);
    const shown = [...menu.options].map((option) => option.value);
    if (names.join() !== shown.join())
      menu.replaceChildren(...names.map((entry) => h("option", { value: entry }, entry)));
    menu.value = name;
  }

  function drawRun() {
    const { curves } = reading;
    const points = (key) => curves.epoch.map((epoch, i) => [epoch, curves[key][i]]).filter(([epoch]) => epoch !== null);
    for (const { key, label, lines } of charts) lines.show([{ name: label, mark: "total", points: points(key) }]);
    facts.textContent = factsText(reading.facts);
    problem.textContent = [run.problem, reading.problem].filter(Boolean).join(" ");
    problem.hidden = !problem.textContent;
    showState();
  }

  function showState() {
    const { state, written } = reading;
    const ago = written + (performance.now() - looked) / 1000;
    const words = {
      running: `running, last written ${duration(ago)} ago`,
      stopped: `stopped, last written ${duration(ago)} ago`,
    };
    badge.textContent = words[state] ?? state;
    badge.classList.toggle("is-running", state === "running");
  }

  function showFilm(answer) {
    const before = film?.epochs[chosen];
    const atEnd = !film || chosen === film.epochs.length - 1 || film.run !== answer?.run;
    film = answer && {
      ...answer,
      epochs: answer.epochs.map((epoch) => ({ ...epoch, frames: splitFrames(epoch.frames, answer.size) })),
      original: bytes(answer.image),
      hidden: maskFromHex(answer.mask),
      patches: patchTable(answer.size, sideOf(answer.mask)),
    };
    strip.parentElement.parentElement.hidden = !film;
    if (!film) return;
    const linked = app.linked("epoch");
    const wanted = linked ?? (atEnd ? "final" : (before.file ?? "final"));
    const last = film.epochs.length - 1;
    const at = film.epochs.findIndex(({ file }) => (file ?? "final") === wanted);
    slider.max = last;
    strip.replaceChildren(...film.epochs.map(frameButton));
    draw(original, film.size, rgb(film.original));
    drawStrip();
    mark(at < 0 ? last : at);
  }

  const stepOf = ({ frames }) => Math.min(app.step, frames.length - 1); // a shorter descent stays at its last step

  /** The completed picture of one epoch at the page's step, as `draw` takes it. */
  function pictureOf(epoch) {
    return completed(rgb(epoch.frames[stepOf(epoch)]), rgb(film.original), film.hidden, film.patches);
  }

  const nameOf = ({ file, epoch }) => (file === null ? "final" : epochText(epoch));
  const scoreOf = (epoch) => epoch.psnr[stepOf(epoch)]?.toFixed(2) ?? "–";
  const words = (epoch) =>
    `${epoch.file === null ? "Final weights" : `Epoch ${epochText(epoch.epoch)}`}, ${scoreOf(epoch)} dB`;

  const frameButton = (_, index) =>
    h(
      "button",
      { type: "button", click: () => choose(index) },
      h("canvas", { "aria-hidden": "true" }),
      h("span"),
      h("i"),
    );

  function drawStrip() {
    film.epochs.forEach((epoch, i) => {
      const [small, name, score] = strip.children[i].children;
      draw(small, film.size, pictureOf(epoch));
      name.textContent = nameOf(epoch);
      score.textContent = scoreOf(epoch);
      strip.children[i].setAttribute("aria-label", words(epoch));
    });
  }

  function choose(index) {
    mark(index);
    app.link("epoch", film.epochs[index].file ?? "final", { passing: true });
  }

  function mark(index) {
    chosen = clamp(index, 0, film.epochs.length - 1);
    drawChosen();
    slider.value = chosen;
    slider.style.setProperty("--share", chosen / Math.max(film.epochs.length - 1, 1));
    [...strip.children].forEach((button, i) => button.setAttribute("aria-pressed", i === chosen));
    for (const { lines } of charts) lines.at(film.epochs[chosen].epoch);
    showButton();
  }

  function drawChosen() {
    const epoch = film.epochs[chosen];
    draw(canvas, film.size, pictureOf(epoch));
    title.textContent = epoch.file === null ? "Final weights" : `Epoch ${epochText(epoch.epoch)}`;
    score.textContent = `${scoreOf(epoch)} dB`;
    score.parentElement.title = `Step ${stepOf(epoch)} of ${epoch.frames.length - 1}`;
    slider.setAttribute("aria-valuetext", words(epoch));
  }

  /** The snapshot nearest to an epoch of the curves. */
  function pickNear(epoch) {
    if (!film) return;
    const gaps = film.epochs.map((entry) => Math.abs((entry.epoch ?? Infinity) - epoch));
    choose(gaps.indexOf(Math.min(...gaps)));
  }

  function showButton() {
    const { file } = film.epochs[chosen];
    const isOpen = app.answer.model === run.name && app.answer.snapshot === file;
    everywhere.disabled = !run.energy || isOpen;
    everywhere.textContent = isOpen ? "This epoch is open everywhere" : "Open this epoch everywhere";
    everywhere.title = run.energy
      ? "Every tab then shows this epoch's weights"
      : "This model has no energy, so the other tabs cannot show it";
  }

  function openEverywhere() {
    app.offer(run);
    app.change({ model: run.name, snapshot: film.epochs[chosen].file, settings: {} });
  }

  return {
    name: "training",
    title: "Training",
    text: "How a model learned: its curves, with a point for each validation, and this picture as its weights filled it in after a tenth of an epoch, one epoch, three, and so on. All epochs follow the page's step.",
    node,
    async show(answer) {
      await look(app.linked("run") ?? answer.model);
      if (film) showButton();
    },
    step() {
      if (!film) return;
      drawStrip();
      drawChosen();
    },
  };
}

function duration(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

/** What card.json says, in words. */
function factsText(card) {
  const count = (value) => fixed(value, 0);
  const parts = [
    card.model && card.dataset ? `${card.model} on ${card.dataset}` : null,
    card.parameters ? `${count(card.parameters)} parameters` : null,
    card.epochs
      ? `weights of epoch ${epochText(card.epochs)}${card.planned_epochs ? ` of ${card.planned_epochs}` : ""}`
      : null,
    card.images_seen ? `${count(card.images_seen)} images in ${duration(card.seconds ?? 0)}` : null,
    card.device ?? null,
    card.validation ? `validation masked PSNR ${card.validation.toFixed(2)} dB` : null,
    card.test ? `test masked PSNR ${card.test.toFixed(2)} dB` : null,
  ];
  return parts.filter(Boolean).join(" · ");
}

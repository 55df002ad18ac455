/**
 * Training: the curves of a run, and the same picture and mask filled in at each of its epochs.
 *
 * @import { App, View } from "../lib/types.d.ts"
 */

import { createLines } from "../charts/lines.js";
import { createAsker } from "../lib/asker.js";
import { createCatalogue } from "../lib/catalogue.js";
import { maskFromHex, maskToHex, resizedMask } from "../lib/masks.js";
import { METRIC_INFO } from "../lib/metrics.js";
import { durationText, factsText } from "../lib/runfacts.js";
import { fixed, h } from "../lib/tools.js";
import { createFilm } from "../parts/film.js";

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
    label: "Masked PSNR, dB",
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
  let filmOf = ""; // the question that the film answers
  let looked = 0; // when the run was last asked about
  let timer = null;

  const menu = h("select", { "aria-label": "Run", change: () => open(menu.value) });
  const badge = h("span", { class: "etviz-state", role: "status" });
  const facts = h("p", { class: "etviz-hint" });
  const problem = h("p", { class: "etviz-hint", hidden: true });
  const charts = CURVES.map((curve) => ({
    ...curve,
    lines: createLines({
      label: curve.label,
      axis: "Epoch",
      tell: curve.tell,
      onPick: (epoch) => film.pickNear(epoch),
    }),
  }));
  const curves = h(
    "div",
    { class: "etviz-curves" },
    ...charts.map(({ label, title, lines }) => h("div", {}, h("p", { class: "etviz-axis", title }, label), lines.node)),
  );
  const everywhere = h("button", { type: "button", click: openEverywhere }, "Open this epoch everywhere");
  const film = createFilm(app, { onMark, below: everywhere });
  const node = h(
    "div",
    { class: "etviz-training" },
    h("div", { class: "etviz-which" }, h("label", { class: "etviz-number" }, "Run", menu), badge, facts),
    problem,
    curves,
    film.node,
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
    if (run.problem) return film.show(null);
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
    film.show({ ...answer, run: run.name, mask });
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
    const values = reading.curves;
    curves.hidden = reading.state === "finished" && values.epoch.length === 0;
    const points = (key) => values.epoch.map((epoch, i) => [epoch, values[key][i]]).filter(([epoch]) => epoch !== null);
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
      running: `running, last written ${durationText(ago)} ago`,
      stopped: `stopped, last written ${durationText(ago)} ago`,
    };
    badge.textContent = words[state] ?? state;
    badge.classList.toggle("is-running", state === "running");
  }

  /** @param {{file: string | null, epoch: number | null}} epoch */
  function onMark(epoch) {
    for (const { lines } of charts) lines.at(epoch.epoch);
    showButton();
  }

  function showButton() {
    const { file } = film.epoch();
    const isOpen = app.answer.model === run.name && app.answer.snapshot === file;
    everywhere.disabled = !run.energy || isOpen;
    everywhere.textContent = isOpen ? "This epoch is open everywhere" : "Open this epoch everywhere";
    everywhere.title = run.energy
      ? "Every tab then shows this epoch's weights"
      : "This model has no energy, so the other tabs cannot show it";
  }

  function openEverywhere() {
    app.offer(run);
    app.change({ model: run.name, snapshot: film.epoch().file, settings: {} });
  }

  return {
    name: "training",
    title: "Training",
    text: "How a model learned: its curves, with a point for each validation, and this picture as its weights filled it in after a tenth of an epoch, one epoch, three, and so on. All epochs follow the page's step.",
    node,
    async show(answer) {
      await look(app.linked("run") ?? answer.model);
      if (film.epoch()) showButton();
    },
    step: film.step,
  };
}

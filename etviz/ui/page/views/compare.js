/**
 * Compare: up to four models, epochs or ways to descend on the same picture and mask, all at the same step.
 *
 * @import { App, View } from "../lib/types.d.ts"
 */

import { createColourBar } from "../charts/colourbar.js";
import { createLines } from "../charts/lines.js";
import { createAsker } from "../lib/asker.js";
import { createCatalogue } from "../lib/catalogue.js";
import { frameAt, pictureAt, relativeEnergy, unpackColumn } from "../lib/columnreading.js";
import {
  byEpoch,
  byModel,
  byStepSize,
  column,
  columnsFromText,
  columnsToText,
  LETTERS,
  MARKS,
  stepSizesOf,
} from "../lib/columns.js";
import { countPatches, maskFromHex, maskToHex, resizedMask } from "../lib/masks.js";
import { rgb } from "../lib/pixels.js";
import { fixed, h } from "../lib/tools.js";
import { createColumnCard, DIFFERENCE_CEILING } from "../parts/columncard.js";
import { createMetricTable } from "../parts/metrictable.js";
import { createSwitch } from "../parts/switch.js";

const AGAINST = { first: { text: "Column A" }, original: { text: "The original" } };
const SCALE_TITLE = "Absolute difference |a − b|, mean of the three channels, of values in 0..1";
const CURVES_TITLE =
  "Each curve is (E − E₀) / |E₀|: energies of different models, epochs or betas have different scales and zeros, so their values are not comparable";

/** @param {App} app @returns {View} */
export function createCompareView(app) {
  const catalogue = createCatalogue(app);
  const ask = createAsker((question) => app.host.ask(question));
  let known = new Map(); // readings of the descent on screen, by column
  let stale = new Map(); // those of the descent before, shown until the new ones are here
  let columns = [];
  let descent = null; // the descent that `known` holds readings of
  let against = "first"; // what each picture is compared with

  const cards = LETTERS.map((_, i) =>
    createColumnCard(i, {
      onChange: (entry) => replace(i, entry),
      onRemove: () => choose(columns.filter((_, j) => j !== i)),
    }),
  );
  const add = h(
    "button",
    { type: "button", click: () => choose([...columns, { ...columns[columns.length - 1] }]) },
    "Add a column",
  );
  const presets = h("div", { class: "etviz-group", role: "group", "aria-label": "What to compare" });
  const table = createMetricTable();
  const lines = createLines({
    label: "Energy, change since step 0 in units of |E₀|",
    axis: "Step",
    tell: (value) => `${fixed(value, 3)} |E₀|`,
    onPick: app.setStep,
  });
  const axis = h("p", { class: "etviz-axis", title: CURVES_TITLE }, "Energy: change since step 0, in |E₀|");
  const node = h(
    "div",
    { class: "etviz-compare" },
    h("div", { class: "etviz-compare-bar" }, presets, add, createAgainst()),
    h("div", { class: "etviz-columns" }, ...cards.map((card) => card.node)),
    h("div", { class: "etviz-compare-foot" }, table.node, h("div", {}, axis, lines.node)),
  );

  /** The choice of what differences are to, and their colours. */
  function createAgainst() {
    const onChoose = (name) => {
      against = name;
      drawPictures();
    };
    const bar = createColourBar("0", `≥ ${DIFFERENCE_CEILING}`, SCALE_TITLE);
    const choice = createSwitch({ label: "Difference to", options: AGAINST, chosen: against, onChoose });
    return h("div", { class: "etviz-against" }, bar, h("span", {}, "Difference to"), choice.node);
  }

  // -- what is compared

  const runOf = (entry) => catalogue.get(entry.model);

  function showPresets(runs) {
    const { model, snapshot } = app.answer;
    const run = catalogue.get(model);
    const loadable = runs.filter((entry) => !entry.problem);
    const button = (text, make) => h("button", { type: "button", click: () => choose(make()) }, text);
    presets.replaceChildren(
      ...(run?.energy ? [button(`Step sizes ${stepSizesOf(run).join(", ")}`, () => byStepSize(run, snapshot))] : []),
      ...(run?.snapshots?.length > 1 ? [button("Epochs", () => byEpoch(run))] : []),
      ...(loadable.length > 1 ? [button("Models", () => byModel(loadable, model))] : []),
    );
  }

  function replace(i, entry) {
    choose(columns.map((old, j) => (i === j ? entry : old)));
  }

  function choose(next) {
    app.link("columns", columnsToText(next));
    adopt(next);
  }

  /** Show columns, and ask for those readings that are missing. */
  function adopt(next) {
    columns = next;
    add.disabled = columns.length === LETTERS.length;
    node.dataset.count = columns.length;
    cards.forEach((card, i) => card.show(columns[i] ?? null, columns.length, catalogue));
    drawAll();
    const missing = columns.filter((entry) => !known.has(keyOf(entry)));
    if (missing.length) request(missing);
  }

  async function request(missing) {
    const { answer } = app;
    const reading = await ask({ kind: "compare", picture: answer.picture, columns: missing.map(asked) });
    if (reading === null || app.answer !== answer) return; // a newer question is under way
    const given = reading.columns ?? missing.map(() => reading); // one error for all of them
    given.forEach((found, i) => known.set(keyOf(missing[i]), found.error ? found : unpackColumn(found)));
    drawAll();
  }

  const keyOf = (entry) => columnsToText([entry]);

  /** A column as a question: the mask as painted, resized to the grid of the column's own model. */
  function asked({ model, snapshot, step_size, beta, rule }) {
    const mask = maskToHex(
      resizedMask(maskFromHex(app.answer.mask), runOf({ model })?.patches ?? countPatches(app.answer.mask)),
    );
    const settings = { steps: Math.min(app.answer.energy.length - 1, app.start.limits.steps), step_size, beta, rule };
    return { model, snapshot, mask, settings };
  }

  // -- drawing

  const readingOf = (entry) => known.get(keyOf(entry)) ?? stale.get(keyOf(entry)) ?? null;
  const readings = () => columns.map(readingOf);
  const usable = (reading) => (reading && !reading.error ? reading : null);

  function drawPictures() {
    const all = readings();
    all.forEach((reading, i) => {
      cards[i].say(reading ? (reading.error ?? "") : "Descending …");
      const found = usable(reading);
      if (!found) return cards[i].clear();
      cards[i].picture(found.size, pictureAt(found, app.step), stepText(found));
      drawDifference(cards[i], found, usable(all[0]), i);
    });
  }

  function drawDifference(card, found, first, i) {
    const [own, original] = [pictureAt(found, app.step), rgb(found.original)];
    if (against === "original") card.difference(found.size, own, original, "the original");
    else if (i === 0) card.reference(found.size, original);
    else if (!first) card.noDifference("A has no picture yet");
    else if (first.size !== found.size) card.noDifference("A has another size");
    else card.difference(found.size, own, pictureAt(first, app.step), "A");
  }

  const stepText = (reading) =>
    reading.energy ? `step ${frameAt(reading, app.step)} of ${reading.frames.length - 1}` : "at once, no energy";

  function drawTable() {
    table.show(columns, readings().map(usable), app.step, catalogue);
  }

  function drawLines() {
    const curves = readings().map((reading) => (usable(reading) ? relativeEnergy(reading) : null));
    const series = curves.map((points, i) => ({ name: LETTERS[i], mark: MARKS[i], points }));
    lines.show(series.filter(({ points }) => points));
  }

  function drawAll() {
    drawPictures();
    drawTable();
    drawLines();
    lines.at(app.step);
  }

  // -- with the page

  async function show(answer) {
    const now = JSON.stringify([answer.picture, answer.mask, answer.energy.length]);
    if (now !== descent) {
      stale = new Map(columns.map((entry) => [keyOf(entry), readingOf(entry)]));
      known = new Map();
    }
    descent = now;
    const runs = await catalogue.list();
    if (app.answer !== answer) return; // a newer descent has come
    showPresets(runs);
    const linked = columnsFromText(app.linked("columns"));
    adopt(linked.length ? linked : initial(answer));
  }

  /** Without a link: the step sizes of the page's model. */
  function initial({ model, snapshot }) {
    const run = catalogue.get(model);
    return run?.energy ? byStepSize(run, snapshot) : [column(model, { snapshot }), column(model, { snapshot })];
  }

  return {
    name: "compare",
    title: "Compare",
    text: "Two to four columns fill in the same hidden patches, with different models, epochs or ways to descend. All follow the page's step; a column with fewer steps stays at its last.",
    node,
    show,
    step(step) {
      if (!columns.length) return;
      drawPictures();
      drawTable();
      lines.at(step);
    },
  };
}

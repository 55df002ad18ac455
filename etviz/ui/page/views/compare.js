/**
 * Compare: up to four models, epochs or ways to descend on the same picture and mask, all at the same step.
 *
 * @import { App, View } from "../lib/types.d.ts"
 */

import { createColourBar } from "../charts/colourbar.js";
import { createLines } from "../charts/lines.js";
import { createAsker } from "../lib/asker.js";
import { createCatalogue, epochOptions } from "../lib/catalogue.js";
import {
  byEpoch,
  byModel,
  byStepSize,
  column,
  columnsFromText,
  columnsToText,
  columnText,
  LETTERS,
  sameEnergy,
  stepSizesOf,
} from "../lib/columns.js";
import { countPatches, maskFromHex, maskToHex, resizedMask, sideOf } from "../lib/masks.js";
import { METRIC_INFO } from "../lib/metrics.js";
import { completed, draw, patchTable, rgb, splitFrames, viridis } from "../lib/pixels.js";
import { bytes, fixed, format, h, steps } from "../lib/tools.js";

const DIFFERENCE_CEILING = 0.3; // absolute difference drawn in the brightest colour
const MARKS = ["total", "attention", "hopfield", "fourth"]; // colours and dashes of the letters

const COMPARED = [
  { key: "mse", name: "Masked MSE", best: Math.min, tell: (v) => v.toFixed(4), title: METRIC_INFO.masked_mse.text },
  {
    key: "psnr",
    name: "Masked PSNR",
    best: Math.max,
    tell: (v) => `${v.toFixed(2)} dB`,
    title: METRIC_INFO.masked_psnr.text,
  },
  { key: "ssim", name: "SSIM", best: Math.max, tell: (v) => v.toFixed(3), title: METRIC_INFO.completed_ssim.text },
  {
    key: "end",
    name: "End energy",
    best: Math.min,
    tell: (v) => format(v, 6),
    title:
      "Energy after the last step. The best is marked only where all columns descend on one energy: energies of different models, epochs or betas are not comparable",
  },
  { key: "rose", name: "Rises", best: Math.min, tell: String, title: "Steps that raised the energy: fewer is better" },
  {
    key: "milliseconds",
    name: "Time",
    best: Math.min,
    tell: (v) => `${v.toFixed(0)} ms`,
    title: "Time on the server for the pictures and energies of all steps: lower is better",
  },
];

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
  const rows = h("tbody");
  const lines = createLines({
    label: "Energy, change since step 0 in units of |E₀|",
    axis: "Step",
    tell: (value) => `${fixed(value, 3)} |E₀|`,
    onPick: app.setStep,
  });
  const note = h("p", { class: "etviz-hint" });
  const node = h(
    "div",
    { class: "etviz-compare" },
    h("div", { class: "etviz-compare-bar" }, presets, add, againstSwitch()),
    h("div", { class: "etviz-columns" }, ...cards.map((card) => card.node)),
    h(
      "div",
      { class: "etviz-compare-foot" },
      h("div", { class: "etviz-table", tabindex: 0, role: "region", "aria-label": "Metrics" }, table(), note),
      h(
        "div",
        {},
        h(
          "p",
          {
            class: "etviz-axis",
            title:
              "Each curve is (E − E₀) / |E₀|: energies of different models, epochs or betas have different scales and zeros, so their values are not comparable",
          },
          "Energy: change since step 0, in |E₀|",
        ),
        lines.node,
      ),
    ),
  );

  function againstSwitch() {
    const buttons = { first: "Column A", original: "The original" };
    const pick = (name) => () => {
      against = name;
      for (const [other, button] of Object.entries(nodes)) button.setAttribute("aria-pressed", other === name);
      drawPictures();
    };
    const nodes = Object.fromEntries(
      Object.entries(buttons).map(([name, text]) => [
        name,
        h("button", { type: "button", "aria-pressed": String(name === against), click: pick(name) }, text),
      ]),
    );
    const bar = createColourBar(
      "0",
      `≥ ${DIFFERENCE_CEILING}`,
      "Absolute difference |a − b|, mean of the three channels, of values in 0..1",
    );
    return h(
      "div",
      { class: "etviz-against" },
      bar,
      h("span", {}, "Difference to"),
      h("div", { class: "etviz-switch", role: "group", "aria-label": "Difference to" }, ...Object.values(nodes)),
    );
  }

  function table() {
    const heads = COMPARED.map(({ name, title }) => h("th", { scope: "col", title }, name));
    return h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Column"), ...heads)), rows);
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
    given.forEach((found, i) => known.set(keyOf(missing[i]), found.error ? found : unpacked(found)));
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

  function unpacked(given) {
    const energy = given.energy;
    return {
      ...given,
      original: bytes(given.image),
      frames: splitFrames(given.frames, given.size),
      mask: maskFromHex(given.mask),
      patches: patchTable(given.size, sideOf(given.mask)),
      end: energy ? energy[energy.length - 1] : null,
      rose: given.rises ? given.rises.length : null,
    };
  }

  // -- drawing

  const readingOf = (entry) => known.get(keyOf(entry)) ?? stale.get(keyOf(entry)) ?? null;
  const readings = () => columns.map(readingOf);
  const usable = (reading) => (reading && !reading.error ? reading : null);
  const frameAt = (reading) => Math.min(app.step, reading.frames.length - 1); // a shorter one stays at its last

  /** The completed picture of a column at the page's step, as `draw` takes it. */
  function pictureOf(reading) {
    const { frames, original, mask, patches } = reading;
    return completed(rgb(frames[frameAt(reading)]), rgb(original), mask, patches);
  }

  function drawPictures() {
    const all = readings();
    const first = usable(all[0]);
    all.forEach((reading, i) => {
      const found = usable(reading);
      cards[i].say(reading ? (reading.error ?? "") : "Descending …");
      if (!found) return cards[i].clear();
      cards[i].picture(found.size, pictureOf(found), stepText(found));
      const other = against === "original" ? rgb(found.original) : first?.size === found.size ? pictureOf(first) : null;
      if (i === 0 && against === "first") cards[i].reference(found.size, rgb(found.original));
      else if (other)
        cards[i].difference(found.size, pictureOf(found), other, against === "original" ? "the original" : "A");
      else cards[i].noDifference(first ? "A has another size" : "A has no picture yet");
    });
  }

  const stepText = (reading) =>
    reading.energy ? `step ${frameAt(reading)} of ${reading.frames.length - 1}` : "at once, no energy";

  const shownValue = (reading, { key }) =>
    Array.isArray(reading[key]) ? reading[key][frameAt(reading)] : reading[key];

  function drawTable() {
    const all = readings().map(usable);
    const comparable = sameEnergy(columns);
    const bests = COMPARED.map((metric) => (metric.key === "end" && !comparable ? null : bestOf(all, metric)));
    rows.replaceChildren(
      ...columns.map((entry, i) =>
        h(
          "tr",
          {},
          h(
            "th",
            { scope: "row", class: `is-${MARKS[i]}`, title: columnText(entry, runOf(entry)) },
            h("i", { class: "etviz-key" }),
            LETTERS[i],
          ),
          ...COMPARED.map((metric, k) => cell(all[i], metric, bests[k])),
        ),
      ),
    );
    const energy = comparable
      ? "All columns descend on one energy."
      : "Energies of different models, epochs or betas are not comparable, so none is marked.";
    note.textContent = `Best values are shaded. ${energy}`;
  }

  /** The best value as shown, or null where there is nothing to choose between. */
  function bestOf(all, metric) {
    const values = all
      .filter(Boolean)
      .map((reading) => shownValue(reading, metric))
      .filter((value) => value !== null);
    const best = values.length > 1 ? metric.tell(metric.best(...values)) : null;
    return values.every((value) => metric.tell(value) === best) ? null : best;
  }

  function cell(reading, metric, best) {
    const value = reading ? shownValue(reading, metric) : null;
    if (value === null) return h("td", { title: reading ? "Not defined here" : null }, "–");
    const text = metric.tell(value);
    const title = metric.key === "rose" && value ? `${steps(reading.rises)} went up` : null;
    return h(
      "td",
      { title, class: text === best ? "is-best" : null },
      text,
      text === best ? h("span", { class: "etviz-spoken" }, " (best)") : null,
    );
  }

  function drawLines() {
    const entries = readings()
      .map((reading, i) => [usable(reading), i])
      .filter(([reading]) => reading?.energy?.[0]);
    lines.show(
      entries.map(([{ energy }, i]) => ({
        name: LETTERS[i],
        mark: MARKS[i],
        points: energy.map((value, step) => [step, value === null ? null : (value - energy[0]) / Math.abs(energy[0])]),
      })),
    );
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
    if (now !== descent)
      [stale, known] = [new Map(columns.map((entry) => [keyOf(entry), readingOf(entry)])), new Map()];
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
    text: "Two to four columns fill in the same hidden patches, with different models, different epochs of one training run, or different ways to descend. All follow the page's step; a column with fewer steps stays at its last.",
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

/** One column: what it descends with, its picture, and the difference. */
function createColumnCard(index, { onChange, onRemove }) {
  const letter = LETTERS[index];
  const named = (name) => `${name} of column ${letter}`;
  const model = h("select", {
    "aria-label": named("Model"),
    change: () =>
      onChange(column(model.value, { step_size: number(stepSize), beta: number(beta), rule: rule.value || null })),
  });
  const epoch = h("select", { "aria-label": named("Epoch"), change: send });
  const field = (name, title) =>
    h("input", { type: "number", step: "any", min: 0, "aria-label": named(name), title, change: send });
  const stepSize = field("Step size", "Step size α of x ← x − α ∂E/∂g. Empty: the model's own");
  const beta = field(
    "Beta",
    "Inverse temperature β of the attention: a different β is a different energy. Empty: the model's own",
  );
  const rule = h(
    "select",
    {
      "aria-label": named("Step rule"),
      title: "Backtracking halves each step until the energy no longer rises",
      change: send,
    },
    h("option", { value: "" }, "fixed"),
    h("option", { value: "backtracking" }, "backtracking"),
  );
  const remove = h(
    "button",
    { type: "button", class: "etviz-icon", "aria-label": `Remove column ${letter}`, click: onRemove },
    "×",
  );
  const [picture, other] = ["Completed picture", "Difference"].map((name) => createTile(name));
  const sentence = h("p", { class: "etviz-hint", hidden: true });
  const node = h(
    "section",
    { class: `etviz-column is-${MARKS[index]}`, "aria-label": `Column ${letter}` },
    h("div", { class: "etviz-column-head" }, h("b", {}, h("i", { class: "etviz-key" }), letter), model, remove),
    h("div", { class: "etviz-column-settings" }, epoch, rule, h("label", {}, "α", stepSize), h("label", {}, "β", beta)),
    sentence,
    h("div", { class: "etviz-pair" }, picture.node, other.node),
  );

  function createTile(name) {
    const canvas = h("canvas", { role: "img", "aria-label": `${name}, column ${letter}` });
    const caption = h("figcaption");
    return { canvas, caption, node: h("figure", {}, h("div", { class: "etviz-canvas" }, canvas), caption) };
  }

  function number(input) {
    return input.value === "" ? null : Number(input.value);
  }

  function send() {
    onChange(
      column(model.value, {
        snapshot: epoch.value || null,
        step_size: number(stepSize),
        beta: number(beta),
        rule: rule.value || null,
      }),
    );
  }

  function fillMenus(entry, catalogue, runs) {
    const names = runs.some((run) => run.name === entry.model) ? runs : [...runs, { name: entry.model }];
    model.replaceChildren(
      ...names.map((run) => h("option", { value: run.name, disabled: Boolean(run.problem) }, run.name)),
    );
    model.value = entry.model;
    const run = catalogue.get(entry.model);
    epoch.replaceChildren(...epochOptions(run));
    epoch.value = entry.snapshot ?? "";
    for (const control of [stepSize, beta, rule]) control.disabled = run?.energy === false;
    stepSize.placeholder = run?.step_size ? format(run.step_size, 2) : "";
    beta.placeholder = run?.beta ? format(run.beta, 3) : "";
  }

  function blank(tile, text) {
    tile.canvas.getContext("2d").clearRect(0, 0, tile.canvas.width, tile.canvas.height);
    tile.caption.textContent = text;
  }

  return {
    node,
    async show(entry, count, catalogue) {
      node.hidden = entry === null;
      if (!entry) return;
      remove.hidden = count <= 2;
      fillMenus(entry, catalogue, await catalogue.list());
      stepSize.value = entry.step_size ?? "";
      beta.value = entry.beta ?? "";
      rule.value = entry.rule ?? "";
    },
    say(text) {
      sentence.textContent = text;
      sentence.hidden = !text;
    },
    clear() {
      blank(picture, "");
      blank(other, "");
    },
    picture(size, pixel, caption) {
      draw(picture.canvas, size, pixel);
      picture.caption.textContent = caption;
    },
    reference(size, pixel) {
      draw(other.canvas, size, pixel);
      other.caption.textContent = "the original";
    },
    difference(size, a, b, name) {
      let total = 0;
      draw(other.canvas, size, (i) => {
        const [left, right] = [a(i), b(i)];
        const apart =
          (Math.abs(left[0] - right[0]) + Math.abs(left[1] - right[1]) + Math.abs(left[2] - right[2])) / (3 * 255);
        total += apart;
        return viridis(apart / DIFFERENCE_CEILING);
      });
      other.caption.textContent = `to ${name}: ${(total / size ** 2).toFixed(3)}`;
      other.caption.title = "Mean absolute difference over all pixels and channels, of values in 0..1";
    },
    noDifference(text) {
      blank(other, text);
    },
  };
}

/** Checkpoints and runs, and the columns of a comparison. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createCatalogue, epochText } from "../../etviz/ui/page/lib/catalogue.js";
import { frameAt, pictureAt, relativeEnergy, unpackColumn, valueAt } from "../../etviz/ui/page/lib/columnreading.js";
import {
  byEpoch,
  byModel,
  byStepSize,
  column,
  columnsFromText,
  columnsToText,
  columnText,
  sameEnergy,
} from "../../etviz/ui/page/lib/columns.js";
import { durationText, factsText } from "../../etviz/ui/page/lib/runfacts.js";

const RUN = {
  name: "et",
  step_size: 10,
  dataset: "cifar10",
  snapshots: [0.1, 1, 3, 10, 30, 100].map((epoch) => ({ file: `${epoch}.safetensors`, epoch })),
};

/** A page whose host knows some runs. */
function createApp(answers) {
  const said = [];
  const asked = [];
  const ask = async (question) => {
    asked.push(question);
    return answers.shift();
  };
  return { said, asked, app: { host: { ask }, say: (text) => said.push(text) } };
}

test("the catalogue is asked for once in a while, not each time", async () => {
  const { app, asked } = createApp([{ runs: [RUN] }]);
  const catalogue = createCatalogue(app);
  assert.equal(catalogue.get("et"), null);
  assert.deepEqual(await catalogue.list(), [RUN]);
  assert.deepEqual(await catalogue.list(), [RUN]);
  assert.deepEqual(asked, [{ kind: "runs" }]);
  assert.equal(catalogue.get("et"), RUN);
});

test("a catalogue that cannot be had says why", async () => {
  const { app, said } = createApp([{ error: "Too many people are asking at once." }]);
  assert.deepEqual(await createCatalogue(app).list(), []);
  assert.deepEqual(said, ["Too many people are asking at once."]);
});

test("epochs have few digits", () => {
  assert.deepEqual([0.123, 1.84, 16, null].map(epochText), ["0.12", "1.8", "16", "?"]);
});

test("columns survive the address", () => {
  const columns = [
    column("et", { step_size: 0.5 }),
    column("a,b;c", { snapshot: "1.safetensors", rule: "backtracking" }),
  ];
  assert.equal(columnsToText([columns[0]]), "et,,0.5,,");
  assert.deepEqual(columnsFromText(columnsToText(columns)), columns);
});

test("an address gives four columns at most, and leaves bad numbers for the server to refuse", () => {
  assert.equal(columnsFromText("a;b;c;d;e").length, 4);
  assert.equal(columnsFromText("et,,many,,")[0].step_size, "many");
  assert.equal(columnsFromText("%,,,,")[0].model, "%");
  assert.deepEqual(columnsFromText(null), []);
});

test("ready-made columns", () => {
  assert.deepEqual(
    byStepSize(RUN, null).map((entry) => entry.step_size),
    [5, 10, 50, 200],
  );
  assert.deepEqual(
    byEpoch(RUN).map((entry) => entry.snapshot),
    ["0.1.safetensors", "3.safetensors", "30.safetensors", null],
  );
  const others = [
    { name: "mae", dataset: "cifar100" },
    { name: "beit", dataset: "cifar10" },
  ];
  assert.deepEqual(
    byModel([...others, RUN], "et").map((entry) => entry.model),
    ["et", "beit", "mae"],
  );
});

test("a column in words", () => {
  assert.equal(columnText(column("et"), RUN), "et, final weights");
  const entry = column("et", { snapshot: "3.safetensors", step_size: 5, beta: 0.25, rule: "backtracking" });
  assert.equal(columnText(entry, RUN), "et, epoch 3, step size 5.00, beta 0.250, backtracking");
});

test("one energy is of one model, epoch and beta", () => {
  assert.ok(sameEnergy([column("et", { step_size: 1 }), column("et", { step_size: 2 })]));
  assert.ok(!sameEnergy([column("et"), column("et", { beta: 0.5 })]));
  assert.ok(!sameEnergy([column("et"), column("et", { snapshot: "3.safetensors" })]));
});

test("a run's facts, as far as its card has them", () => {
  assert.equal(factsText({}), "");
  const card = { model: "et", dataset: "cifar10", parameters: 119729, epochs: 2, planned_epochs: 4, test: 15.934 };
  const words = "et on cifar10 · 119,729 parameters · weights of epoch 2 of 4 · test masked PSNR 15.93 dB";
  assert.equal(factsText(card), words);
});

test("durations have the unit that suits them", () => {
  assert.deepEqual([45, 720, 18000, 259200].map(durationText), ["45 s", "12 min", "5 h", "3 days"]);
});

/** A column of two steps over a picture of one patch of a pixel; frame t is all t, the original all 200. */
const READING = unpackColumn({
  size: 1,
  mask: "8",
  image: btoa("\xc8\xc8\xc8"),
  frames: btoa("\x00\x00\x00\x01\x01\x01\x02\x02\x02"),
  energy: [-10, -15, null],
  rises: [],
  psnr: [1, 2, 3],
  milliseconds: 7,
});

test("a column that is shorter than the page's descent stays at its last step", () => {
  assert.equal(frameAt(READING, 1), 1);
  assert.equal(frameAt(READING, 60), 2);
  assert.deepEqual([...pictureAt(READING, 60)(0)], [2, 2, 2]);
  assert.deepEqual([valueAt(READING, "psnr", 60), valueAt(READING, "milliseconds", 60)], [3, 7]);
});

test("energies are compared by their change, in units of the first", () => {
  assert.deepEqual(relativeEnergy(READING), [
    [0, 0],
    [1, -0.5],
    [2, null],
  ]);
  assert.equal(relativeEnergy({ energy: null }), null);
});

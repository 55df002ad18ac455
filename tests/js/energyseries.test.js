import assert from "node:assert/strict";
import { test } from "node:test";
import { energies, energySeries, LINES } from "../../etviz/ui/page/charts/energyseries.js";

const [TOTAL] = LINES;
const answer = { energy: [-10, -14, null], attention_energy: [-4, -5, -6], hopfield_energy: [-6, -9, -9.5] };
const quantiles = (shift) => Object.fromEntries(LINES.map(({ key }) => [key, [0, 1, 2].map((n) => [n, n, n + shift])]));
const band = { changes: quantiles(0), values: quantiles(10) };

test("a change is counted from step 0", () => {
  const series = energySeries({ answer, scale: "change", band: null });
  assert.deepEqual(series.values(TOTAL), [0, -4, null]);
  assert.deepEqual(series.quantiles(TOTAL), []);
});

test("a value is as it is, and so are the quantiles of values", () => {
  const series = energySeries({ answer, scale: "value", band });
  assert.deepEqual(series.values(TOTAL), [-10, -14, null]);
  assert.deepEqual(series.quantiles(TOTAL)[0], [0, 0, 10]);
  assert.equal(series.median(TOTAL, 2), 11);
});

test("against the median, the median itself is zero", () => {
  const series = energySeries({ answer, scale: "median", band });
  assert.deepEqual(series.values(TOTAL), [-11, -15, null]);
  assert.deepEqual(series.quantiles(TOTAL), [
    [-1, -1, -1],
    [0, 0, 0],
    [1, 1, 1],
  ]);
});

test("without a band there is no median, and changes stand in", () => {
  const series = energySeries({ answer, scale: "median", band: null });
  assert.equal(series.kind, "change");
  assert.deepEqual(series.values(TOTAL), [0, -4, null]);
});

test("the energies of a step share their decimals", () => {
  const rows = energies(answer, 1);
  assert.deepEqual(
    rows.map(({ value, change }) => [value, change]),
    [
      ["−14.0000", "−4.0000"],
      ["−5.0000", "−1.0000"],
      ["−9.0000", "−3.0000"],
    ],
  );
  assert.deepEqual([energies(answer, 2)[0].value, energies(answer, 2)[0].change], ["–", "–"]);
});

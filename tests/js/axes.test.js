import assert from "node:assert/strict";
import { test } from "node:test";
import { areaWithin, bandPath, linearScale, linePath, niceTicks, tickLabels } from "../../etviz/ui/page/charts/axes.js";

test("ticks are round and cover the values", () => {
  assert.deepEqual(niceTicks([0.3, 9.2], 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(niceTicks([-3, 4], 3), [-5, -2.5, 0, 2.5, 5]);
});

test("ticks leave out what is not finite, and do without any value", () => {
  assert.deepEqual(niceTicks([null, Number.NaN, Infinity, 1, 2], 2), [1, 1.5, 2]);
  assert.deepEqual(niceTicks([], 2), [0, 0.5, 1]);
});

test("ticks of one value surround it", () => {
  const ticks = niceTicks([7, 7], 3);
  assert.ok(ticks.length >= 2 && ticks[0] <= 7 && ticks[ticks.length - 1] >= 7);
});

test("labels have the decimals that the finest tick needs", () => {
  assert.deepEqual(tickLabels([0, 1, 2]), ["0", "1", "2"]);
  assert.deepEqual(tickLabels([0, 0.25, 0.5]), ["0.00", "0.25", "0.50"]);
  assert.deepEqual(tickLabels([-2.5, 0, 2.5]), ["−2.5", "0.0", "2.5"]);
});

test("labels write millions as M, and thousands as k where there is little room", () => {
  assert.deepEqual(tickLabels([-400000, -200000, 0]), ["−0.4 M", "−0.2 M", "0.0"]);
  assert.deepEqual(tickLabels([0, 10000, 20000]), ["0", "10,000", "20,000"]);
  assert.deepEqual(tickLabels([0, 10000, 20000], { narrow: true }), ["0", "10 k", "20 k"]);
});

test("a scale maps the outermost ticks to its ends", () => {
  const y = linearScale([0, 5, 10], 100, 0);
  assert.deepEqual([0, 5, 10, 12].map(y), [100, 50, 0, -20]);
  assert.equal(linearScale([3, 3], 10, 20)(3), 10); // no range
});

test("a line has a gap where there is no value", () => {
  const x = (i) => 10 * i;
  const y = (value) => value;
  assert.equal(linePath([1, 2, null, 4], x, y), "M0.0 1.0L10.0 2.0M30.0 4.0");
});

test("a band runs along its lower edge and back along its upper one", () => {
  const x = (i) => i;
  const y = (value) => value;
  assert.equal(bandPath([1, 2], [3, 4], x, y), "M0.0 1.0L1.0 2.0L1.0 4.0L0.0 3.0Z");
  assert.equal(bandPath([null], [1], x, y), "");
});

test("margins leave an area", () => {
  const margins = { top: 1, right: 2, bottom: 3, left: 4 };
  assert.deepEqual(areaWithin(margins, 100, 50), { left: 4, right: 98, top: 1, bottom: 47 });
});

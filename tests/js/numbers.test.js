/** Numbers in words, curves of shares, values between grid points, and squares. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { cumulated } from "../../etviz/ui/page/charts/curve.js";
import { bilinear, contour } from "../../etviz/ui/page/lib/contours.js";
import { centredSquare } from "../../etviz/ui/page/lib/crop.js";
import { clamp, decimalsFor, fixed, format, steps } from "../../etviz/ui/page/lib/tools.js";
import { differences } from "../../etviz/ui/page/parts/settings.js";

test("numbers have about so many digits, separated thousands and a true minus sign", () => {
  assert.equal(format(-1234.5678), "−1,234.6");
  assert.equal(format(0.0123456, 3), "0.0123");
  assert.equal(format(-123456789), "−123,456,789");
  assert.equal(format(0), "0.0000");
  assert.equal(format(null), "–");
  assert.equal(format(Number.NaN), "–");
});

test("a zero has no sign", () => {
  assert.equal(fixed(-0.001, 1), "0.0");
});

test("decimals suit a number's size", () => {
  assert.deepEqual(
    [1234, 12, 1, 0.5, 0.001, 0].map((value) => decimalsFor(value, 4)),
    [0, 2, 3, 4, 6, 3],
  );
});

test("steps are listed", () => {
  assert.equal(steps([3]), "step 3");
  assert.equal(steps([3, 5]), "steps 3, 5");
});

test("a value is kept within its range", () => {
  assert.deepEqual(
    [-1, 0.5, 2].map((value) => clamp(value, 0, 1)),
    [0, 0.5, 1],
  );
});

test("shares of a sum, the largest first, whatever their sign", () => {
  assert.deepEqual(cumulated([-1, -6, 0, -3]), [0, 0.6, 0.9, 1, 1]);
  assert.deepEqual(cumulated([0, 0]), [0, 0, 0]);
});

const plane = { first: [0, 1, 2], second: [0, 1], grid: [0, 1, 2, 10, 11, 12] }; // first + 10 second

test("between grid points a value is interpolated, and there is none outside", () => {
  assert.equal(bilinear(plane, [0.5, 0.5]), 5.5);
  assert.equal(bilinear(plane, [2, 1]), 12);
  assert.equal(bilinear(plane, [2.1, 0]), null);
  assert.equal(bilinear(plane, [0, -0.1]), null);
});

test("a contour lies where the values reach its level", () => {
  const segments = contour(plane, 5);
  assert.ok(segments.length > 0);
  for (const [a, b] of segments.flat()) assert.ok(Math.abs(a + 10 * b - 5) < 1e-9);
  assert.deepEqual(contour(plane, 100), []);
});

test("the square in the middle of a picture", () => {
  assert.deepEqual(centredSquare(640, 480), { left: 80, top: 0, side: 480 });
  assert.deepEqual(centredSquare(100, 300), { left: 0, top: 100, side: 100 });
});

test("only settings other than the model's own are told", () => {
  const own = { steps: 12, step_size: 10, beta: 0.125 };
  assert.deepEqual(differences({ ...own, own, rule: "fixed", settle: false }), []);
  const other = { steps: 20, step_size: 2.5, beta: 0.125, own, rule: "backtracking", settle: false };
  assert.deepEqual(differences(other), ["20 steps", "step size 2.5", "backtracking"]);
  assert.deepEqual(differences({ ...own, own, rule: "sphere", settle: true }), ["on the sphere", "until it settles"]);
  assert.deepEqual(differences({ ...other, rule: "fixed", settle: true }), ["step size 2.5", "until it settles"]);
});

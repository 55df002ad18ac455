/** Masks: the hexadecimal and the seeds must agree with etviz.masks, whose output the expected values are. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BRUSHES,
  blockMask,
  centerMask,
  countHidden,
  countPatches,
  gridMask,
  halfMask,
  isMaskHex,
  isSeed,
  maskFromHex,
  maskFromPixels,
  maskToHex,
  middlePatch,
  nextHalf,
  randomMask,
  resizedMask,
  sideOf,
} from "../../etviz/ui/page/lib/masks.js";

test("patch 0 is the highest bit, row by row", () => {
  assert.deepEqual([...maskFromHex("8001")], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
  assert.equal(maskToHex(Uint8Array.of(0, 1, 0, 0, 1, 0, 1, 0)), "4a");
  assert.equal(maskToHex(maskFromHex("0123456789abcdef")), "0123456789abcdef");
});

test("a mask in hexadecimal tells its patches and their side", () => {
  assert.equal(countPatches("0123456789abcdef"), 64);
  assert.equal(sideOf("0123456789abcdef"), 8);
  assert.equal(countHidden(maskFromHex("f1")), 5);
});

test("only as many hexadecimal digits as there are patches make a mask", () => {
  assert.ok(isMaskHex("00FF", 16));
  for (const text of ["", "00f", "00fff", "00fg", " 00f"]) assert.ok(!isMaskHex(text, 16), text);
});

test("a seed is a whole number of 32 bits", () => {
  assert.ok(isSeed(0) && isSeed(2 ** 32 - 1));
  for (const value of [-1, 0.5, 2 ** 32, "1", null, Number.NaN]) assert.ok(!isSeed(value), String(value));
});

test("random masks are those of etviz.random_mask with the same seed", () => {
  assert.equal(maskToHex(randomMask(16, 0.85, 7)), "df9f");
  assert.equal(maskToHex(randomMask(64, 0.85, 7)), "ffdfd7ddefe7e7ff");
  assert.equal(maskToHex(randomMask(64, 0.85, 0)), "fefffadefbfdcdff");
  const large = "11351e0400a8914253690845868650f5c7708578adc21085c0da94b2f0be4523";
  assert.equal(maskToHex(randomMask(256, 0.4, 2 ** 32 - 1)), large);
});

test("blocks are those of etviz.block_mask with the same seed", () => {
  assert.equal(maskToHex(blockMask(16, 0.4, 12345)), "0acc");
  assert.equal(maskToHex(blockMask(64, 0.4, 12345)), "1f1f1f1f1f000000");
});

test("regular masks are those of etviz", () => {
  assert.equal(maskToHex(gridMask(64)), "55aa55aa55aa55aa");
  assert.equal(maskToHex(centerMask(64)), "00003c3c3c3c0000");
  const halves = ["left", "right", "top", "bottom"].map((which) => maskToHex(halfMask(16, which)));
  assert.deepEqual(halves, ["cccc", "3333", "ff00", "00ff"]);
});

test("the next half goes around, and starts with the right one", () => {
  const seen = [maskFromHex("0000")];
  for (let i = 0; i < 5; i++) seen.push(nextHalf(seen[seen.length - 1]));
  assert.deepEqual(seen.slice(1).map(maskToHex), ["3333", "00ff", "cccc", "ff00", "3333"]);
});

test("the middle patch is a hidden one where there is any", () => {
  assert.equal(middlePatch(maskFromHex("8000")), 0);
  assert.equal(middlePatch(maskFromHex("8001")), 0); // the first of two that are equally far
  assert.equal(middlePatch(maskFromHex("8020")), 10);
  assert.equal(middlePatch(maskFromHex("0000")), 5);
});

test("a mask keeps its picture on another grid", () => {
  assert.equal(maskToHex(resizedMask(maskFromHex("a"), 16)), "cccc");
  assert.equal(maskToHex(resizedMask(maskFromHex("cccc"), 4)), "a");
  assert.equal(maskToHex(resizedMask(maskFromHex("1234"), 16)), "1234");
});

test("brushes stay within the grid", () => {
  assert.deepEqual(BRUSHES.one(1, 2, 4), [6]);
  assert.deepEqual(BRUSHES.four(0, 0, 4), [0, 1, 4, 5]);
  assert.deepEqual(BRUSHES.four(3, 3, 4), [10, 11, 14, 15]);
  assert.deepEqual(BRUSHES.row(2, 1, 4), [8, 9, 10, 11]);
  assert.deepEqual(BRUSHES.column(2, 1, 4), [1, 5, 9, 13]);
});

test("a picture becomes a mask: white or transparent is hidden", () => {
  const [white, black, clear] = [
    [255, 255, 255, 255],
    [0, 0, 0, 255],
    [0, 0, 0, 0],
  ];
  const image = { width: 2, height: 2, data: Uint8ClampedArray.from([white, black, black, clear].flat()) };
  assert.deepEqual([...maskFromPixels(image, 4)], [1, 0, 0, 1]);
  assert.equal(maskToHex(maskFromPixels(image, 16)), "cc33"); // fewer pixels than patches
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { byUse, energyWords, shareWords, sumOf, unpackMemories } from "../../etviz/ui/page/lib/memoryuse.js";

const base64 = (array) => btoa(String.fromCharCode(...new Uint8Array(array.buffer)));

/** Two blocks of two memories, each one pixel; the first two states belong to the first block. */
const ALL = unpackMemories({
  count: 2,
  patch_size: 1,
  blocks: [0, 0, 1],
  energy: base64(Float32Array.of(-1, -2, -3, -6, -5, 0)),
  patches: base64(Uint8Array.of(1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4)),
});

test("each state has the energy of every memory", () => {
  assert.deepEqual(
    [0, 1, 2].map((step) => [...ALL.energyAt(step)]),
    [
      [-1, -2],
      [-3, -6],
      [-5, 0],
    ],
  );
});

test("a mean over the descent keeps to the states of one block", () => {
  assert.deepEqual([...ALL.energyOver(1)], [-2, -4]);
  assert.deepEqual([...ALL.energyOver(2)], [-5, 0]);
});

test("each block has pictures of its own", () => {
  assert.deepEqual([...ALL.picturesAt(0)], [1, 1, 1, 2, 2, 2]);
  assert.deepEqual([...ALL.pixelAt(2, 1)(0)], [4, 4, 4]);
});

test("the memory with the lowest energy is used most", () => {
  assert.deepEqual(byUse([-1, 0, -3, 0]), [2, 0, 1, 3]);
});

test("energies and shares in words", () => {
  assert.equal(sumOf([-1, -3]), -4);
  assert.deepEqual([energyWords(0), energyWords(-12.3456)], ["0", "−12.35"]);
  assert.deepEqual([shareWords(-1, -3), shareWords(0, 0)], ["33.3%", "–"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { blanked, completed, holed, patchTable, rgb, splitFrames, viridis } from "../../etviz/ui/page/lib/pixels.js";
import { bytes, floats } from "../../etviz/ui/page/lib/tools.js";

test("viridis is matplotlib's, to within 8 of 255", () => {
  const known = { 0: [68, 1, 84], 0.2: [65, 68, 135], 0.5: [33, 145, 140], 0.9: [189, 223, 38], 1: [253, 231, 37] };
  for (const [share, colour] of Object.entries(known)) {
    viridis(Number(share)).forEach((value, i) => {
      assert.ok(Math.abs(value - colour[i]) <= 8, `${share}: ${value} for ${colour[i]}`);
    });
  }
});

test("viridis ends where its range does", () => {
  assert.deepEqual(viridis(-1), viridis(0));
  assert.deepEqual(viridis(2), viridis(1));
  assert.deepEqual(viridis(Number.NaN), viridis(0));
});

test("every pixel belongs to a patch", () => {
  assert.deepEqual([...patchTable(4, 2)], [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]);
});

test("base64 becomes bytes, and little-endian float32", () => {
  assert.deepEqual([...bytes("AAEC/w==")], [0, 1, 2, 255]);
  assert.deepEqual([...floats("AACAPwAAAMA=")], [1, -2]);
});

test("a film splits into its frames", () => {
  const film = btoa(String.fromCharCode(...Array.from({ length: 24 }, (_, i) => i)));
  const frames = splitFrames(film, 2);
  assert.equal(frames.length, 2);
  assert.deepEqual([...frames[1]], [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]);
});

const given = rgb(Uint8Array.of(1, 1, 1, 2, 2, 2));
const predicted = rgb(Uint8Array.of(8, 8, 8, 9, 9, 9));
const [mask, patches] = [Uint8Array.of(0, 1), Uint16Array.of(0, 1)];

test("a completed picture keeps what was visible", () => {
  const pixel = completed(predicted, given, mask, patches);
  assert.deepEqual(
    [[...pixel(0)], [...pixel(1)]],
    [
      [1, 1, 1],
      [9, 9, 9],
    ],
  );
});

test("a masked picture has holes", () => {
  const pixel = holed(given, mask, patches);
  assert.deepEqual([...pixel(0)], [1, 1, 1]);
  assert.equal(pixel(1), null);
});

test("blanking leaves no trace of a hidden pixel", () => {
  assert.deepEqual([...blanked(Uint8Array.of(1, 2, 3, 4, 5, 6), (i) => i === 1)], [1, 2, 3, 128, 128, 128]);
});

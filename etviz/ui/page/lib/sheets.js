/**
 * Large pictures arrive as one WebP file, laid out row by row on a sheet; see `encode_sheet` in etviz/ui/payload.py.
 *
 * @import { Sheet } from "./types.d.ts"
 */

import { bytes } from "./tools.js";

/**
 * An answer with every sheet in it as the bytes that it stands for: Uint8Array by picture, row, column and channel. An
 * answer without any comes back as it is, and at once.
 *
 * @template T
 * @param {T} answer
 * @returns {T | Promise<T>}
 */
export function unpackSheets(answer) {
  return holdsSheet(answer) ? unpacked(answer) : answer;
}

const isSheet = (value) => typeof value?.webp === "string";

function holdsSheet(value) {
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return false;
  return isSheet(value) || Object.values(value).some(holdsSheet);
}

async function unpacked(value) {
  if (!holdsSheet(value)) return value;
  if (isSheet(value)) return decodeSheet(value);
  const entries = await Promise.all(Object.entries(value).map(async ([key, part]) => [key, await unpacked(part)]));
  return Array.isArray(value) ? entries.map(([, part]) => part) : Object.fromEntries(entries);
}

/** @param {Sheet} sheet */
async function decodeSheet({ webp, size, count, columns }) {
  const file = new Blob([bytes(webp)], { type: "image/webp" });
  const image = await createImageBitmap(file, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (
    canvas.getContext("2d", { willReadFrequently: true })
  );
  context.drawImage(image, 0, 0);
  image.close();
  const { data, width } = context.getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint8Array(3 * count * size * size);
  let to = 0;
  for (let picture = 0; picture < count; picture++) {
    const [top, left] = [Math.floor(picture / columns) * size, (picture % columns) * size];
    for (let row = top; row < top + size; row++) {
      let from = 4 * (row * width + left);
      for (let i = 0; i < size; i++, from += 4) {
        pixels[to++] = data[from];
        pixels[to++] = data[from + 1];
        pixels[to++] = data[from + 2];
      }
    }
  }
  return pixels;
}

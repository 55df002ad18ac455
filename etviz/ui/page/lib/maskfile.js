/** Masks as PNG files: downloading and reading them. */

import { maskFromPixels, maskToHex, maskToPixels } from "./masks.js";
import { h } from "./tools.js";

const UNREADABLE = "The browser cannot read this file as a picture. Choose a black and white PNG.";

/** Download the mask as a PNG; each patch is `patchSize` pixels wide. */
export async function downloadMask(mask, patchSize) {
  const image = maskToPixels(mask, patchSize);
  const canvas = h("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  const url = URL.createObjectURL(await new Promise((resolve) => canvas.toBlob(resolve, "image/png")));
  h("a", { href: url, download: `mask-${maskToHex(mask)}.png` }).click();
  setTimeout(URL.revokeObjectURL, 1000, url); // when the download has begun
}

/** Read the mask of `count` patches from a picture file: {mask}, or {error: a sentence}. `limit` is {bytes, side}. */
export async function readMask(file, count, limit) {
  if (file.size > limit.bytes)
    return { error: `${file.name} is larger than ${limit.bytes / 2 ** 20} MB: choose a smaller picture.` };
  /** @type {ImageBitmapOptions} */
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" }; // pixel values exactly as in the file
  const bitmap = await createImageBitmap(file, options).catch(() => null);
  if (!bitmap) return { error: UNREADABLE };
  const { width, height } = bitmap;
  if (Math.max(width, height) > limit.side) {
    return {
      error: `This picture has ${width}x${height} pixels, and ${limit.side}x${limit.side} is the limit: choose a smaller one.`,
    };
  }
  const context = h("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { mask: maskFromPixels(context.getImageData(0, 0, width, height), count) };
}

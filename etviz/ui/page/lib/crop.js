/** Which part of a picture is used, where a square is wanted. */

/** The largest square in the middle of width x height pixels. @param {number} width @param {number} height */
export function centredSquare(width, height) {
  const side = Math.min(width, height);
  return { left: (width - side) / 2, top: (height - side) / 2, side };
}

const SHRUNK_SIDE = 1024; // pixels, several times what any model takes
const QUALITY = 0.95; // of the JPEG, 0 to 1

/**
 * The middle square of a large photograph as a smaller file, made by the browser; null where it can read no picture.
 *
 * @param {File} file
 */
export async function shrunk(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  const { left, top, side } = centredSquare(bitmap.width, bitmap.height);
  const size = Math.min(side, SHRUNK_SIDE);
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // a JPEG knows no transparency
  context.fillRect(0, 0, size, size);
  context.drawImage(bitmap, left, top, side, side, 0, 0, size, size);
  bitmap.close();
  return new File([await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY })], file.name);
}

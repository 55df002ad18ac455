/** Which part of a picture is used, where a square is wanted. */

/** The largest square in the middle of width x height pixels. @param {number} width @param {number} height */
export function centredSquare(width, height) {
  const side = Math.min(width, height);
  return { left: (width - side) / 2, top: (height - side) / 2, side };
}

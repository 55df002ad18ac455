/** Values on a regular grid: between its points, and where they cross a level. */

import { clamp } from "./tools.js";

/**
 * The energy at a place, interpolated between the four points of the grid around it; null outside.
 *
 * @param {{first: number[], second: number[], grid: ArrayLike<number>}} plane its coordinates along both axes, and the
 *   energy row by row @param {number[]} place
 */
export function bilinear({ first, second, grid }, [a, b]) {
  const place = (value, axis) => ((value - axis[0]) / (axis[axis.length - 1] - axis[0])) * (axis.length - 1);
  const [column, row] = [place(a, first), place(b, second)];
  const slack = 1e-6;
  if (column < -slack || row < -slack || column > first.length - 1 + slack || row > second.length - 1 + slack)
    return null;
  const [c, r] = [clamp(Math.floor(column), 0, first.length - 2), clamp(Math.floor(row), 0, second.length - 2)];
  const at = (down, across) => grid[(r + down) * first.length + c + across];
  const [u, v] = [column - c, row - r];
  return (1 - v) * ((1 - u) * at(0, 0) + u * at(0, 1)) + v * ((1 - u) * at(1, 0) + u * at(1, 1));
}

/** Segments [[a, b], [a, b]] where a grid of values crosses a level. Each cell is two triangles: no case is ambiguous. */
export function contour({ first, second, grid }, level) {
  const point = (row, column) => [first[column], second[row], grid[row * first.length + column]];
  const segments = [];
  const cross = (from, to) => {
    const share = (level - from[2]) / (to[2] - from[2]);
    return [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])];
  };
  const triangle = (...corners) => {
    const sides = corners.map((corner, i) => [corner, corners[(i + 1) % 3]]);
    const crossed = sides.filter(([from, to]) => from[2] < level !== to[2] < level);
    if (crossed.length === 2) segments.push(crossed.map(([from, to]) => cross(from, to)));
  };
  for (let row = 0; row + 1 < second.length; row++) {
    for (let column = 0; column + 1 < first.length; column++) {
      const [a, b, c, d] = [
        point(row, column),
        point(row, column + 1),
        point(row + 1, column),
        point(row + 1, column + 1),
      ];
      triangle(a, b, c);
      triangle(b, d, c);
    }
  }
  return segments;
}

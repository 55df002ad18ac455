/**
 * Matrices in one memory, and the three functions of a descent that take all the time: packing a factor, products, the
 * softmax. WebAssembly with SIMD computes them (kernel.c); plain JavaScript where a browser has none.
 *
 * A matrix is {data, rows, columns, rowStride, columnStride}, data from its first number on. `columnsOf` and
 * `transposed` give other views of the same numbers and copy nothing.
 */

import { bytes } from "../lib/tools.js";
import { KERNEL } from "./kernelbytes.js";
import { PANEL, plainKernel } from "./plainkernel.js";

const PAGE = 65536; // bytes of WebAssembly's memory
const STACK = 16384; // bytes at the start of the memory, which are the kernel's own

/** @typedef {{data: Float32Array, rows: number, columns: number, rowStride: number, columnStride: number}} Matrix */
/** @typedef {{data: Float32Array, rows: number, columns: number}} Packed */

/** @returns {Matrix} */
export function matrixOf(data, rows, columns) {
  return { data, rows, columns, rowStride: columns, columnStride: 1 };
}

/** Some columns of a matrix. @param {Matrix} matrix @returns {Matrix} */
export function columnsOf(matrix, first, columns) {
  return { ...matrix, data: matrix.data.subarray(first * matrix.columnStride), columns };
}

/** @param {Matrix} matrix @returns {Matrix} */
export function transposed({ data, rows, columns, rowStride, columnStride }) {
  return { data, rows: columns, columns: rows, rowStride: columnStride, columnStride: rowStride };
}

/** How many numbers a packed matrix takes. */
export const packedSize = (rows, columns) => rows * PANEL * Math.ceil(columns / PANEL);

/** Whether WebAssembly and its SIMD instructions run here: a browser may lack them, and a policy may forbid them. */
export function hasSimd() {
  try {
    return Boolean(new WebAssembly.Module(bytes(KERNEL)));
  } catch {
    return false;
  }
}

/** A kernel with a memory of its own, that has room for so many numbers. */
export function createKernel(floats, simd = hasSimd()) {
  return new Kernel(simd ? wasmKernel(floats) : plainKernel(floats + STACK / 4));
}

function wasmKernel(floats) {
  const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * floats + STACK) / PAGE) });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes(KERNEL)), { env: { memory } });
  return { ...exports, memory: new Float32Array(memory.buffer) };
}

/** Room for numbers is handed out one piece after another; `scratch` takes back what was handed out within it. */
export class Kernel {
  /** @param {any} functions with their memory, as `plainKernel` gives them */
  constructor({ memory, ...functions }) {
    this.memory = memory;
    this.functions = functions;
    this.used = STACK / 4;
  }

  /** Room for so many numbers, which may hold anything. */
  room(count) {
    const start = this.used;
    this.used += 4 * Math.ceil(count / 4);
    if (this.used > this.memory.length) throw new Error("The kernel's memory is full.");
    return this.memory.subarray(start, start + count);
  }

  /** A matrix with room of its own. */
  matrix(rows, columns) {
    return matrixOf(this.room(rows * columns), rows, columns);
  }

  /** A copy of a matrix whose rows lie one after another. @param {ArrayLike<number>} data @returns {Matrix} */
  matrixOf(data, rows, columns) {
    const matrix = this.matrix(rows, columns);
    matrix.data.set(data);
    return matrix;
  }

  /** The result of `compute`, which may use the memory's free part; copy out what is to last. */
  scratch(compute) {
    const before = this.used;
    try {
      return compute();
    } finally {
      this.used = before;
    }
  }

  /** A matrix in panels, as the right factor of a product. @param {Matrix} matrix @returns {Packed} */
  packed(matrix, to = this.room(packedSize(matrix.rows, matrix.columns))) {
    const { data, rows, columns, rowStride, columnStride } = matrix;
    this.functions.pack(data.byteOffset, rowStride, columnStride, rows, columns, to.byteOffset);
    return { data: to, rows, columns };
  }

  /** out = scale * a b; with a matrix of its own where no `out` is given. @param {Matrix} a @param {Packed} b */
  product(a, b, { scale = 1, out = this.matrix(a.rows, b.columns) } = {}) {
    const { rows, columns, rowStride, columnStride } = a;
    const [left, right, to] = [a, b, out].map(({ data }) => data.byteOffset);
    this.functions.product(
      ...[left, rowStride, columnStride, right, scale],
      ...[to, out.rowStride, rows, columns, b.columns],
    );
    return out;
  }

  /** out = max(x, 0), and the sum of its squares in each row. @param {Matrix} x @param {Matrix} out */
  rectify(x, out) {
    const squares = this.room(x.rows);
    const [from, to] = [x, out].map(({ data }) => data.byteOffset);
    this.functions.rectify(from, x.rowStride, x.rows, x.columns, to, out.rowStride, squares.byteOffset);
    return squares;
  }

  /** The softmax of each row, in place. Returns the logarithm of each row's sum of exponentials. @param {Matrix} logits */
  softmax(logits) {
    const { data, rows, columns, rowStride } = logits;
    const [largest, sums] = [this.room(rows), this.room(rows)];
    this.functions.softmax(data.byteOffset, rowStride, rows, columns, largest.byteOffset, sums.byteOffset);
    return Float64Array.from(largest, (most, row) => most + Math.log(sums[row]));
  }
}

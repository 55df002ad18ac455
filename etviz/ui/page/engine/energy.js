/**
 * The Energy Transformer block (Hoover et al. 2023, arXiv 2302.07253, section 2), as etviz/models/energy.py has it.
 *
 * Shapes: N tokens of one picture, D embed_dim, H heads, Y head_dim, M memories. A state is a Float32Array (N, D).
 *
 * @import { Kernel, Matrix } from "./kernel.js"
 */

import { columnsOf, packedSize, transposed } from "./kernel.js";

const EPSILON = 1e-5; // of the energy's layer norm
const TINY = 1.17549435e-38; // the least normal float32

/** The mean and the variance of one token of a state. */
export function moments(x, token, width) {
  const [start, end] = [token * width, (token + 1) * width];
  let [total, squares] = [0, 0];
  for (let i = start; i < end; i++) total += x[i];
  const mean = total / width;
  for (let i = start; i < end; i++) squares += (x[i] - mean) * (x[i] - mean);
  return [mean, squares / width];
}

/** (x - mean) / sqrt(var + epsilon) of each token, into `z`. */
export function layerNorm(x, width, epsilon, z = new Float32Array(x.length)) {
  for (let token = 0; token < x.length / width; token++) {
    const [mean, variance] = moments(x, token, width);
    const scale = 1 / Math.sqrt(variance + epsilon);
    for (let i = token * width; i < (token + 1) * width; i++) z[i] = (x[i] - mean) * scale;
  }
  return z;
}

/** The direction of each token: layer norm without epsilon, so that the norm of a normed token is that token. */
export const layerNormed = (x, width) => layerNorm(x, width, TINY);

/** g = gamma * (x - mean) / sqrt(var + eps) + delta for each token, gamma a scalar, delta (D,) (eq. 1). */
export class EnergyNorm {
  constructor(gamma, delta) {
    this.gamma = gamma;
    this.delta = delta;
  }

  /** x (N, D) -> g (N, D). */
  apply(x, g = new Float32Array(x.length)) {
    const width = this.delta.length;
    layerNorm(x, width, EPSILON, g);
    for (let token = 0; token < x.length; token += width) {
      for (let i = 0; i < width; i++) g[token + i] = this.gamma * g[token + i] + this.delta[i];
    }
    return g;
  }

  /** The energy's gradient by the direction z of each token: dE/dg (N, D) pulled back through this norm. */
  alongSphere(x, gradient) {
    const width = this.delta.length;
    const z = layerNormed(x, width);
    const turning = new Float32Array(x.length);
    for (let token = 0; token < x.length / width; token++) {
      const [, variance] = moments(x, token, width);
      const byZ = this.gamma * Math.sqrt(variance / (variance + EPSILON));
      let [mean, along] = [0, 0];
      for (let i = token * width; i < (token + 1) * width; i++) {
        mean += (byZ / width) * gradient[i];
        along += (byZ / width) * z[i] * gradient[i];
      }
      for (let i = token * width; i < (token + 1) * width; i++) turning[i] = byZ * gradient[i] - mean - z[i] * along;
    }
    return turning;
  }
}

/** One energy function of tokens, together with the layer norm that it is a function of. */
export class EnergyBlock {
  /** @param {Kernel} kernel @param {any} weights query, key (HY, D) and memories (M, D), gamma and delta (D,) */
  constructor(kernel, { query, key, memories, gamma, delta }, { heads, headDim, beta, excludeSelf }) {
    this.kernel = kernel;
    this.memories = memories;
    this.heads = heads;
    this.headDim = headDim;
    this.beta = beta;
    this.excludeSelf = excludeSelf;
    this.norm = new EnergyNorm(gamma, delta);
    const [dim, rows] = [delta.length, (query.length + key.length + memories.length) / delta.length];
    const rooms = [packedSize(dim, rows), packedSize(rows, dim)].map((size) => kernel.room(size));
    kernel.scratch(() => {
      const stacked = kernel.matrix(rows, dim); // a step is one product up, and its transpose down
      stacked.data.set(joined([query, key, memories]));
      this.up = kernel.packed(transposed(stacked), rooms[0]);
      this.down = kernel.packed(stacked, rooms[1]);
    });
  }

  /** E_att + E_hop (eq. 3 and 5) of a state g (N, D). */
  energy(g, beta = this.beta) {
    return this.kernel.scratch(() => {
      const { queries, keys, overlaps } = this.project(g);
      const attention = this.eachHead((head) => this.attend(queries[head], keys[head], beta).energy);
      return sum(attention.map(sum)) + sum(this.remember(overlaps));
    });
  }

  /**
   * The gradient dE/dg (N, D), E_att by query (N,), E_hop by token (N,), and the softmax over keys (H, N, N) if asked for.
   *
   * dE/dg = -(W_Q^T A K + W_K^T A^T Q + xi^T relu(xi g)). The second term is there because every token is also a key for
   * the others (appendix A of the paper).
   */
  evaluate(g, beta = this.beta, { keepAttention = false } = {}) {
    const { kernel } = this;
    return kernel.scratch(() => {
      const { queries, keys, overlaps } = this.project(g);
      const pulls = kernel.matrix(overlaps.rows, this.down.rows); // on queries, on keys, and of the memories
      const [onQueries, onKeys, onMemories] = this.parts(pulls);
      const heads = this.eachHead((head) => {
        const { attention, energy } = this.attend(queries[head], keys[head], beta);
        kernel.product(attention, kernel.packed(keys[head]), { out: onQueries[head] });
        kernel.product(transposed(attention), kernel.packed(queries[head]), { out: onKeys[head] });
        return { energy, attention: keepAttention ? attention.data.slice() : null };
      });
      const hopfieldEnergy = this.remember(overlaps, onMemories);
      return {
        gradient: kernel.product(pulls, this.down, { scale: -1 }).data.slice(),
        attentionEnergy: addedUp(heads.map(({ energy }) => energy)),
        hopfieldEnergy,
        attention: keepAttention ? joined(heads.map(({ attention }) => attention)) : null,
      };
    });
  }

  /** xi . g of every token and memory, (N, M), for a state g (N, D). */
  overlaps(g) {
    return this.kernel.scratch(() => {
      const { data, rows, columns, rowStride } = this.project(g).overlaps;
      return Float32Array.from({ length: rows * columns }, (_, i) => {
        return data[Math.floor(i / columns) * rowStride + (i % columns)];
      });
    });
  }

  /** Queries and keys of each head (N, Y), and overlaps with the memories (N, M). */
  project(g) {
    const { kernel, up } = this;
    const [queries, keys, overlaps] = this.parts(kernel.product(kernel.matrixOf(g, g.length / up.rows, up.rows), up));
    return { queries, keys, overlaps };
  }

  /**
   * The columns of a matrix (N, HY + HY + M) that belong to each head's queries, to its keys, and to the memories.
   *
   * @param {Matrix} matrix @returns {[Matrix[], Matrix[], Matrix]}
   */
  parts(matrix) {
    const { heads, headDim } = this;
    const ofHeads = (first) => Array.from({ length: heads }, (_, h) => columnsOf(matrix, first + h * headDim, headDim));
    const both = 2 * heads * headDim;
    return [ofHeads(0), ofHeads(heads * headDim), columnsOf(matrix, both, matrix.columns - both)];
  }

  /** What `compute` gives for each head; all heads use the same room. */
  eachHead(compute) {
    return Array.from({ length: this.heads }, (_, head) => this.kernel.scratch(() => compute(head)));
  }

  /** One head: softmax over keys (N, N), and its energy by query, -(1/beta) logsumexp_keys(beta K . Q). */
  attend(queries, keys, beta) {
    const { kernel } = this;
    const attention = kernel.product(queries, kernel.packed(transposed(keys)), { scale: beta });
    if (this.excludeSelf) fillDiagonal(attention, -Infinity);
    const sums = kernel.softmax(attention);
    if (this.excludeSelf && attention.rows === 1) return { attention: fillDiagonal(attention, 0), energy: [0] };
    return { attention, energy: Array.from(sums, (lse) => -lse / beta) };
  }

  /** E_hop by token, -(1/2) sum_memories relu(xi . g)^2; relu(xi . g) itself goes into `activation`. */
  remember(overlaps, activation = overlaps) {
    return Array.from(this.kernel.rectify(overlaps, activation), (squares) => -0.5 * squares);
  }
}

/** The sum of numbers. */
export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** The sums of several lists, place by place. */
const addedUp = (lists) => lists[0].map((_, i) => sum(lists.map((list) => list[i])));

function joined(parts) {
  const whole = new Float32Array(sum(parts.map(({ length }) => length)));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

function fillDiagonal(matrix, value) {
  for (let i = 0; i < matrix.rows; i++) matrix.data[i * (matrix.rowStride + 1)] = value;
  return matrix;
}

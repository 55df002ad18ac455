/** The functions of kernel.c in plain JavaScript, where a browser has no WebAssembly with SIMD: about ten times slower. */

export const PANEL = 16; // columns, as in kernel.c

/** The same functions over a memory of its own. Places are in bytes, strides in numbers, as WebAssembly has them. */
export function plainKernel(floats) {
  const memory = new Float32Array(floats);

  function pack(from, rowStride, columnStride, rows, columns, to) {
    let place = to >> 2;
    for (let left = 0; left < columns; left += PANEL) {
      for (let row = 0; row < rows; row++) {
        const start = (from >> 2) + row * rowStride;
        for (let column = left; column < left + PANEL; column++) {
          memory[place++] = column < columns ? memory[start + column * columnStride] : 0;
        }
      }
    }
  }

  function product(a, rowStride, columnStride, b, scale, out, outStride, rows, inner, columns) {
    for (let left = 0; left < columns; left += 4) {
      const panel = (b >> 2) + (left - (left % PANEL)) * inner + (left % PANEL);
      for (let row = 0; row < rows; row++) {
        const sums = fourSums((a >> 2) + row * rowStride, columnStride, panel, inner);
        const start = (out >> 2) + row * outStride + left;
        for (let i = 0; i < Math.min(4, columns - left); i++) memory[start + i] = scale * sums[i];
      }
    }
  }

  /** Four neighbouring numbers of a product, in variables of their own, which is what makes it quick. */
  function fourSums(from, stride, panel, inner) {
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    for (let k = 0, i = from, j = panel; k < inner; k++, i += stride, j += PANEL) {
      const factor = memory[i];
      s0 += factor * memory[j];
      s1 += factor * memory[j + 1];
      s2 += factor * memory[j + 2];
      s3 += factor * memory[j + 3];
    }
    return [s0, s1, s2, s3];
  }

  function softmax(logits, stride, rows, columns, largest, sums) {
    for (let row = 0; row < rows; row++) {
      const numbers = memory.subarray((logits >> 2) + row * stride, (logits >> 2) + row * stride + columns);
      const most = numbers.reduce((most, number) => Math.max(most, number), -Infinity);
      let sum = 0;
      for (let i = 0; i < columns; i++) sum += numbers[i] = Math.exp(numbers[i] - most);
      for (let i = 0; i < columns; i++) numbers[i] /= sum;
      memory[(largest >> 2) + row] = most;
      memory[(sums >> 2) + row] = sum;
    }
  }

  function rectify(x, stride, rows, columns, out, outStride, squares) {
    for (let row = 0; row < rows; row++) {
      const [from, to] = [(x >> 2) + row * stride, (out >> 2) + row * outStride];
      let sum = 0;
      for (let i = 0; i < columns; i++) {
        const active = Math.max(memory[from + i], 0);
        memory[to + i] = active;
        sum += active * active;
      }
      memory[(squares >> 2) + row] = sum;
    }
  }

  return { memory, pack, product, softmax, rectify };
}

/** The functions of kernel.c in plain JavaScript, where a browser has no WebAssembly with SIMD: about ten times slower. */

export const PANEL = 16; // columns, as in kernel.c

/** The same functions over a memory of its own. Places are in bytes, strides in numbers, as WebAssembly has them. */
export function plainKernel(floats) {
  const memory = new Float32Array(floats);

  function pack(from, rowStride, columnStride, rows, columns, to) {
    let place = to / 4;
    for (let left = 0; left < columns; left += PANEL) {
      for (let row = 0; row < rows; row++) {
        const start = from / 4 + row * rowStride;
        for (let column = left; column < left + PANEL; column++) {
          memory[place++] = column < columns ? memory[start + column * columnStride] : 0;
        }
      }
    }
  }

  function product(a, rowStride, columnStride, b, scale, out, outStride, rows, inner, columns) {
    const sums = new Float32Array(PANEL);
    for (let left = 0; left < columns; left += PANEL) {
      const width = Math.min(PANEL, columns - left);
      for (let row = 0; row < rows; row++) {
        addRow(sums, a / 4 + row * rowStride, columnStride, b / 4 + left * inner, inner);
        const start = out / 4 + row * outStride + left;
        for (let column = 0; column < width; column++) memory[start + column] = scale * sums[column];
      }
    }
  }

  function addRow(sums, from, stride, panel, inner) {
    sums.fill(0);
    for (let k = 0; k < inner; k++) {
      const factor = memory[from + k * stride];
      const place = panel + k * PANEL;
      for (let column = 0; column < PANEL; column++) sums[column] += factor * memory[place + column];
    }
  }

  function softmax(logits, stride, rows, columns, largest, sums) {
    for (let row = 0; row < rows; row++) {
      const numbers = memory.subarray(logits / 4 + row * stride, logits / 4 + row * stride + columns);
      const most = numbers.reduce((most, number) => Math.max(most, number), -Infinity);
      let sum = 0;
      for (let i = 0; i < columns; i++) sum += numbers[i] = Math.exp(numbers[i] - most);
      for (let i = 0; i < columns; i++) numbers[i] /= sum;
      memory[largest / 4 + row] = most;
      memory[sums / 4 + row] = sum;
    }
  }

  return { memory, pack, product, softmax };
}

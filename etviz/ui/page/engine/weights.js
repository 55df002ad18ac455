/** Weights from a .safetensors file: eight bytes with the header's length, the header in JSON, then the numbers. */

const NUMBERS = { F32: (bytes) => new Float32Array(bytes), F16: halves };

/**
 * The tensors of a file by name, each {data: Float32Array, shape}.
 *
 * @param {Uint8Array} file @returns {Record<string, {data: Float32Array, shape: number[]}>}
 */
export function readWeights(file) {
  const start = 8 + Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start)));
  const tensors = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return Object.fromEntries(tensors.map(([name, entry]) => [name, readTensor(file, start, entry)]));
}

function readTensor(file, start, { dtype, shape, data_offsets: [from, to] }) {
  if (!NUMBERS[dtype]) throw new Error(`Weights of type ${dtype} cannot be read.`);
  return { data: NUMBERS[dtype](file.slice(start + from, start + to).buffer), shape };
}

/** Numbers of 16 bits: a sign, five bits of exponent, ten of fraction. */
function halves(bytes) {
  return Float32Array.from(new Uint16Array(bytes), (bits) => {
    const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  });
}

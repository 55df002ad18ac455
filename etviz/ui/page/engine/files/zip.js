/** ZIP archives, and NumPy's arrays in one (.npz), compressed by the browser's own deflate. */

const DATE = 33; // 1 January 1980, the earliest that a ZIP can say: the same files give the same archive

/** Compressed by one of the browser's methods, such as "deflate". @param {Uint8Array} bytes @param {CompressionFormat} method */
export async function compressed(bytes, method) {
  const stream = new Blob([/** @type {any} */ (bytes)]).stream().pipeThrough(new CompressionStream(method));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** An archive of files, {name: bytes}. @param {Record<string, Uint8Array>} files */
export async function zip(files) {
  const [locals, entries] = [[], []];
  let place = 0;
  for (const [text, bytes] of Object.entries(files)) {
    const [name, packed] = [new TextEncoder().encode(text), await compressed(bytes, "deflate-raw")];
    // Version 2.0, names in UTF-8, deflated, time and date, checksum, both sizes, the name's length, nothing more.
    const shared = record([20, 0x800, 8, 0, DATE], [crc32(bytes), packed.length, bytes.length], [name.length, 0]);
    const local = joinedBytes([record([], [0x04034b50]), shared, name, packed]);
    entries.push(joinedBytes([record([], [0x02014b50], [20]), shared, record([0, 0, 0], [0, place]), name]));
    locals.push(local);
    place += local.length;
  }
  const directory = joinedBytes(entries);
  const count = entries.length;
  const end = record([], [0x06054b50], [0, 0, count, count], [directory.length, place], [0]);
  return joinedBytes([...locals, directory, end]);
}

/** Whole numbers, little-endian: lists of 16 and of 32 bits in turn. */
function record(...lists) {
  const widths = lists.map((list, i) => list.length * (i % 2 ? 4 : 2));
  const view = new DataView(new ArrayBuffer(widths.reduce((total, width) => total + width, 0)));
  let place = 0;
  lists.forEach((list, i) => {
    for (const number of list) {
      if (i % 2) view.setUint32(place, number, true);
      else view.setUint16(place, number, true);
      place += i % 2 ? 4 : 2;
    }
  });
  return new Uint8Array(view.buffer);
}

/** @param {Uint8Array[]} parts */
export function joinedBytes(parts) {
  const whole = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let place = 0;
  for (const part of parts) {
    whole.set(part, place);
    place += part.length;
  }
  return whole;
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let code = byte;
  for (let bit = 0; bit < 8; bit++) code = code & 1 ? 0xedb88320 ^ (code >>> 1) : code >>> 1;
  return code;
});

/** The checksum of ZIP and PNG. @param {Uint8Array} bytes */
export function crc32(bytes) {
  let code = 0xffffffff;
  for (const byte of bytes) code = CRC[(code ^ byte) & 255] ^ (code >>> 8);
  return (code ^ 0xffffffff) >>> 0;
}

const NUMPY_TYPES = { Float32Array: "<f4", Uint8Array: "|b1", Int32Array: "<i4" };

/** One array as a .npy file; a Uint8Array stands for booleans. @param {number[]} shape */
export function npy(array, shape) {
  const type = NUMPY_TYPES[array.constructor.name];
  const tuple = `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const header = `${text.padEnd(64 * Math.ceil((text.length + 11) / 64) - 11)}\n`;
  const start = Uint8Array.of(
    0x93,
    ...new TextEncoder().encode("NUMPY"),
    1,
    0,
    header.length & 255,
    header.length >> 8,
  );
  const data = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return joinedBytes([start, new TextEncoder().encode(header), data]);
}

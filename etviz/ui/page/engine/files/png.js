/** PNG pictures without loss. */

import { compressed, crc32, joinedBytes } from "./zip.js";

const COLOUR = { 1: 0, 3: 2 }; // by channels: grey, or red, green and blue

/** @param {{data: Uint8Array, width: number, height: number}} picture bytes by row, column and channel */
export async function png({ data, width, height }) {
  const channels = data.length / (width * height);
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint16(8, 0x0800 + COLOUR[channels]); // 8 bits
  const line = width * channels;
  const rows = new Uint8Array(height * (line + 1)); // each begins with a 0: it is not filtered
  for (let row = 0; row < height; row++) rows.set(data.subarray(row * line, (row + 1) * line), row * (line + 1) + 1);
  return joinedBytes([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", await compressed(rows, "deflate")),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

function chunk(name, data) {
  const body = joinedBytes([new TextEncoder().encode(name), data]);
  const ends = [data.length, crc32(body)].map((number) => {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, number);
    return new Uint8Array(view.buffer);
  });
  return joinedBytes([ends[0], body, ends[1]]);
}

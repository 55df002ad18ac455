/** Animated GIFs of 256 colours, which all frames share, so that still pixels do not flicker. */

import { joinedBytes } from "./zip.js";

const COLOURS = 256;

/**
 * A film that starts again and again.
 *
 * @param {{data: Uint8Array, width: number, height: number}[]} frames bytes by row, column and channel, all of one size
 * @param {number[]} durations of each, in milliseconds
 * @param {number} scale side of a pixel
 */
export function gif(frames, durations, scale) {
  const { width, height } = frames[0];
  const { colours, indexOf } = palette(frames);
  const size = [width * scale, height * scale].flatMap((length) => [length & 255, length >> 8]);
  const images = frames.map((frame, i) => {
    const pause = Math.round(durations[i] / 10);
    const control = [0x21, 0xf9, 4, 4, pause & 255, pause >> 8, 0, 0, 0x2c, 0, 0, 0, 0, ...size, 0, 8];
    return joinedBytes([Uint8Array.from(control), blocks(lzw(magnified(frame, indexOf, scale)))]);
  });
  const loop = [0x21, 0xff, 11, ...new TextEncoder().encode("NETSCAPE2.0"), 3, 1, 0, 0, 0];
  const header = [...new TextEncoder().encode("GIF89a"), ...size, 0xf7, 0, 0];
  return joinedBytes([...[header, colours, loop].map((part) => Uint8Array.from(part)), ...images, Uint8Array.of(0x3b)]);
}

/** The colours by median cut: a box of colours is halved along its longest side until there are enough boxes. */
function palette(frames) {
  const counts = new Map();
  for (const { data } of frames) {
    for (let i = 0; i < data.length; i += 3) {
      const colour = colourAt(data, i);
      counts.set(colour, (counts.get(colour) ?? 0) + 1);
    }
  }
  const boxes = [boxOf(Array.from(counts.keys()))];
  while (boxes.length < COLOURS) {
    const widest = boxes.reduce((best, box) => (box.extent > best.extent ? box : best));
    if (widest.extent === 0) break;
    boxes.splice(boxes.indexOf(widest), 1, ...halvesOf(widest));
  }
  const colours = new Array(3 * COLOURS).fill(0);
  const indexOf = new Map();
  boxes.forEach(({ members }, index) => {
    const total = members.reduce((sum, colour) => sum + counts.get(colour), 0);
    for (let channel = 0; channel < 3; channel++) {
      const weighted = members.reduce((sum, colour) => sum + counts.get(colour) * part(colour, channel), 0);
      colours[3 * index + channel] = Math.round(weighted / total);
    }
    for (const colour of members) indexOf.set(colour, index);
  });
  return { colours, indexOf };
}

const colourAt = (data, i) => (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
const part = (colour, channel) => (colour >> (16 - 8 * channel)) & 255;

function boxOf(members) {
  const extents = [0, 1, 2].map((channel) => {
    let [low, high] = [255, 0];
    for (const colour of members) {
      low = Math.min(low, part(colour, channel));
      high = Math.max(high, part(colour, channel));
    }
    return high - low;
  });
  const extent = Math.max(...extents);
  return { members, extent, longest: extents.indexOf(extent) };
}

function halvesOf({ members, longest }) {
  const sorted = [...members].sort((a, b) => part(a, longest) - part(b, longest));
  const middle = sorted.length >> 1;
  return [boxOf(sorted.slice(0, middle)), boxOf(sorted.slice(middle))];
}

/** The palette's number of each magnified pixel. */
function magnified({ data, width, height }, indexOf, scale) {
  const out = new Uint8Array(width * height * scale * scale);
  for (let i = 0; i < out.length; i++) {
    const [row, column] = [Math.floor(i / (width * scale)), i % (width * scale)];
    const pixel = Math.floor(row / scale) * width + Math.floor(column / scale);
    out[i] = indexOf.get(colourAt(data, 3 * pixel));
  }
  return out;
}

const [CLEAR, END, MOST] = [256, 257, 4095]; // codes of eight-bit pixels

/** GIF's compression (Lempel, Ziv, Welch): a code for each run of pixels seen before, longer as there are more. */
function lzw(pixels) {
  const out = [];
  let [bits, count, width] = [0, 0, 9];
  const write = (code) => {
    bits |= code << count;
    for (count += width; count >= 8; count -= 8, bits >>>= 8) out.push(bits & 255);
  };
  let table = new Map();
  let next = END + 1;
  write(CLEAR);
  let run = pixels[0];
  for (let i = 1; i < pixels.length; i++) {
    const longer = run * 256 + pixels[i];
    if (table.has(longer)) {
      run = table.get(longer);
      continue;
    }
    write(run);
    if (next > MOST) {
      write(CLEAR);
      [table, next, width] = [new Map(), END + 1, 9];
    } else {
      table.set(longer, next);
      if (next === 2 ** width) width += 1;
      next += 1;
    }
    run = pixels[i];
  }
  write(run);
  write(END);
  if (count > 0) out.push(bits & 255);
  return out;
}

/** Bytes in blocks of up to 255, each with its length before it; an empty one ends them. */
function blocks(bytes) {
  const parts = [];
  for (let i = 0; i < bytes.length; i += 255) {
    const piece = bytes.slice(i, i + 255);
    parts.push(Uint8Array.of(piece.length, ...piece));
  }
  return joinedBytes([...parts, Uint8Array.of(0)]);
}

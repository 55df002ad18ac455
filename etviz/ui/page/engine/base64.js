/** Bytes as text; `bytes` in lib/tools.js is the way back. */

const PIECE = 8192; // bytes; more arguments than a call takes would be too many

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += PIECE) text += String.fromCharCode(...bytes.subarray(i, i + PIECE));
  return btoa(text);
}

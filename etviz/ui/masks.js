/** Patch masks in the browser: 1 = hidden, patch 0 the highest bit of the hexadecimal. As etviz.masks has them. */

export function maskFromHex(hex) {
  return Uint8Array.from([...hex].flatMap((digit) => [8, 4, 2, 1].map((bit) => (parseInt(digit, 16) & bit ? 1 : 0))));
}

export function maskToHex(mask) {
  let hex = "";
  for (let i = 0; i < mask.length; i += 4) {
    hex += (8 * mask[i] + 4 * mask[i + 1] + 2 * mask[i + 2] + mask[i + 3]).toString(16);
  }
  return hex;
}

export const countHidden = (mask) => mask.reduce((sum, bit) => sum + bit, 0);

export function randomMask(size, share) {
  const order = Array.from({ length: size }, (_, i) => i);
  for (let i = size - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  const mask = new Uint8Array(size);
  order.slice(0, Math.floor(size * share)).forEach((patch) => (mask[patch] = 1));
  return mask;
}

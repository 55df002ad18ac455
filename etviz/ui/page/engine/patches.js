/** Pictures to patches and back. A picture is a Float32Array in [0, 1] by channel, row and column, as etviz holds it. */

/**
 * The place in a picture of each number of its patches: patches run row by row from the top left, and the numbers within
 * one by row, column and channel.
 */
export function patchPlaces(size, patch, channels = 3) {
  const side = size / patch;
  const places = new Uint32Array(channels * size * size);
  let next = 0;
  for (let p = 0; p < side * side; p++) {
    const [top, left] = [Math.floor(p / side) * patch, (p % side) * patch];
    for (let i = 0; i < patch * patch; i++) {
      const place = (top + Math.floor(i / patch)) * size + left + (i % patch);
      for (let channel = 0; channel < channels; channel++) places[next++] = channel * size * size + place;
    }
  }
  return places;
}

/** Bytes by row, column and channel, as a canvas has them, to a picture. */
export function pictureFromBytes(bytes) {
  const area = bytes.length / 3;
  return Float32Array.from(bytes, (_, i) => bytes[3 * (i % area) + Math.floor(i / area)] / 255);
}

/** The inverse, rounded to the nearest. */
export function bytesFromPicture(picture) {
  const area = picture.length / 3;
  const bytes = new Uint8ClampedArray(picture.length);
  for (let pixel = 0; pixel < area; pixel++) {
    for (let channel = 0; channel < 3; channel++) bytes[3 * pixel + channel] = 255 * picture[channel * area + pixel];
  }
  return new Uint8Array(bytes.buffer);
}

/** 1 for each hidden pixel, row by row. */
export function hiddenPixels(mask, size) {
  const side = Math.sqrt(mask.length);
  const patch = size / side;
  return Uint8Array.from({ length: size * size }, (_, i) => {
    const [row, column] = [Math.floor(i / size), i % size];
    return mask[Math.floor(row / patch) * side + Math.floor(column / patch)];
  });
}

/** The given picture where it is visible, the predicted one where it is hidden. */
export function complete(picture, predicted, mask) {
  const hidden = hiddenPixels(mask, Math.sqrt(picture.length / 3));
  return picture.map((value, i) => (hidden[i % hidden.length] ? predicted[i] : value));
}

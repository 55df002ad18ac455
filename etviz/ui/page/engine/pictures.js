/** The pictures of one gallery, from a sprite: all pictures in one, row by row in `columns` columns. */

import { aNumber } from "./errors.js";
import { resizedSquare } from "./resample.js";

export class Pictures {
  /**
   * @param {any} entry of the catalogue: {source, size, labels, captions, classes, indices, columns, choices}
   * @param {{width: number, data: Uint8ClampedArray | Uint8Array}} sprite its pixels, red, green, blue and opacity each
   * @param {number} size pixels a side that are asked for
   */
  constructor(entry, sprite, size) {
    const { source, labels, captions, indices, classes } = entry;
    this.entry = entry;
    this.sprite = sprite;
    this.size = size;
    this.source = source;
    this.captions = captions;
    this.indices = indices;
    this.labels = labels.map((label) => (typeof label === "number" ? classes[label] : label));
    this.classes = [...new Set(this.labels)].sort();
    this.places = new Map(indices.map((index, place) => [index, place]));
  }

  get count() {
    return this.indices.length;
  }

  /** Where a picture lies in the sprite, by its number in the dataset. */
  place(index) {
    if (!this.places.has(index)) aNumber(NaN, "picture", this.count);
    return this.places.get(index);
  }

  /** By row, column and channel. */
  bytes(index) {
    const { width, data } = this.sprite;
    const { columns, size } = this.entry;
    const place = this.place(index);
    const [top, left] = [Math.floor(place / columns) * size, (place % columns) * size];
    const cut = Uint8Array.from({ length: 3 * size * size }, (_, i) => {
      const pixel = Math.floor(i / 3);
      return data[4 * ((top + Math.floor(pixel / size)) * width + left + (pixel % size)) + (i % 3)];
    });
    return resizedSquare(cut, this.size);
  }

  caption(index) {
    return this.captions[this.place(index)];
  }

  label(index) {
    return this.labels[this.place(index)];
  }

  choices(index) {
    return this.entry.choices[this.place(index)];
  }

  /** The next picture's number; the first one's where none is given. */
  after(index = null) {
    return this.indices[index === null ? 0 : (this.place(index) + 1) % this.count];
  }

  /** The numbers of the pictures of one class, or of all with the classes taking turns. */
  arranged(label = null) {
    if (label !== null) return this.indices.filter((_, place) => this.labels[place] === label);
    const seen = new Map();
    const ranked = this.indices.map((index, place) => {
      const word = this.labels[place];
      seen.set(word, (seen.get(word) ?? 0) + 1);
      return { index, word, rank: seen.get(word) };
    });
    ranked.sort((a, b) => a.rank - b.rank || (a.word < b.word ? -1 : a.word > b.word ? 1 : a.index - b.index));
    return ranked.map(({ index }) => index);
  }
}

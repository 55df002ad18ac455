/**
 * A file in which one can go on painting, made by a page that computes by itself: as etviz/site/live.py makes it, from
 * a template that the site carries.
 *
 * @import { Answer, Question, Reading } from "../lib/types.d.ts"
 */

import { rgb } from "../lib/pixels.js";
import { bytes } from "../lib/tools.js";
import { toBase64 } from "./base64.js";
import { pictureName } from "./naming.js";

const CARRIED = 24; // pictures in the file
const ACROSS = 20; // side by side in the sprite
const LIVE_VIEWS = ["explore", "energy", "attention", "memories", "landscape", "compare", "guide"]; // no trainings

/**
 * @param {{
 *   catalogue: any, ask: (question: Question) => Promise<Reading>, fetchBytes: (path: string) => Promise<Uint8Array>,
 * }} given
 */
export function createLiveFile({ catalogue, ask, fetchBytes }) {
  /** The descent of a question as {name, type, data}, or {error}. @param {Question} question */
  return /** @returns {Promise<Reading>} */ async (question) => {
    const answer = /** @type {Answer} */ (await ask({ ...question, kind: "trace" }));
    if (answer.error) return answer;
    const entry = catalogue.models.find(({ name }) => name === question.model);
    const snapshot = entry.snapshots.find(({ file }) => file === question.snapshot);
    const name = snapshot ? `${entry.name} ${snapshot.file.replace(".safetensors", "")}` : entry.name;
    const pictures = await choosePictures(answer);
    const model = { ...entry, name, weights: "weights", snapshots: [], run: { ...entry.run, name, snapshots: [] } };
    const carried = {
      version: catalogue.version,
      limits: catalogue.limits,
      models: [model],
      datasets: [pictures.entry],
    };
    const start = startOf(answer, name, entry, pictures);
    const files = {
      weights: await toText(await fetchBytes((snapshot ?? entry).weights)),
      pictures: await toText(await drawSprite(pictures.chosen, answer.size)),
    };
    const data = JSON.stringify({ catalogue: { ...carried, start }, views: LIVE_VIEWS, files });
    const template = new TextDecoder().decode(await fetchBytes(catalogue.live));
    const page = template.replace("%DATA%", () => data.replaceAll("<", "\\u003c"));
    const file = `etviz-${entry.name}-${pictureName(answer.picture)}-${answer.mask}.live.html`;
    return { name: file, type: "text/html", data: new TextEncoder().encode(page) };
  };

  /** The picture on screen, then others of its gallery; of the first gallery where it is an upload. */
  async function choosePictures({ model, picture, caption, image }) {
    const gallery = catalogue.datasets.find(({ name }) => name === picture.dataset) ?? catalogue.datasets[0];
    const thumbs = [];
    for (let page = 0, pages = 1; page < pages && thumbs.length < CARRIED + 1; page++) {
      const found = await ask({ kind: "gallery", model, dataset: gallery.name, label: null, page });
      if (found.error) break;
      pages = found.pages;
      thumbs.push(...found.thumbs);
    }
    const others = thumbs.filter(({ index }) => index !== picture.index);
    const first = "pixels" in picture ? [] : [{ index: picture.index, caption, image }];
    const chosen = [...first, ...others].slice(0, CARRIED);
    const places = chosen.map(({ index }) => gallery.indices.indexOf(index));
    const entry = {
      ...gallery,
      size: Math.sqrt(bytes(image).length / 3),
      labels: places.map((place) => gallery.labels[place]),
      choices: places.map((place) => gallery.choices[place]),
      captions: chosen.map((thumb) => thumb.caption),
      indices: chosen.map((_, i) => i),
      sprite: "pictures",
      columns: ACROSS,
    };
    return { chosen, entry };
  }

  function startOf(answer, name, { patches, facts }, { chosen, entry }) {
    const perPage = catalogue.limits.thumbnails;
    const thumbs = chosen.slice(0, perPage).map(({ caption, image }, index) => ({ index, caption, image }));
    const pages = Math.ceil(chosen.length / perPage);
    const counts = { page: 0, pages, per_page: perPage, count: chosen.length, total: chosen.length };
    const picture = "pixels" in answer.picture ? answer.picture : { dataset: entry.name, index: 0 };
    return {
      heading: catalogue.start.heading,
      models: [{ name, facts, patches }],
      datasets: [{ name: entry.name, title: entry.title }],
      gallery: plainData({ dataset: entry.name, label: null, classes: entry.classes, thumbs, ...counts }),
      limits: catalogue.start.limits,
      uploads: true,
      answer: plainData({ ...answer, seq: 0, model: name, snapshot: null, picture }),
    };
  }
}

/** The same with bytes as base64, as JSON needs it. */
function plainData(value) {
  if (value instanceof Uint8Array) return toBase64(value);
  if (Array.isArray(value)) return value.map(plainData);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plainData(part)]));
}

/** Bytes as base64, by the browser's own means: weights are large. @param {Uint8Array} data @returns {Promise<string>} */
function toText(data) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result).split(",")[1]);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(new Blob([/** @type {any} */ (data)]));
  });
}

/** All pictures as one PNG. */
async function drawSprite(chosen, size) {
  const canvas = new OffscreenCanvas(ACROSS * size, Math.ceil(chosen.length / ACROSS) * size);
  const context = canvas.getContext("2d");
  chosen.forEach(({ image }, i) => {
    const picture = new ImageData(size, size);
    const pixel = rgb(bytes(image));
    for (let j = 0; j < size * size; j++) picture.data.set([...pixel(j), 255], 4 * j);
    context.putImageData(picture, (i % ACROSS) * size, Math.floor(i / ACROSS) * size);
  });
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
}

/** Answers the page's questions in the visitor's own browser, as etviz/ui/service.py does on a server. */

import { bytes } from "../lib/tools.js";
import { toBase64 } from "./base64.js";
import { finished } from "./descent.js";
import { anObject, NOT_UNDERSTOOD, quoted, UsageError } from "./errors.js";
import { createModel } from "./model.js";
import { pictureFromBytes } from "./patches.js";
import { Pictures } from "./pictures.js";
import { READINGS } from "./readings.js";
import { Request, readMask, readSettings } from "./request.js";
import { fitted, resizedSquare } from "./resample.js";
import { readWeights } from "./weights.js";

const PIECE_MS = 25; // of a long computation, before others may have their turn
const FAILED = "The page could not compute this: its console says why.";
const SIDES = [4, 1024]; // pixels, the least and the most of a picture from outside
const [MODELS, TRACES] = [4, 6]; // in memory; a full-size model takes about 10 MB

export class Service {
  /**
   * @param {any} catalogue what there is; see etviz/ui/site
   * @param {(path: string) => Promise<Uint8Array>} load a file of the site
   * @param {(file: Uint8Array | Blob) => Promise<any>} decode a picture file to {width, height, data: RGBA}
   */
  constructor(catalogue, load, decode) {
    this.catalogue = catalogue;
    this.load = load;
    this.decode = decode;
    this.limits = catalogue.limits;
    this.models = new Cache(MODELS);
    this.traces = new Cache(TRACES);
    this.galleries = new Cache(TRACES);
    this.sprites = new Cache(2);
    this.trainings = new Cache(100);
  }

  // ---- what is asked -----------------------------------------------------------------------------------------------

  /** The answer to a question, by the reading that its kind names; or {error: a sentence}. */
  async ask(question) {
    return this.politely(() => {
      const { kind = "trace" } = anObject(question);
      if (!Object.hasOwn(READINGS, kind)) throw new UsageError(NOT_UNDERSTOOD);
      return READINGS[kind](this, question);
    });
  }

  /** A picture file as {pixels} in the size of a model: cropped to its central square, and shrunk. */
  async readFile(file, model) {
    return this.politely(async () => {
      const size = this.sizeOf(model);
      const { width, height, data } = await this.decode(file);
      const opaque = Uint8Array.from({ length: 3 * width * height }, (_, i) => onWhite(data, Math.floor(i / 3), i % 3));
      return { pixels: toBase64(fitted({ data: opaque, width, height }, size)) };
    });
  }

  async politely(act) {
    try {
      return await act();
    } catch (error) {
      if (error instanceof UsageError) return { error: error.message };
      console.error(error);
      return { error: FAILED };
    }
  }

  // ---- what there is -----------------------------------------------------------------------------------------------

  /** What the catalogue says of a model. */
  entry(name) {
    const found = [...this.catalogue.models, ...(this.catalogue.others ?? [])].find((entry) => entry.name === name);
    if (!found) throw new UsageError(`There is no model ${quoted(name)} here: choose one from the menu.`);
    return found;
  }

  sizeOf(name) {
    return this.entry(name).size;
  }

  get firstDataset() {
    return this.catalogue.datasets[0].name;
  }

  /** A model, or one of its snapshots, fetched when it is first asked for. */
  model(name, snapshot = null) {
    const entry = this.entry(name);
    if (!["et", "et_asym"].includes(entry.config.name)) {
      throw new UsageError(`${name} cannot be computed in the browser: compare it in the app, which Python serves.`);
    }
    const found = snapshot === null ? entry : entry.snapshots?.find(({ file }) => file === snapshot);
    if (!found) throw new UsageError(`${name} has no snapshot ${quoted(snapshot)}: reload the page.`);
    const read = async () => createModel(entry.config, readWeights(await this.load(found.weights)));
    return this.models.get(found.weights, read);
  }

  /** The pictures of a gallery, `size` pixels wide. */
  pictures(dataset, size) {
    const entry = this.catalogue.datasets.find(({ name }) => name === dataset);
    if (!entry) {
      const known = this.catalogue.datasets.map(({ name }) => name).join(", ");
      throw new UsageError(`There are no pictures of ${quoted(dataset)} here: there are ${known}.`);
    }
    const sprite = () => this.sprites.get(entry.sprite, async () => this.decode(await this.load(entry.sprite)));
    return this.galleries.get(`${dataset} ${size}`, async () => new Pictures(entry, await sprite(), size));
  }

  /** The names of the trainings: the menu's models, then the others. */
  runs() {
    return [...this.catalogue.models, ...(this.catalogue.others ?? [])].map(({ name }) => name);
  }

  /** The answer of the reading "training" for one run, which Python has written. */
  training(name) {
    const { training } = this.entry(name);
    return this.trainings.get(training, async () => JSON.parse(new TextDecoder().decode(await this.load(training))));
  }

  // ---- what readings compute with -------------------------------------------------------------------------------------

  /** A question, checked. */
  async readRequest(question) {
    const { model: modelName, snapshot = null, mask = "", settings } = anObject(question);
    const model = await this.model(modelName, snapshot);
    const picture = await this.readPicture(anObject(question.picture), model.size);
    return new Request({
      ...picture,
      model,
      modelName,
      snapshot,
      mask: readMask(mask, model.patches),
      settings: readSettings(settings, this.limits),
      limits: this.limits,
    });
  }

  /** A picture, what to ask for to get it again, and its caption. */
  async readPicture({ pixels, name = "picture", dataset = this.firstDataset, index }, size) {
    if (pixels !== undefined) {
      const [own, caption] = ownPicture(pixels, String(name).slice(0, 80), size);
      return { picture: pictureFromBytes(own), asked: { pixels, name }, caption };
    }
    const pictures = await this.pictures(dataset, size);
    if (!pictures.places.has(index)) {
      const last = Math.max(...pictures.indices);
      throw new UsageError(`There is no picture ${String(index).slice(0, 20)}: choose 0 to ${last}.`);
    }
    const picture = pictureFromBytes(pictures.bytes(index));
    return { picture, asked: { dataset, index }, caption: pictures.caption(index) };
  }

  /** The descent of a request. The last few are kept, so that a closer look takes no second descent. */
  trace(request, { keepAttention = false, urgent = false } = {}) {
    const pieces = () => request.model.trace(request.picture, request.mask, { ...request.descent, keepAttention });
    const compute = async () => (urgent ? finished(pieces()) : this.inTurns(pieces()));
    return this.traces.get(`${keepAttention} ${request.key}`, compute);
  }

  /** What a computation in pieces returns, with pauses in which newer questions are answered. */
  async inTurns(pieces) {
    let began = performance.now();
    for (let piece = pieces.next(); ; piece = pieces.next()) {
      if (piece.done) return piece.value;
      if (performance.now() - began < PIECE_MS) continue;
      await turn();
      began = performance.now();
    }
  }
}

/** Let whatever waits have its turn; a timer would wait longer. */
export function turn() {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve(null);
    };
    port2.postMessage(null);
  });
}

/** A colour laid on white by its opacity. */
function onWhite(data, pixel, channel) {
  const opacity = data[4 * pixel + 3];
  return opacity === 255
    ? data[4 * pixel + channel]
    : Math.round((data[4 * pixel + channel] * opacity + 255 * (255 - opacity)) / 255);
}

/** An upload in the size of a model, and its caption; it may come in the size of another model. */
function ownPicture(text, name, size) {
  const pixels = readPixels(text);
  const side = Math.sqrt(pixels.length / 3);
  if (side === size) return [pixels, `Your ${name}, cropped and resized to ${size}x${size}`];
  const change = side < size ? "enlarged" : "shrunk";
  return [resizedSquare(pixels, size), `Your ${name}, ${change} from ${side}x${side} to ${size}x${size}`];
}

function readPixels(text) {
  let pixels = new Uint8Array(0);
  try {
    pixels = bytes(String(text));
  } catch {
    // as short as nothing
  }
  const side = Math.sqrt(pixels.length / 3);
  if (!Number.isInteger(side) || side < SIDES[0] || side > SIDES[1]) {
    throw new UsageError("The picture did not arrive whole: upload it again.");
  }
  return pixels;
}

/** At most `most` results by key, being computed or there; the one that has gone unused for longest is dropped first. */
class Cache {
  constructor(most) {
    this.most = most;
    this.results = new Map();
  }

  /** @param {() => Promise<any>} compute */
  get(key, compute) {
    const found = this.results.get(key) ?? compute();
    this.results.delete(key);
    this.results.set(key, found);
    found.catch(() => this.results.delete(key)); // it may be there next time
    if (this.results.size > this.most) this.results.delete(this.results.keys().next().value);
    return found;
  }
}

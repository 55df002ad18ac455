/**
 * The engine in a worker of its own, so that the page stays quick while it computes. Messages to it are {id, kind, ...}:
 *
 *   open   {catalogue, base, given}  what there is, and where; `given`: the page hands over the files
 *   ask    {question}                answered by {id, answer}
 *   file   {file, model}             an upload, answered alike
 *   loaded {path, bytes or error}    a file that the worker asked for by {path}
 *
 * The newest question is answered first. Long computations pause, so that newer questions need not wait for them.
 */

import { UsageError } from "./errors.js";
import { Service, turn } from "./service.js";

const GONE = "This page could not fetch a part of itself: it was renewed, or there is no network. Reload it.";
const UNREADABLE = "This picture is damaged and cannot be read: choose another.";

const port = /** @type {any} */ (self);
const asked = []; // questions that wait
const awaited = new Map(); // path -> [resolve, reject] of a file that the page hands over
let service = null;

port.onmessage = async ({ data }) => {
  const { id, kind, ...message } = data;
  if (kind === "loaded") return receive(data);
  if (kind === "open") {
    service = new Service(message.catalogue, message.given ? takeOver : fetchFrom(message.base), decodePicture);
    return port.postMessage({ id, answer: {} });
  }
  asked.push({ id, kind, ...message });
  await turn(); // more questions may be there already
  if (asked.length) answer(nextQuestion());
};

/** The newest, but the first steps of a descent before the whole of it. */
function nextQuestion() {
  const first = asked.findLastIndex(({ question }) => question?.kind === "first_steps");
  return asked.splice(first, 1)[0];
}

async function answer({ id, kind, question, file, model }) {
  const answer = await (kind === "file" ? service.readFile(file, model) : service.ask(question));
  port.postMessage({ id, answer }, buffersOf(answer));
}

/** The memory of the answer's large arrays, which moves to the page instead of being copied. */
function buffersOf(answer) {
  const arrays = Object.values(answer).filter((value) => ArrayBuffer.isView(value));
  return [...new Set(arrays.map(({ buffer }) => buffer))];
}

const fetchFrom = (base) => async (path) => {
  const response = await fetch(base + path).catch(() => null);
  if (!response?.ok) throw new UsageError(GONE);
  return new Uint8Array(await response.arrayBuffer());
};

/** A file that the page itself holds. */
function takeOver(path) {
  port.postMessage({ path });
  return new Promise((resolve, reject) => awaited.set(path, [resolve, reject]));
}

function receive({ path, bytes = null }) {
  const [resolve, reject] = awaited.get(path);
  if (bytes) resolve(bytes);
  else reject(new UsageError(GONE));
}

/** A picture's pixels as they are in the file, upright. @param {Uint8Array | Blob} file */
async function decodePicture(file) {
  const blob = file instanceof Blob ? file : new Blob([/** @type {any} */ (file)]);
  const exact = { premultiplyAlpha: "none", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(blob, /** @type {any} */ (exact)).catch(() => {
    throw new UsageError(UNREADABLE);
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

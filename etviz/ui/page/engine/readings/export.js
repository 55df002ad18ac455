/** A descent as a file to keep: a ZIP of its data, a GIF, or a page that replays it without a server. */

import { maskToHex } from "../../lib/masks.js";
import { toBase64 } from "../base64.js";
import { UsageError } from "../errors.js";
import { gif } from "../files/gif.js";
import { png } from "../files/png.js";
import { npy, zip } from "../files/zip.js";
import { pictureName } from "../naming.js";
import { bytesFromPicture, complete, hiddenPixels } from "../patches.js";
import { rowsOf } from "../payload.js";
import { readDescent } from "./descent.js";

const MAKERS = { zip: [makeZip, "application/zip"], gif: [makeGif, "image/gif"], html: [makePage, "text/html"] };
const GIF_SIDE = 256; // screen pixels along a picture, in the GIF; large pictures are drawn twice as wide as they are
const GAP = 1; // pixels between two pictures
const [FRAME_MS, HOLD_MS] = [180, 1200]; // a step; the first and the last state
const HIDDEN_GREY = 0.5;

/** {name, type, data}: the name of the file, its media type, and its bytes. */
export async function readExport(service, question) {
  const { format } = question;
  if (typeof format !== "string" || !Object.hasOwn(MAKERS, format)) {
    const known = Object.keys(MAKERS).join(", ");
    throw new UsageError(`A descent is saved as ${known}, not as '${String(format).slice(0, 20)}'.`);
  }
  const [make, type] = MAKERS[format];
  const request = await service.readRequest(question);
  const data = await make(service, request, question);
  const name = `etviz-${request.modelName}-${pictureName(request.asked)}-${maskToHex(request.mask)}.${format}`;
  return { name, type, data };
}

/** The site's replay page with the answer in it. */
async function makePage(service, _request, question) {
  const { replay } = service.catalogue;
  if (!replay) throw new UsageError("This page cannot save itself as a replay: save a ZIP or a GIF.");
  const answer = await readDescent(service, question);
  const texts = { image: toBase64(answer.image), frames: toBase64(answer.frames) };
  const page = new TextDecoder().decode(await service.load(replay));
  const data = JSON.stringify({ ...answer, ...texts }).replaceAll("<", "\\u003c");
  const caption = answer.caption.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const whole = page.replaceAll("%CAPTION%", () => caption).replace('"%ANSWER%"', () => data);
  return new TextEncoder().encode(whole);
}

/** The film: the masked picture on top, the completed states in the middle, the original beneath. */
async function makeGif(service, request) {
  const film = filmOf(request, await service.trace(request), service.limits.film_states);
  const frames = film.completed.map((frame) => tiled([[film.masked], [frame], [request.picture]]));
  const durations = frames.map((_, i) => (i === 0 || i === frames.length - 1 ? HOLD_MS : FRAME_MS));
  return gif(frames, durations, Math.max(2, Math.floor(GIF_SIDE / request.model.size)));
}

/** config.json, the mask (mask.txt, mask.png), arrays.npz, the pictures, strip.png and film.gif. */
async function makeZip(service, request) {
  const { picture, mask, model } = request;
  const trace = await service.trace(request);
  const film = filmOf(request, trace, service.limits.film_states);
  const shown = chosenStates(film.completed.length, service.limits.strip_states).map((state) => film.completed[state]);
  const hidden = hiddenPixels(mask, model.size).map((bit) => 255 * bit);
  const text = (value) => new TextEncoder().encode(value);
  return zip({
    "config.json": text(JSON.stringify(described(service, request), null, 2)),
    "mask.txt": text(`${maskToHex(mask)}\n`),
    "arrays.npz": await zip(arraysOf(request, trace, film.states)),
    "mask.png": await png({ data: hidden, width: model.size, height: model.size }),
    "original.png": await png(pixelsOf(picture)),
    "masked.png": await png(pixelsOf(film.masked)),
    "reconstruction.png": await png(pixelsOf(film.completed[film.completed.length - 1])),
    "strip.png": await png(tiled([[film.masked, ...shown, picture]])),
    "film.gif": await makeGif(service, request),
  });
}

/** All that is needed to compute the descent again. */
function described(service, request) {
  const { name: _, ...options } = request.model.config;
  const { pixels, ...picture } = request.asked;
  return {
    etviz: service.catalogue.version ?? null,
    engine: "browser",
    model: { checkpoint: request.modelName, snapshot: request.snapshot, ...options },
    picture: { ...picture, caption: request.caption },
    mask: maskToHex(request.mask),
    settings: request.settingsForPage,
  };
}

/** The files of arrays.npz; of a long descent, frames and tokens are those of some states only. */
function arraysOf({ model, picture, mask }, { states, stepSizes }, chosen) {
  const { size } = model;
  const tokens = 1 + model.patches;
  const column = (key) =>
    npy(
      Float32Array.from(states, (state) => state[key]),
      [states.length],
    );
  const byToken = (key) => npy(rowsOf(states.map((state) => state[key])), [states.length, tokens]);
  const large = (key, shape) => npy(rowsOf(chosen.map((state) => states[state][key])), [chosen.length, ...shape]);
  const arrays = {
    image: npy(picture, [3, size, size]),
    energy: column("energy"),
    attention_energy: byToken("attentionEnergy"),
    hopfield_energy: byToken("hopfieldEnergy"),
    gradient_norm: column("gradientNorm"),
    stationarity: column("stationarity"),
    step_sizes: npy(Float32Array.from(stepSizes), [stepSizes.length]),
    mask: npy(mask, [mask.length]),
    frames: large("frame", [3, size, size]),
    tokens: large("tokens", [tokens, model.descent.width]),
    states: npy(Int32Array.from(chosen), [chosen.length]),
  };
  return Object.fromEntries(Object.entries(arrays).map(([name, array]) => [`${name}.npy`, array]));
}

/** The masked picture, and the completed one at some states of a long descent, at all of a short one. */
function filmOf({ picture, mask, model }, { states }, most) {
  const chosen = chosenStates(states.length, most);
  const masked = complete(picture, new Float32Array(3 * model.size ** 2).fill(HIDDEN_GREY), mask);
  return { states: chosen, masked, completed: chosen.map((state) => complete(picture, states[state].frame, mask)) };
}

/** The states 0 to `count` - 1, or `most` of them, evenly spaced, with the first and the last. */
function chosenStates(count, most) {
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / (most - 1)));
}

function pixelsOf(picture) {
  const side = Math.sqrt(picture.length / 3);
  return { data: bytesFromPicture(picture), width: side, height: side };
}

/** Rows of pictures on white, with gaps between them. */
function tiled(rows) {
  const { width: side } = pixelsOf(rows[0][0]);
  const [width, height] = [rows[0].length, rows.length].map((count) => count * (side + GAP) + GAP);
  const data = new Uint8Array(3 * width * height).fill(255);
  rows.forEach((row, i) => {
    row.forEach((picture, j) => {
      const pixels = bytesFromPicture(picture);
      const start = (GAP + i * (side + GAP)) * width + GAP + j * (side + GAP);
      for (let line = 0; line < side; line++) {
        data.set(pixels.subarray(3 * line * side, 3 * (line + 1) * side), 3 * (start + line * width));
      }
    });
  });
  return { data, width, height };
}

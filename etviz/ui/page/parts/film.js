/**
 * The same picture and mask, filled in with the weights of each epoch of a training run.
 *
 * @import { Epochs } from "../lib/readings.d.ts"
 * @import { App } from "../lib/types.d.ts"
 */

import { epochText } from "../lib/catalogue.js";
import { maskFromHex, sideOf } from "../lib/masks.js";
import { METRIC_INFO } from "../lib/metrics.js";
import { completed, draw, patchTable, rgb, splitFrames } from "../lib/pixels.js";
import { bytes, clamp, h } from "../lib/tools.js";

const FINAL = "final"; // stands for the final weights in the address

const nameOf = ({ file, epoch }) => (file === null ? FINAL : epochText(epoch));
const titleOf = ({ file, epoch }) => (file === null ? "Final weights" : `Epoch ${epochText(epoch)}`);
const linkOf = ({ file }) => file ?? FINAL;

/** A reading with its pictures as bytes. @param {Epochs & {run: string, mask: string}} answer */
function unpackFilm(answer) {
  return {
    ...answer,
    epochs: answer.epochs.map((epoch) => ({ ...epoch, frames: splitFrames(epoch.frames, answer.size) })),
    original: bytes(answer.image),
    hidden: maskFromHex(answer.mask),
    patches: patchTable(answer.size, sideOf(answer.mask)),
  };
}

/**
 * `onMark(epoch)` is told of the epoch that is chosen; `below` is a node to stand under the strip.
 *
 *   show(answer)      the epochs of a run, with `run` and `mask`; null hides the film
 *   step()            draw the page's step
 *   pickNear(epoch)   choose the snapshot nearest to an epoch
 *   epoch()           the one that is chosen, or null
 *
 * @param {App} app
 */
export function createFilm(app, { onMark, below }) {
  const canvas = h("canvas", { role: "img", "aria-label": "Completed picture at this epoch" });
  const original = h("canvas", { role: "img", "aria-label": "Original picture" });
  const title = h("b");
  const score = h("span", { title: `Of this picture. ${METRIC_INFO.masked_psnr.text}` });
  const caption = h("figcaption", {}, title, score);
  const slider = h("input", {
    type: "range",
    min: 0,
    max: 0,
    step: 1,
    value: 0,
    "aria-label": "Training epoch",
    input: () => choose(Number(slider.value)),
  });
  const strip = h("div", { class: "etviz-snapshots" });
  const axis = h("p", { class: "etviz-axis" }, "Training epoch, and masked PSNR in dB");
  const framed = (picture) => h("div", { class: "etviz-canvas" }, picture);
  const node = h(
    "section",
    { class: "etviz-film", "aria-label": "Epochs" },
    h("figure", {}, framed(canvas), caption),
    h("figure", {}, framed(original), h("figcaption", {}, "Original")),
    h("div", { class: "etviz-epochs" }, axis, strip, slider, h("div", { class: "etviz-group" }, below)),
  );
  let film = null;
  let chosen = 0; // index into the film's epochs

  const stepOf = ({ frames }) => Math.min(app.step, frames.length - 1); // a shorter descent stays at its last step
  const scoreOf = (epoch) => epoch.psnr[stepOf(epoch)]?.toFixed(2) ?? "–";
  const words = (epoch) => `${titleOf(epoch)}, ${scoreOf(epoch)} dB`;

  /** The completed picture of one epoch at the page's step, as `draw` takes it. */
  function pictureOf(epoch) {
    return completed(rgb(epoch.frames[stepOf(epoch)]), rgb(film.original), film.hidden, film.patches);
  }

  function show(answer) {
    const wanted = app.linked("epoch") ?? epochToKeep(answer);
    film = answer && unpackFilm(answer);
    node.hidden = !film;
    if (!film) return;
    const last = film.epochs.length - 1;
    const at = film.epochs.findIndex((epoch) => linkOf(epoch) === wanted);
    slider.max = String(last);
    strip.replaceChildren(...film.epochs.map(createFrame));
    draw(original, film.size, rgb(film.original));
    drawStrip();
    mark(at < 0 ? last : at);
  }

  /** The epoch on screen, unless it is the last one or of another run. */
  function epochToKeep(answer) {
    const atEnd = !film || chosen === film.epochs.length - 1 || film.run !== answer?.run;
    return atEnd ? FINAL : linkOf(film.epochs[chosen]);
  }

  function createFrame(_, index) {
    const small = h("canvas", { "aria-hidden": "true" });
    return h("button", { type: "button", click: () => choose(index) }, small, h("span"), h("i"));
  }

  function drawStrip() {
    film.epochs.forEach((epoch, i) => {
      const [small, name, psnr] = strip.children[i].children;
      draw(small, film.size, pictureOf(epoch));
      name.textContent = nameOf(epoch);
      psnr.textContent = scoreOf(epoch);
      strip.children[i].setAttribute("aria-label", words(epoch));
    });
  }

  function drawChosen() {
    const epoch = film.epochs[chosen];
    draw(canvas, film.size, pictureOf(epoch));
    title.textContent = titleOf(epoch);
    score.textContent = `${scoreOf(epoch)} dB`;
    caption.title = `Step ${stepOf(epoch)} of ${epoch.frames.length - 1}`;
    slider.setAttribute("aria-valuetext", words(epoch));
  }

  function choose(index) {
    mark(index);
    app.link("epoch", linkOf(film.epochs[index]), { passing: true });
  }

  function mark(index) {
    const last = film.epochs.length - 1;
    chosen = clamp(index, 0, last);
    drawChosen();
    slider.value = String(chosen);
    slider.style.setProperty("--share", String(chosen / Math.max(last, 1)));
    [...strip.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === chosen)));
    onMark(film.epochs[chosen]);
  }

  return {
    node,
    show,
    epoch: () => film?.epochs[chosen] ?? null,
    step() {
      if (!film) return;
      drawStrip();
      drawChosen();
    },
    pickNear(wanted) {
      if (!film) return;
      const gaps = film.epochs.map(({ epoch }) => Math.abs((epoch ?? Infinity) - wanted));
      choose(gaps.indexOf(Math.min(...gaps)));
    },
  };
}

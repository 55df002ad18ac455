/**
 * The first view: original, masked input, reconstruction and error side by side, the metrics, and the energy.
 *
 * @import { Quality } from "../lib/readings.d.ts"
 * @import { App, FirstSteps, View } from "../lib/types.d.ts"
 */

import { createColourBar } from "../charts/colourbar.js";
import { createChart } from "../charts/energychart.js";
import { createReader } from "../lib/asker.js";
import { maskFromHex, sideOf } from "../lib/masks.js";
import { colourDistance, completed, differencePicture, draw, holed, patchTable, rgb } from "../lib/pixels.js";
import { bytes, clamp, h } from "../lib/tools.js";
import { createComparison } from "../parts/comparison.js";
import { createBadge, createReadout, createScaleSwitch } from "../parts/readout.js";

const ERROR_CEILING = 0.5; // absolute error drawn in the brightest colour
const REST_MS = 120; // without a new descent, before the question for the quality
const LOSSY =
  "So many large pictures were compressed on their way: a colour may be off by a few of 255, and the error drawn with it. MSE, PSNR and SSIM are those of the pictures as computed.";
const SMOOTH = "Draw the four pictures smoothly enlarged instead of as pixels: for looking only, the numbers stay";
const UNKNOWN = { mse: null, psnr: null, ssim: null };

/** @param {App} app @returns {View} */
export function createExploreView(app) {
  const tiles = {
    original: createTile("Original"),
    masked: createTile("Masked input", "is-holed"),
    reconstruction: createTile("Reconstruction", "is-result"),
    error: createTile("Absolute error"),
  };
  const keep = h("input", { type: "checkbox", checked: true, change: () => showFrame() });
  const smooth = h("input", { type: "checkbox", change: () => node.classList.toggle("is-smooth", smooth.checked) });
  const badge = createBadge();
  const mean = h("span");
  const lossy = h("p", { class: "etviz-hint", hidden: true }, LOSSY);
  const chart = createChart({ onStep: app.setStep });
  const readout = createReadout(["lost"]);
  const comparison = createComparison();
  const readQuality = createReader(app, "quality", showQuality);
  let measured = { answer: null, quality: null }; // the descent it was asked for, and the reading
  let resting = null;
  const node = h(
    "div",
    { class: "etviz-explore" },
    h("div", { class: "etviz-tiles" }, ...Object.values(tiles).map((tile) => tile.node)),
    h(
      "div",
      { class: "etviz-under" },
      h("label", { class: "etviz-check" }, keep, "Keep the visible pixels as given"),
      h("label", { class: "etviz-check", title: SMOOTH }, smooth, "Smooth"),
      createColourBar("0", `≥ ${ERROR_CEILING}`, "Absolute error, mean of the three channels", mean),
    ),
    lossy,
    h(
      "div",
      { class: "etviz-numbers" },
      h(
        "div",
        { class: "etviz-energies" },
        h(
          "div",
          { class: "etviz-head" },
          h("h2", {}, "Energy"),
          badge.node,
          createScaleSwitch(["change", "value"], chart.scale).node,
        ),
        readout.node,
      ),
      app.host.ask ? comparison.node : null,
    ),
    chart.node,
  );

  /** A picture with its name; pointing at a pixel tells what it holds. */
  function createTile(title, name = "") {
    const canvas = h("canvas", { role: "img", "aria-label": title });
    canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
      const { size } = app.answer;
      const [column, row] = [offsetX / canvas.clientWidth, offsetY / canvas.clientHeight].map((share) =>
        clamp(Math.floor(share * size), 0, size - 1),
      );
      canvas.title = `Pixel in row ${row + 1}, column ${column + 1}: ${tellPixel(title, row * size + column)}`;
    });
    const value = h("span");
    const node = h(
      "figure",
      { class: `etviz-tile ${name}` },
      h("figcaption", {}, h("span", {}, title), value),
      h("div", { class: "etviz-canvas" }, canvas),
    );
    return { node, canvas, value };
  }

  /** Ask once for each descent, and only when no other follows at once, so that painting stays quick. */
  function measure(answer) {
    if (measured.answer === answer || !app.host.ask) return;
    measured = { answer, quality: null };
    comparison.wait(true);
    clearTimeout(resting);
    resting = setTimeout(readQuality, REST_MS);
  }

  /** @param {Quality} quality */
  function showQuality(quality) {
    measured.quality = quality;
    comparison.wait(false);
    compare(app.step);
  }

  function compare(step) {
    const { mse, psnr } = app.answer;
    const { ssim, mean_fill = UNKNOWN, best_fill = UNKNOWN } = measured.quality ?? {};
    comparison.show(step, {
      now: { mse: mse[step], psnr: psnr[step], ssim: ssim?.[step] ?? null },
      mean_fill,
      best_fill,
    });
  }

  /** What a tile shows at a pixel, in words. */
  function tellPixel(title, i) {
    const [shown, given] = [app.pixel(app.step, { keep: keep.checked })(i), rgb(app.original)(i)];
    /** @param {ArrayLike<number>} colour */
    const told = ({ 0: red, 1: green, 2: blue }) => `red ${red}, green ${green}, blue ${blue} of 255`;
    if (title === "Absolute error") return `${colourDistance(shown, given).toFixed(3)}, mean of the channels`;
    if (title === "Reconstruction") return told(shown);
    return title === "Masked input" && app.mask[app.patches[i]] ? "hidden" : told(given);
  }

  function showFrame() {
    const { size } = app.answer;
    const [shown, given] = [app.pixel(app.step, { keep: keep.checked }), rgb(app.original)];
    const error = differencePicture(shown, given, ERROR_CEILING);
    draw(tiles.reconstruction.canvas, size, shown);
    draw(tiles.error.canvas, size, error.picture);
    mean.textContent = `Mean error ${error.mean.toFixed(3)}`;
  }

  function showMask(mask) {
    draw(tiles.masked.canvas, app.answer.size, holed(rgb(app.original), mask, app.patches));
  }

  return {
    name: "explore",
    title: "Explore",
    text: "The picture, what the model sees of it, what it makes of that, and the error. Below, the energy it descends.",
    node,
    show(answer) {
      draw(tiles.original.canvas, answer.size, rgb(app.original));
      badge.show(answer);
      lossy.hidden = answer.exact !== false;
      chart.show(answer);
      measure(answer);
      showMask(app.mask);
    },
    step(step) {
      const { answer } = app;
      chart.step(step);
      tiles.reconstruction.value.textContent = `step ${step}`;
      readout.step(answer, step);
      compare(step);
      showFrame();
    },
    paint: showMask,
    /** @param {FirstSteps} first */
    preview({ size, mask, image, frame, step }) {
      if (app.veil) return;
      const [hidden, given, patches] = [maskFromHex(mask), rgb(bytes(image)), patchTable(size, sideOf(mask))];
      const predicted = rgb(bytes(frame));
      draw(tiles.original.canvas, size, given);
      draw(tiles.masked.canvas, size, holed(given, hidden, patches));
      draw(tiles.reconstruction.canvas, size, keep.checked ? completed(predicted, given, hidden, patches) : predicted);
      tiles.reconstruction.value.textContent = `step ${step}, going on…`;
    },
  };
}

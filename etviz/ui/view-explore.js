/** The first view: original, masked input, reconstruction and error side by side, how good it is, and the energy. */

import { createReader } from "./asker.js";
import { createChart, energies, LINES } from "./chart.js";
import { createComparison } from "./comparison.js";
import { maskFromHex } from "./masks.js";
import { draw, rgb, viridis, VIRIDIS } from "./pixels.js";
import { createTerm } from "./term.js";
import { format, h, steps } from "./tools.js";

const ERROR_CEILING = 0.5; // absolute error drawn in the brightest colour
const REST_MS = 120; // without a new descent, before the reading of quality is asked for
const UNKNOWN = { mse: null, psnr: null, ssim: null };
const EXPLAINED = {
  energy: "Energy of the whole state: attention and Hopfield together. Any sign, no unit. The descent lowers it.",
  attention_energy: "The part of the energy that falls as tokens agree with the keys of others. Any sign, no unit.",
  hopfield_energy: "The part of the energy that falls as tokens agree with the learned memories. At most 0, no unit.",
  gradient_norm: "Length of the energy's gradient: how steep it is here. From 0, flat, without an upper end; no unit.",
};

/** A badge that says whether every step went down. */
export function createBadge() {
  const node = h("span", { class: "etviz-badge" });
  return {
    node,
    show({ rises }) {
      const listed = rises.length > 6 ? [...rises.slice(0, 6), "…"] : rises;
      node.textContent = rises.length ? `${steps(listed)} went up` : "every step went down";
      node.classList.toggle("is-up", rises.length > 0);
    },
  };
}

/** A bar of the viridis colours between two ends in words. */
export function createColourBar(low, high, title, before = null) {
  const bar = h("i");
  bar.style.background = `linear-gradient(to right, ${VIRIDIS.map((colour) => `rgb(${colour.join(" ")})`).join(", ")})`;
  return h("div", { class: "etviz-bar", title }, before, low, bar, high);
}

export function createExploreView(app) {
  const tiles = {
    original: createTile("Original"),
    masked: createTile("Masked input", "is-holed"),
    reconstruction: createTile("Reconstruction", "is-result"),
    error: createTile("Absolute error"),
  };
  const keep = h("input", { type: "checkbox", checked: true, change: () => showFrame() });
  const badge = createBadge();
  const mean = h("span");
  const chart = createChart({ onStep: app.setStep });
  const readout = Object.fromEntries(Object.keys(EXPLAINED).map((key) => [key, h("dd")]));
  const comparison = createComparison();
  const readQuality = createReader(app, "quality", showQuality);
  let measured = { answer: null, quality: null }; // of which descent it was asked, and what came
  let resting = null;
  const node = h(
    "div",
    { class: "etviz-explore" },
    h("div", { class: "etviz-tiles" }, ...Object.values(tiles).map((tile) => tile.node)),
    h(
      "div",
      { class: "etviz-under" },
      h("label", { class: "etviz-check" }, keep, "Keep the visible pixels as given"),
      createColourBar("0", `≥ ${ERROR_CEILING}`, "Absolute error, mean of the three channels", mean),
    ),
    h(
      "div",
      { class: "etviz-numbers" },
      h("div", { class: "etviz-energy" }, h("div", { class: "etviz-head" }, h("h2", {}, "Energy"), badge.node, scaleSwitch()), readouts()),
      comparison.node,
    ),
    chart.node,
  );

  function createTile(title, name = "") {
    const canvas = h("canvas", { role: "img", "aria-label": title });
    const value = h("span");
    const node = h(
      "figure",
      { class: `etviz-tile ${name}` },
      h("figcaption", {}, h("span", {}, title), value),
      h("div", { class: "etviz-canvas" }, canvas),
    );
    return { node, canvas, value };
  }

  function scaleSwitch() {
    const choose = (relative) => () => {
      chart.relative(relative);
      change.setAttribute("aria-pressed", relative);
      value.setAttribute("aria-pressed", !relative);
    };
    const side = (name, title, relative) =>
      h("button", { type: "button", title, "aria-label": title, "aria-pressed": String(relative), click: choose(relative) }, name);
    const change = side("Change", "Change since step 0", true);
    const value = side("Value", "Value of the energy", false);
    return h("div", { class: "etviz-switch", role: "group", "aria-label": "Energy axis" }, change, value);
  }

  function readouts() {
    const item = (key, name, mark = "") =>
      h("div", { class: mark && `is-${mark}` }, h("dt", {}, mark ? h("i", { class: "etviz-key" }) : null, createTerm(name, EXPLAINED[key])), readout[key]);
    const lines = LINES.map((line) => item(line.key, line.name, line.mark));
    return h("dl", { class: "etviz-readout" }, ...lines, item("gradient_norm", "Slope ‖∂E/∂g‖"));
  }

  /** Ask once for each descent, and only when no other follows at once: painting comes first. */
  function measure(answer) {
    if (measured.answer === answer) return;
    measured = { answer, quality: null };
    comparison.wait(true);
    clearTimeout(resting);
    resting = setTimeout(readQuality, REST_MS);
  }

  function showQuality(quality) {
    measured.quality = quality;
    comparison.wait(false);
    compare(app.step);
  }

  function compare(step) {
    const { mse, psnr } = app.answer;
    const { ssim, mean_fill = UNKNOWN, navier_stokes = UNKNOWN } = measured.quality ?? {};
    comparison.show(step, { now: { mse: mse[step], psnr: psnr[step], ssim: ssim?.[step] ?? null }, mean_fill, navier_stokes });
  }

  function showFrame() {
    const { size } = app.answer;
    const [shown, given] = [app.pixel(app.step, { keep: keep.checked }), rgb(app.original)];
    let total = 0;
    draw(tiles.reconstruction.canvas, size, shown);
    draw(tiles.error.canvas, size, (i) => {
      const [a, b] = [shown(i), given(i)];
      const error = (Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) + Math.abs(a[2] - b[2])) / (3 * 255);
      total += error;
      return viridis(error / ERROR_CEILING);
    });
    mean.textContent = `Mean error ${(total / size ** 2).toFixed(3)}`;
  }

  function showMask(mask) {
    const pixel = rgb(app.original);
    draw(tiles.masked.canvas, app.answer.size, (i) => (mask[app.patches[i]] ? null : pixel(i)));
  }

  return {
    name: "explore",
    title: "Explore",
    text: "The picture, what the model sees of it, what it makes of that, and the error. Below, the energy it descends.",
    node,
    show(answer) {
      draw(tiles.original.canvas, answer.size, rgb(app.original));
      badge.show(answer);
      chart.show(answer);
      measure(answer);
      showMask(app.mask);
    },
    step(step) {
      const { answer } = app;
      chart.step(step);
      tiles.reconstruction.value.textContent = `step ${step}`;
      for (const line of energies(answer, step)) readout[line.key].textContent = line.value;
      readout.gradient_norm.textContent = format(answer.gradient_norm[step], 4);
      compare(step);
      showFrame();
    },
    paint: showMask,
  };
}

/** The first view: original, masked input, reconstruction and error side by side, and the energy over the steps. */

import { createChart, energies, LINES } from "./chart.js";
import { maskFromHex } from "./masks.js";
import { draw, rgb, viridis, VIRIDIS } from "./pixels.js";
import { format, h, steps } from "./tools.js";

const ERROR_CEILING = 0.5; // absolute error drawn in the brightest colour

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
  const readout = Object.fromEntries(
    [...LINES.map((line) => line.key), "gradient_norm", "psnr", "mse"].map((key) => [key, h("dd")]),
  );
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
    h("div", { class: "etviz-head" }, h("h2", {}, "Energy"), badge.node, scaleSwitch()),
    readouts(),
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
    const change = h("button", { type: "button", "aria-pressed": "true", click: choose(true) }, "Change since step 0");
    const value = h("button", { type: "button", "aria-pressed": "false", click: choose(false) }, "Value");
    return h("div", { class: "etviz-switch", role: "group", "aria-label": "Energy axis" }, change, value);
  }

  function readouts() {
    const item = (name, cell, mark = "", title = null) =>
      h("div", { class: mark && `is-${mark}`, title }, h("dt", {}, mark ? h("i", { class: "etviz-key" }) : null, name), cell);
    return h(
      "dl",
      { class: "etviz-readout" },
      ...LINES.map((line) => item(line.name, readout[line.key], line.mark)),
      item("Slope ‖∂E/∂g‖", readout.gradient_norm, "", "Length of the energy's gradient: how steep it is here"),
      item("Hidden PSNR", readout.psnr, "", "Peak signal-to-noise ratio over the hidden pixels: higher is better"),
      item("Hidden MSE", readout.mse, "", "Mean squared error over the hidden pixels, of values in 0..1: lower is better"),
    );
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
    node,
    show(answer) {
      draw(tiles.original.canvas, answer.size, rgb(app.original));
      badge.show(answer);
      chart.show(answer);
      showMask(app.mask);
    },
    step(step) {
      const { answer } = app;
      chart.step(step);
      tiles.reconstruction.value.textContent = `step ${step}`;
      for (const line of energies(answer, step)) readout[line.key].textContent = line.value;
      readout.gradient_norm.textContent = format(answer.gradient_norm[step], 4);
      readout.psnr.textContent = answer.psnr[step] === null ? "–" : `${answer.psnr[step].toFixed(2)} dB`;
      readout.mse.textContent = answer.mse[step] === null ? "–" : answer.mse[step].toFixed(4);
      showFrame();
    },
    paint: showMask,
  };
}

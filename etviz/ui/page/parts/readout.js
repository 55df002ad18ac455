/** The numbers of one step, above a chart: shared by the views that show the energy. */

import { energies, LINES } from "../charts/energyseries.js";
import { METRIC_INFO } from "../lib/metrics.js";
import { format, h, steps } from "../lib/tools.js";
import { createSwitch } from "./switch.js";
import { createTerm } from "./term.js";

const EXPLAINED = {
  energy: "Energy of the whole state: attention plus Hopfield. Either sign, no unit. The descent lowers it.",
  attention_energy:
    "The part of the energy that falls as queries match the keys of other tokens. Either sign, no unit.",
  hopfield_energy: "The part of the energy that falls as tokens match the learned memories. At most 0, no unit.",
};

/** What a descent has at every step besides its energies: {name, title, at(answer) -> T+1 numbers or null, tell}. */
export const MEASURES = {
  lost: {
    name: "Energy lost",
    title:
      "How much energy the step that led here took away; negative where it added some. It falls towards 0 as the descent converges.",
    at: ({ energy }) =>
      energy.map((value, i) => (i && value !== null && energy[i - 1] !== null ? energy[i - 1] - value : null)),
    tell: (value) => format(value ?? NaN, 4),
  },
  gradient_norm: {
    name: "Slope ‖∂E/∂g‖",
    title:
      "Length of the gradient by the normed tokens g, along which every step goes. Most of it would only stretch tokens, which changes no energy: so it often grows while the energy flattens. See “Along the sphere” for the part that counts.",
    at: (answer) => answer.gradient_norm,
    tell: (value) => format(value ?? NaN, 4),
  },
  stationarity: {
    name: "Along the sphere",
    title:
      "The part of the slope that turns tokens: the length of the gradient by their directions. The rest only stretches them, which changes no energy. 0 where the descent has settled.",
    at: (answer) => answer.stationarity,
    tell: (value) => format(value ?? NaN, 4),
  },
  psnr: {
    name: "Masked PSNR",
    title: METRIC_INFO.masked_psnr.text,
    at: (answer) => answer.psnr,
    tell: (value) => (value === null ? "–" : `${value.toFixed(2)} dB`),
  },
  mse: {
    name: "Masked MSE",
    title: METRIC_INFO.masked_mse.text,
    at: (answer) => answer.mse,
    tell: (value) => (value === null ? "–" : value.toFixed(4)),
  },
  step_size: {
    name: "Step taken",
    title: "Size of the step that led here. Backtracking halves each step until the energy no longer rises.",
    at: (answer) => [null, ...answer.step_sizes],
    tell: (value) => (value === null ? "–" : format(value, 3)),
  },
};

/** The energies and some `MEASURES`, by key, at one step. */
export function createReadout(keys) {
  const cells = Object.fromEntries([...LINES.map((line) => line.key), ...keys].map((key) => [key, h("dd")]));
  const item = (name, cell, text, mark = "") =>
    h(
      "div",
      { class: mark && `is-${mark}` },
      h("dt", {}, mark ? h("i", { class: "etviz-key" }) : null, createTerm(name, text)),
      cell,
    );
  const node = h(
    "dl",
    { class: "etviz-readout" },
    ...LINES.map((line) => item(line.name, cells[line.key], EXPLAINED[line.key], line.mark)),
    ...keys.map((key) => item(MEASURES[key].name, cells[key], MEASURES[key].title)),
  );
  return {
    node,
    step(answer, step) {
      for (const line of energies(answer, step)) cells[line.key].textContent = line.value;
      for (const key of keys) cells[key].textContent = MEASURES[key].tell(MEASURES[key].at(answer)[step]);
    },
  };
}

/** A badge that says whether every step went down. */
export function createBadge() {
  const node = h("span", { class: "etviz-badge" });
  return {
    node,
    show({ rises }) {
      const listed = rises.length > 6 ? [...rises.slice(0, 6), "…"] : rises;
      node.textContent = rises.length ? `${steps(listed)} went up` : "every step went down";
      node.title = rises.length
        ? `${rises.length} of the steps raised the energy: ${rises.join(", ")}`
        : "No step raised the energy";
      node.classList.toggle("is-up", rises.length > 0);
    },
  };
}

const SCALES = {
  change: { text: "Change", title: "Change since step 0", "aria-label": "Change since step 0" },
  value: { text: "Value", title: "Value of the energy", "aria-label": "Value of the energy" },
  median: { text: "vs. median", title: "Minus the median of the other pictures at the same step" },
};

/** A choice between some of the chart's scales, starting with the first, as {node, show(name)}. */
export function createScaleSwitch(names, onScale) {
  const options = Object.fromEntries(names.map((name) => [name, SCALES[name]]));
  return createSwitch({ label: "Energy axis", options, chosen: names[0], onChoose: onScale });
}

/** This picture's metrics at one step, next to those of two fills that learn nothing. */

import { METRIC_INFO } from "../lib/metrics.js";
import { fixed, h } from "../lib/tools.js";
import { createTerm } from "./term.js";

const METRICS = [
  {
    key: "mse",
    name: "Masked MSE",
    decimals: 4,
    better: Math.min,
    text: METRIC_INFO.masked_mse.text,
  },
  {
    key: "psnr",
    name: "Masked PSNR, dB",
    decimals: 2,
    better: Math.max,
    text: METRIC_INFO.masked_psnr.text,
  },
  {
    key: "ssim",
    name: "SSIM",
    decimals: 3,
    better: Math.max,
    text: METRIC_INFO.completed_ssim.text,
  },
];
const BEST_FILL = "Best fill"; // until its name is known
const COLUMNS = {
  now: ["Step", "The reconstruction at this step, with the visible pixels as given."],
  mean_fill: [
    "Mean fill",
    "Fills every hidden pixel with the mean of the visible ones, channel by channel. Nothing is learned.",
  ],
  best_fill: [
    BEST_FILL,
    "The best for this picture and mask of three fills from neighbouring pixels, which learn nothing: Telea's and Navier–Stokes inpainting from OpenCV, and biharmonic inpainting from scikit-image.",
  ],
};

/** A table whose best value in each row is marked. */
export function createComparison() {
  const terms = Object.fromEntries(Object.entries(COLUMNS).map(([key, words]) => [key, createTerm(...words)]));
  const cells = METRICS.map(() =>
    Object.fromEntries(Object.keys(COLUMNS).map((key) => [key, h("td", { "data-column": key })])),
  );
  const node = h(
    "table",
    { class: "etviz-comparison" },
    h(
      "caption",
      { class: "etviz-spoken" },
      "Quality of this picture at this step, next to two fills that learn nothing",
    ),
    h("thead", {}, h("tr", {}, h("td"), ...Object.values(terms).map((term) => h("th", { scope: "col" }, term)))),
    h(
      "tbody",
      {},
      ...METRICS.map(({ key, name, text }, i) =>
        h("tr", { "data-metric": key }, h("th", { scope: "row" }, createTerm(name, text)), ...Object.values(cells[i])),
      ),
    ),
  );

  function showRow({ key, decimals, better }, row, values) {
    const words = (value) => (Number.isFinite(value) ? fixed(value, decimals) : "–");
    const known = Object.values(values)
      .map((value) => value[key])
      .filter(Number.isFinite);
    const best = known.length > 1 ? words(better(...known)) : null; // one value alone is not best
    for (const [column, cell] of Object.entries(row)) {
      const text = words(values[column][key]);
      cell.textContent = text;
      cell.classList.toggle("is-best", text === best);
      cell.title = text === best ? "Best of the three" : "";
    }
  }

  return {
    node,
    /** `now`, `mean_fill` and `best_fill` are {mse, psnr, ssim} each, null where unknown; the last has a name too. */
    show(step, values) {
      terms.now.firstChild.textContent = `Step ${step}`;
      terms.best_fill.firstChild.textContent = values.best_fill.name ?? BEST_FILL;
      METRICS.forEach((metric, i) => showRow(metric, cells[i], values));
    },
    /** Show whether the numbers of the other columns are still being computed. */
    wait(waiting) {
      node.setAttribute("aria-busy", waiting);
    },
  };
}

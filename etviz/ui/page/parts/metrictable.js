/** The metrics of a comparison: a row for each column, with the best value of each metric marked. */

import { valueAt } from "../lib/columnreading.js";
import { columnText, LETTERS, MARKS, sameEnergy } from "../lib/columns.js";
import { METRIC_INFO } from "../lib/metrics.js";
import { format, h, steps } from "../lib/tools.js";

const COMPARED = [
  { key: "mse", name: "Masked MSE", best: Math.min, tell: (v) => v.toFixed(4), title: METRIC_INFO.masked_mse.text },
  {
    key: "psnr",
    name: "Masked PSNR",
    best: Math.max,
    tell: (v) => `${v.toFixed(2)} dB`,
    title: METRIC_INFO.masked_psnr.text,
  },
  { key: "ssim", name: "SSIM", best: Math.max, tell: (v) => v.toFixed(3), title: METRIC_INFO.completed_ssim.text },
  {
    key: "end",
    name: "End energy",
    best: Math.min,
    tell: (v) => format(v, 6),
    title:
      "Energy after the last step. The best is marked only where all columns descend on one energy: energies of different models, epochs or betas are not comparable",
  },
  { key: "rose", name: "Rises", best: Math.min, tell: String, title: "Steps that raised the energy: fewer is better" },
  {
    key: "milliseconds",
    name: "Time",
    best: null, // one run each: what else the machine does decides between them
    tell: (v) => `${v.toFixed(0)} ms`,
    title: "Time for the pictures and energies of all steps, measured once, so none is marked as the best",
  },
];

const COMPARABLE = "All columns descend on one energy.";
const INCOMPARABLE = "Energies of different models, epochs or betas are not comparable, so none is marked.";

/** `show(columns, readings, step, catalogue)`; a reading that is not here yet, or failed, is null. */
export function createMetricTable() {
  const heads = COMPARED.map(({ name, title }) => h("th", { scope: "col", title }, name));
  const rows = h("tbody");
  const note = h("p", { class: "etviz-hint" });
  const table = h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Column"), ...heads)), rows);
  const node = h("div", { class: "etviz-table", tabindex: 0, role: "region", "aria-label": "Metrics" }, table, note);
  return {
    node,
    show(columns, readings, step, catalogue) {
      const comparable = sameEnergy(columns);
      const values = COMPARED.map(({ key }) => readings.map((reading) => reading && valueAt(reading, key, step)));
      const bests = COMPARED.map((metric, k) =>
        !metric.best || (metric.key === "end" && !comparable) ? null : bestOf(values[k], metric),
      );
      const cells = (i) => COMPARED.map((metric, k) => cell(readings[i], metric, values[k][i], bests[k]));
      rows.replaceChildren(...columns.map((entry, i) => h("tr", {}, rowHead(entry, i, catalogue), ...cells(i))));
      note.textContent = `Best values are shaded. ${comparable ? COMPARABLE : INCOMPARABLE}`;
    },
  };
}

function rowHead(entry, i, catalogue) {
  const title = columnText(entry, catalogue.get(entry.model));
  return h("th", { scope: "row", class: `is-${MARKS[i]}`, title }, h("i", { class: "etviz-key" }), LETTERS[i]);
}

/** The best value as shown, or null where there is nothing to choose between. */
function bestOf(values, metric) {
  const known = values.filter((value) => value !== null);
  const best = known.length > 1 ? metric.tell(metric.best(...known)) : null;
  return known.every((value) => metric.tell(value) === best) ? null : best;
}

function cell(reading, metric, value, best) {
  if (value === null) return h("td", { title: reading ? "Not defined here" : null }, "–");
  const text = metric.tell(value);
  const title = metric.key === "rose" && value ? `${steps(reading.rises)} went up` : null;
  const spoken = text === best ? h("span", { class: "etviz-spoken" }, " (best)") : null;
  return h("td", { title, class: text === best ? "is-best" : null }, text, spoken);
}

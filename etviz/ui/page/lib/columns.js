/**
 * The columns of a comparison as plain data: in words, in an address, and in ready-made sets.
 *
 * @import { RunInfo } from "./readings.d.ts"
 */

import { epochText } from "./catalogue.js";
import { format } from "./tools.js";

export const LETTERS = ["A", "B", "C", "D"];
export const MARKS = ["total", "attention", "hopfield", "fourth"]; // colours and dashes of the letters
const FACTORS = [0.5, 1, 5, 20]; // of the model's own step size
const FIELDS = ["model", "snapshot", "step_size", "beta", "rule"];

/** A column; what is null is the model's own, the final weights, or the fixed rule. */
export const column = (model, rest = {}) => ({
  model,
  snapshot: null,
  step_size: null,
  beta: null,
  rule: null,
  ...rest,
});

export const columnsToText = (columns) =>
  columns.map((entry) => FIELDS.map((field) => encodeURIComponent(entry[field] ?? "")).join(",")).join(";");

/** The columns in an address, at most four. What should be a number but is not stays text, for the server to refuse. */
export function columnsFromText(text) {
  const read = (part) => {
    const values = part.split(",").map((value) => decode(value) || null);
    const entry = Object.fromEntries(FIELDS.map((field, i) => [field, values[i] ?? null]));
    for (const field of ["step_size", "beta"]) {
      if (entry[field] !== null && Number.isFinite(Number(entry[field]))) entry[field] = Number(entry[field]);
    }
    return entry;
  };
  return (text ?? "").split(";").filter(Boolean).slice(0, LETTERS.length).map(read);
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {RunInfo} run */
export const stepSizesOf = (run) => FACTORS.map((factor) => Number((factor * run.step_size).toPrecision(6)));

/** @param {RunInfo} run @param {string | null} snapshot */
export const byStepSize = (run, snapshot) =>
  stepSizesOf(run).map((step_size) => column(run.name, { snapshot, step_size }));

/** The final weights and up to three snapshots: the first, and others spread over the training. @param {RunInfo} run */
export function byEpoch(run) {
  const early = run.snapshots.slice(0, -1); // the last is close to the final weights
  const count = Math.min(3, early.length);
  const chosen = Array.from(
    { length: count },
    (_, i) => early[Math.round((i * (early.length - 1)) / Math.max(count - 1, 1))],
  );
  return [...chosen.map(({ file }) => column(run.name, { snapshot: file })), column(run.name)];
}

/**
 * As many models as fit: the page's own, then those trained on the same dataset, then others.
 *
 * @param {RunInfo[]} runs @param {string} own
 */
export function byModel(runs, own) {
  const { dataset } = runs.find(({ name }) => name === own) ?? {};
  const rank = (run) => (run.name === own ? 0 : run.dataset === dataset ? 1 : 2);
  return [...runs]
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, LETTERS.length)
    .map((run) => column(run.name));
}

/** A column in words. */
export function columnText(entry, run) {
  const snapshot = run?.snapshots?.find(({ file }) => file === entry.snapshot);
  const parts = [entry.model, snapshot ? `epoch ${epochText(snapshot.epoch)}` : "final weights"];
  if (entry.step_size !== null) parts.push(`step size ${format(Number(entry.step_size), 3)}`);
  if (entry.beta !== null) parts.push(`beta ${format(Number(entry.beta), 3)}`);
  if (entry.rule !== null) parts.push(entry.rule);
  return parts.join(", ");
}

/** Whether all columns descend on the same energy, so that its values can be compared. */
export function sameEnergy(columns) {
  const key = ({ model, snapshot, beta }) => JSON.stringify([model, snapshot, beta]);
  return new Set(columns.map(key)).size === 1;
}

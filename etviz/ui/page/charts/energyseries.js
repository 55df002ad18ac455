/** The energies of a descent as an axis shows them: their change, their value, or against the median of others. */

import { decimalsFor, fixed } from "../lib/tools.js";

export const LINES = [
  { key: "energy", name: "Total", mark: "total" },
  { key: "attention_energy", name: "Attention", mark: "attention" },
  { key: "hopfield_energy", name: "Hopfield", mark: "hopfield" },
];

/** The energies of one step, with the decimals that suit the largest; `tell` writes further numbers the same way. */
export function energies(answer, step) {
  const decimals = decimalsFor(Math.max(...LINES.map((line) => Math.abs(answer[line.key][step]))), 6);
  const tell = (value) => (Number.isFinite(value) ? fixed(value, decimals) : "–");
  return LINES.map((line) => {
    const [value, start] = [answer[line.key][step], answer[line.key][0]];
    return { ...line, tell, value: tell(value), change: value === null || start === null ? "–" : tell(value - start) };
  });
}

/**
 * `scale` is "change" since step 0, "value", or "median": minus the median of the band, like "change" without a band.
 *
 *   kind               the scale in effect
 *   values(line)       numbers over the steps, null where there is none
 *   quantiles(line)    low, median and high of the band, over the steps; empty without a band
 *   median(line, step) of the band, as a change or a value
 */
export function energySeries({ answer, scale, band }) {
  const kind = scale === "median" && !band ? "change" : scale;
  const bandOf = (line) => (kind === "change" ? band?.changes : band?.values)?.[line.key] ?? [];

  /** Numbers over the steps minus what counts as zero on the axis. */
  function shifted(line, numbers) {
    const [start, median] = [answer[line.key][0], bandOf(line)[1]];
    const zero = { change: () => start, value: () => 0, median: (i) => median[i] }[kind];
    return numbers.map((value, i) => (value === null || zero(i) === null ? null : value - zero(i)));
  }

  return {
    kind,
    values: (line) => shifted(line, answer[line.key]),
    quantiles: (line) => (kind === "change" ? bandOf(line) : bandOf(line).map((numbers) => shifted(line, numbers))),
    median: (line, step) => bandOf(line)[1][step],
  };
}

/** The axes of charts, with round numbers on them, and lines through points. */

import { fixed, svg } from "../lib/tools.js";

/**
 * About `count` round numbers that cover the finite ones among `values`.
 *
 * @param {(number | null)[]} values @param {number} count
 */
export function niceTicks(values, count) {
  const finite = values.filter(Number.isFinite);
  const [low, high] = finite.length ? [Math.min(...finite), Math.max(...finite)] : [0, 1];
  const rough = (high - low || Math.abs(high) || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let i = Math.floor(low / step); i <= Math.max(Math.ceil(high / step), Math.floor(low / step) + 1); i++)
    ticks.push(i * step);
  return ticks;
}

const WIDE = 2e5; // from this gap on, seven digits would not fit

/**
 * A text for each tick: all with the decimals that the finest of them needs, and millions as M. `narrow` charts write
 * thousands as k as well.
 *
 * @param {number[]} ticks
 */
export function tickLabels(ticks, { narrow = false } = {}) {
  const [unit, sign] = unitOf(ticks, narrow);
  const rest = (value) => Math.abs(value - Math.round(value));
  const enough = (decimals) => ticks.every((tick) => rest((tick / unit) * 10 ** decimals) < 1e-6);
  const decimals = [0, 1, 2, 3, 4, 5].find(enough) ?? 6;
  return ticks.map((tick) => `${fixed(tick / unit, decimals)}${tick ? sign : ""}`);
}

/** What ticks are told in, and its sign. @returns {[number, string]} */
function unitOf(ticks, narrow) {
  if (ticks.length > 1 && Math.abs(ticks[1] - ticks[0]) >= WIDE) return [1e6, " M"];
  return narrow && Math.max(...ticks.map(Math.abs)) >= 10000 ? [1000, " k"] : [1, ""];
}

/** A function from a value between the outermost ticks to a place between `from` and `to`. */
export function linearScale(ticks, from, to) {
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

/** A path through the values, with a gap where there is none; `x(i)` and `y(value)` place them. */
export function linePath(values, x, y) {
  const place = (value, i) => `${Number.isFinite(values[i - 1]) ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
  return values.map((value, i) => (Number.isFinite(value) ? place(value, i) : "")).join("");
}

/** The area between two lines. */
export function bandPath(low, high, x, y) {
  const there = low.map((_, i) => i).filter((i) => Number.isFinite(low[i]) && Number.isFinite(high[i]));
  const corner = (values) => (i) => `${x(i).toFixed(1)} ${y(values[i]).toFixed(1)}`;
  const corners = [...there.map(corner(low)), ...there.reverse().map(corner(high))];
  return corners.length ? `M${corners.join("L")}Z` : "";
}

/** A text in a chart. */
export function chartText(name, x, y, text, anchor = "end") {
  return svg("text", { class: name, x, y, "text-anchor": anchor }, text);
}

/** A horizontal line of an area {left, right, top, bottom}. */
export const acrossLine = (name, y, { left, right }) => svg("line", { class: name, x1: left, x2: right, y1: y, y2: y });

/** A vertical line of an area. */
export const uprightLine = (name, x, { top, bottom }) =>
  svg("line", { class: name, x1: x, x2: x, y1: top, y2: bottom });

/** What is left of width x height pixels inside margins {top, right, bottom, left}. */
export const areaWithin = ({ top, right, bottom, left }, width, height) => ({
  left,
  right: width - right,
  top,
  bottom: height - bottom,
});

/** Axes of charts: round numbers on them, and lines through points. */

import { clamp, fixed, svg } from "../lib/tools.js";

/** About `count` round numbers that cover the finite ones among `values`. */
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

export function tickLabel(tick, ticks) {
  const gap = Math.abs(ticks[1] - ticks[0]);
  if (gap >= 2e5) return tick === 0 ? "0" : `${fixed(tick / 1e6, 2)} M`; // seven digits have no room
  return fixed(tick, clamp(Math.ceil(-Math.log10(gap) + 0.001), 0, 6));
}

/** A function from a value between the outermost ticks to a place between `from` and `to`. */
export function linearScale(ticks, from, to) {
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  return (value) => from + ((value - low) / (high - low)) * (to - from);
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

/**
 * The parts of the energy chart, each as a list of SVG nodes. `area` says where things lie: {left, right, top, bottom},
 * the last step, and the scales x, y and y2.
 */

import { svg } from "../lib/tools.js";
import { acrossLine, bandPath, chartText, linePath, tickLabels, uprightLine } from "./axes.js";
import { LINES } from "./energyseries.js";

const DOT_PX = 9; // states at least this far apart get a dot each

/** Everything that does not change with the step. */
export function drawStill({ answer, band, second }, series, area, { ticks, secondTicks }) {
  const lines = LINES.flatMap((line) => {
    const values = series.values(line);
    return [...drawDots(line, values, area), drawLine(line, values, area, area.y)];
  });
  return [
    ...drawAxis(ticks, area),
    ...(second ? drawSecondAxis(second.name, secondTicks, area) : []),
    ...(band ? LINES.flatMap((line) => drawBand(line, series.quantiles(line), area)).reverse() : []),
    ...(second ? [drawLine({ mark: "second" }, second.values, area, area.y2)] : []),
    ...lines.reverse(), // the total on top
    ...answer.rises.flatMap((step) => drawRise(step, series.values(LINES[0])[step], area)),
    ...drawOwnEnd(answer.settings, area),
    ...drawSettled(answer, area),
  ];
}

/** The cursor, and a dot for each line at its step. */
export function drawMoving({ step, second }, series, area, hover) {
  const dots = LINES.flatMap((line) => drawDot(line, step, series.values(line)[step], area, area.y, 5));
  return [
    ...(hover === null ? [] : [uprightLine("etviz-ghost", area.x(hover), area)]),
    uprightLine("etviz-now", area.x(step), area),
    ...(second ? drawDot({ mark: "second" }, step, second.values[step], area, area.y2, 4) : []),
    ...dots.reverse(),
  ];
}

function drawAxis(ticks, area) {
  const labels = tickLabels(ticks);
  return ticks.flatMap((tick, i) => {
    const y = area.y(tick);
    const line = acrossLine(tick === 0 ? "etviz-zero" : "etviz-rule", y, area);
    return [line, chartText("etviz-tick", area.left - 10, y + 4, labels[i])];
  });
}

function drawSecondAxis(name, ticks, area) {
  const labels = tickLabels(ticks);
  const place = (tick) => area.y2(tick) + 4;
  return [
    ...ticks.map((tick, i) => chartText("etviz-tick is-second", area.right + 10, place(tick), labels[i], "start")),
    chartText("etviz-tick is-second", area.width - 2, 10, name),
    chartText("etviz-tick", 0, 10, "Energy", "start"),
  ];
}

function drawBand({ mark }, [low, median, high], { x, y }) {
  return [
    svg("path", { class: `etviz-median is-${mark}`, d: linePath(median, x, y), "data-median": mark }),
    svg("path", { class: `etviz-band is-${mark}`, d: bandPath(low, high, x, y), "data-band": mark }),
  ];
}

function drawLine({ mark }, values, { x }, y) {
  return svg("path", { class: `etviz-line is-${mark}`, d: linePath(values, x, y), "data-line": mark });
}

function drawDots(line, values, area) {
  if ((area.right - area.left) / area.last < DOT_PX) return [];
  return values.flatMap((value, step) => drawDot(line, step, value, area, area.y, 2));
}

function drawDot({ mark }, step, value, { x }, y, radius) {
  if (!Number.isFinite(value)) return [];
  return [svg("circle", { class: `etviz-dot is-${mark}`, cx: x(step), cy: y(value), r: radius })];
}

/** A triangle above a state whose energy is higher than the one before. */
function drawRise(step, value, { x, y }) {
  if (!Number.isFinite(value)) return [];
  return [svg("path", { class: "etviz-rise", d: `M${x(step) - 5} ${y(value) - 9}h10l-5 -8z` })];
}

/** Mark where the descent goes beyond the steps it was trained with. */
function drawOwnEnd({ steps, own, settle }, area) {
  if (area.last <= own.steps || (area.last > steps && !settle)) return []; // several blocks
  const x = area.x(own.steps);
  const words = `trained with ${own.steps} steps`;
  return [uprightLine("etviz-own", x, area), chartText("etviz-tick etviz-note", x + 5, area.top + 14, words, "start")];
}

const BESIDE_PX = 280; // room for the note of `drawOwnEnd` and this one on one line

function drawSettled({ settings, settled }, area) {
  if (!settings.settle) return [];
  const words = settled === null ? `not settled after ${area.last} steps` : `settled at step ${settled}`;
  const line = area.right - area.x(settings.own.steps) < BESIDE_PX ? 30 : 14;
  return [chartText("etviz-tick etviz-note", area.right - 6, area.top + line, words)];
}

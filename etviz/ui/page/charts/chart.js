/** The energy over the steps of a descent, as inline SVG. */

import { clamp, decimalsFor, fixed, format, h, svg } from "../lib/tools.js";
import {
  acrossLine,
  areaWithin,
  bandPath,
  chartText,
  linearScale,
  linePath,
  niceTicks,
  tickLabels,
  uprightLine,
} from "./axes.js";
import { createTooltip } from "./tooltip.js";

export const LINES = [
  { key: "energy", name: "Total", mark: "total" },
  { key: "attention_energy", name: "Attention", mark: "attention" },
  { key: "hopfield_energy", name: "Hopfield", mark: "hopfield" },
];
// Left and right as in .etviz-transport, so that the slider runs under the axis.
const MARGIN = { top: 10, right: 14, bottom: 6, left: 74 };
const SECOND = { ...MARGIN, top: 24, right: 70 }; // with an axis on the right
const DOT_PX = 9; // states at least this far apart get a dot each

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
 * Three lines over the steps. `onStep(step)` when the reader clicks or drags in it.
 *
 *   show(answer)      the descent, see payload.py
 *   step(step)        where the cursor stands
 *   scale(name)       "change" since step 0, "value", or against the "median" ("change" where there is no band)
 *   band(reading)     quantiles to draw behind, see readings/energy.py, or null
 *   second(line)      {name, values, tell} on an axis of its own on the right, or null
 */
export function createChart({ onStep }) {
  const still = svg("g"); // what does not change with the step
  const moving = svg("g");
  const picture = svg("svg", { role: "img", class: "etviz-plot" }, still, moving);
  const tip = createTooltip();
  const node = h("div", { class: "etviz-chart" }, picture, tip.node);
  const shown = { answer: null, scale: "change", band: null, second: null, step: 0 };
  let hover = null;
  let area = null; // {x, y, y2, last, left, right, top, bottom}: where things lie

  const kind = () => (shown.scale === "median" && !shown.band ? "change" : shown.scale);
  const bandOf = (line) => (kind() === "change" ? shown.band?.changes : shown.band?.values)?.[line.key] ?? [];

  /** Numbers over the steps as the axis shows them: minus what counts as zero there. */
  function shifted(line, numbers) {
    const [start, median] = [shown.answer[line.key][0], bandOf(line)[1]];
    const zero = { change: () => start, value: () => 0, median: (i) => median[i] }[kind()];
    return numbers.map((value, i) => (value === null || zero(i) === null ? null : value - zero(i)));
  }

  const values = (line) => shifted(line, shown.answer[line.key]);
  const quantiles = (line) =>
    kind() === "change" ? bandOf(line) : bandOf(line).map((numbers) => shifted(line, numbers));

  function drawAll() {
    const [width, height] = [node.clientWidth, node.clientHeight];
    if (!shown.answer || width < 60) return;
    const last = shown.answer.energy.length - 1;
    const count = height < 200 ? 3 : 5;
    const ticks = niceTicks(
      LINES.flatMap((line) => [...values(line), ...quantiles(line).flat()]),
      count,
    );
    const secondTicks = shown.second ? niceTicks(shown.second.values, count) : [];
    area = { last, ...areaWithin(shown.second ? SECOND : MARGIN, width, height) };
    area.x = linearScale([0, last], area.left, area.right);
    area.y = linearScale(ticks, area.bottom, area.top);
    area.y2 = linearScale(secondTicks, area.bottom, area.top);
    node.classList.toggle("has-second", shown.second !== null);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.setAttribute("aria-label", describe());
    still.replaceChildren(
      ...drawAxis(ticks),
      ...drawSecondAxis(secondTicks, width),
      ...LINES.flatMap(drawBand).reverse(),
      ...(shown.second ? [drawLine({ mark: "second" }, shown.second.values, area.y2)] : []),
      ...LINES.flatMap((line) => [...drawDots(line), drawLine(line, values(line), area.y)]).reverse(), // the total on top
      ...shown.answer.rises.flatMap(drawRise),
      ...drawOwnEnd(),
      ...drawSettled(),
    );
    drawMoving();
  }

  const upright = (name, x) => uprightLine(name, x, area);

  function drawAxis(ticks) {
    const labels = tickLabels(ticks);
    return ticks.flatMap((tick, i) => {
      const y = area.y(tick);
      return [
        acrossLine(tick === 0 ? "etviz-zero" : "etviz-rule", y, area),
        chartText("etviz-tick", area.left - 10, y + 4, labels[i]),
      ];
    });
  }

  function drawSecondAxis(ticks, width) {
    if (!shown.second) return [];
    const labels = tickLabels(ticks);
    const marks = ticks.map((tick, i) =>
      chartText("etviz-tick is-second", area.right + 10, area.y2(tick) + 4, labels[i], "start"),
    );
    return [
      ...marks,
      chartText("etviz-tick is-second", width - 2, 10, shown.second.name),
      chartText("etviz-tick", 0, 10, "Energy", "start"),
    ];
  }

  function drawBand(line) {
    if (!shown.band) return [];
    const [low, median, high] = quantiles(line);
    return [
      svg("path", {
        class: `etviz-median is-${line.mark}`,
        d: linePath(median, area.x, area.y),
        "data-median": line.mark,
      }),
      svg("path", {
        class: `etviz-band is-${line.mark}`,
        d: bandPath(low, high, area.x, area.y),
        "data-band": line.mark,
      }),
    ];
  }

  /** Mark where the descent goes beyond the steps it was trained with. */
  function drawOwnEnd() {
    const { steps, own } = shown.answer.settings;
    if (area.last <= own.steps || (area.last > steps && !shown.answer.settings.settle)) return []; // several blocks
    const x = area.x(own.steps);
    return [
      upright("etviz-own", x),
      chartText("etviz-tick etviz-note", x + 5, area.top + 14, `trained with ${own.steps} steps`, "start"),
    ];
  }

  function drawSettled() {
    if (!shown.answer.settings.settle) return [];
    const { settled } = shown.answer;
    const text = settled === null ? `not settled after ${area.last} steps` : `settled at step ${settled}`;
    return [chartText("etviz-tick etviz-note", area.right - 6, area.top + 14, text)];
  }

  const drawLine = (line, points, y) =>
    svg("path", { class: `etviz-line is-${line.mark}`, d: linePath(points, area.x, y), "data-line": line.mark });

  function dot(line, i, radius, y = area.y, value = values(line)[i]) {
    if (!Number.isFinite(value)) return [];
    return [svg("circle", { class: `etviz-dot is-${line.mark}`, cx: area.x(i), cy: y(value), r: radius })];
  }

  const drawDots = (line) =>
    (area.right - area.left) / area.last < DOT_PX ? [] : values(line).flatMap((_, i) => dot(line, i, 2));

  /** A triangle above each state whose energy is higher than the one before. */
  function drawRise(i) {
    const value = values(LINES[0])[i];
    if (!Number.isFinite(value)) return [];
    return [svg("path", { class: "etviz-rise", d: `M${area.x(i) - 5} ${area.y(value) - 9}h10l-5 -8z` })];
  }

  function drawMoving() {
    if (!area) return;
    const second = shown.second ? dot({ mark: "second" }, shown.step, 4, area.y2, shown.second.values[shown.step]) : [];
    moving.replaceChildren(
      ...(hover === null ? [] : [upright("etviz-ghost", area.x(hover))]),
      upright("etviz-now", area.x(shown.step)),
      ...second,
      ...LINES.flatMap((line) => dot(line, shown.step, 5)).reverse(),
    );
  }

  function describe() {
    const { energy } = shown.answer;
    return `Energy over ${energy.length - 1} steps: ${format(energy[0])} at the start, ${format(energy[energy.length - 1])} at the end.`;
  }

  const stepAt = (event) => {
    const place = (event.clientX - node.getBoundingClientRect().left - area.left) / (area.right - area.left);
    return clamp(Math.round(place * area.last), 0, area.last);
  };

  function tipRows() {
    const { second, band } = shown;
    const median = (line) => (band ? h("i", {}, line.tell(bandOf(line)[1][hover])) : null);
    return [
      h(
        "b",
        {},
        `Step ${hover}`,
        h("em", {}, `value, change since step 0${band ? `, median ${kind() === "change" ? "change" : "value"}` : ""}`),
      ),
      ...energies(shown.answer, hover).map((line) =>
        h(
          "span",
          { class: `is-${line.mark}` },
          line.name,
          h("i", {}, line.value),
          h("i", {}, line.change),
          median(line),
        ),
      ),
      ...(second
        ? [h("span", { class: "is-second" }, second.name, h("i", {}, second.tell(second.values[hover])))]
        : []),
    ];
  }

  function point(event) {
    if (!area) return;
    hover = stepAt(event);
    if (event.buttons & 1) onStep(hover);
    tip.show(...tipRows());
    tip.beside(area.x(hover), node.clientWidth);
    drawMoving();
  }

  function leave() {
    hover = null;
    tip.hide();
    drawMoving();
  }

  node.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") node.setPointerCapture(event.pointerId);
    point(event);
  });
  node.addEventListener("pointermove", point);
  node.addEventListener("pointerleave", leave);
  node.addEventListener("pointercancel", leave);
  new ResizeObserver(drawAll).observe(node);

  const setter = (name, redraw) => (value) => {
    shown[name] = value;
    redraw();
  };
  return {
    node,
    show: setter("answer", drawAll),
    step: setter("step", drawMoving),
    scale: setter("scale", drawAll),
    band: setter("band", drawAll),
    second: setter("second", drawAll),
  };
}

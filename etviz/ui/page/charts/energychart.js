/** The energy over the steps of a descent, as inline SVG. */

import { clamp, format, h, svg } from "../lib/tools.js";
import { areaWithin, linearScale, niceTicks } from "./axes.js";
import { drawMoving, drawStill } from "./energydrawing.js";
import { energies, energySeries, LINES } from "./energyseries.js";
import { createTooltip } from "./tooltip.js";

// Left and right as in .etviz-transport, so that the slider runs under the axis.
const MARGIN = { top: 10, right: 14, bottom: 6, left: 74 };
const SECOND = { ...MARGIN, top: 24, right: 70 }; // with an axis on the right

/**
 * Three lines over the steps. `onStep(step)` when the reader clicks or drags in it.
 *
 *   show(answer)      the descent, see payload.py
 *   step(step)        where the cursor stands
 *   scale(name)       see `energySeries`
 *   band(reading)     quantiles to draw behind, see readings/energy.py, or null
 *   second(measure)   {name, at(answer), tell} on an axis of its own on the right, or null; see `MEASURES`
 */
export function createChart({ onStep }) {
  const still = svg("g"); // what does not change with the step
  const moving = svg("g");
  const picture = svg("svg", { role: "img", class: "etviz-plot" }, still, moving);
  const tip = createTooltip();
  const node = h("div", { class: "etviz-chart" }, picture, tip.node);
  const shown = { answer: null, scale: "change", band: null, measure: null, second: null, step: 0 };
  let hover = null;
  let area = null; // see energydrawing.js

  function drawAll() {
    const [width, height] = [node.clientWidth, node.clientHeight];
    if (!shown.answer || width < 60) return;
    const series = energySeries(shown);
    const count = height < 200 ? 3 : 5;
    const all = LINES.flatMap((line) => [...series.values(line), ...series.quantiles(line).flat()]);
    const ticks = { ticks: niceTicks(all, count), secondTicks: niceTicks(shown.second?.values ?? [], count) };
    area = layOut(shown, ticks, width, height);
    node.classList.toggle("has-second", shown.second !== null);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.setAttribute("aria-label", describe(shown.answer));
    still.replaceChildren(...drawStill(shown, series, area, ticks));
    drawCursor();
  }

  function drawCursor() {
    if (area) moving.replaceChildren(...drawMoving(shown, energySeries(shown), area, hover));
  }

  const stepAt = (event) => {
    const place = (event.clientX - node.getBoundingClientRect().left - area.left) / (area.right - area.left);
    return clamp(Math.round(place * area.last), 0, area.last);
  };

  function point(event) {
    if (!area) return;
    hover = stepAt(event);
    if (event.buttons & 1) onStep(hover);
    tip.show(...tipRows(shown, hover));
    tip.beside(area.x(hover), node.clientWidth);
    drawCursor();
  }

  function leave() {
    hover = null;
    tip.hide();
    drawCursor();
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

  /** What follows from the descent and is not drawn anew with it: no step beyond its end, no line of another one. */
  function showDescent() {
    const { answer, measure } = shown;
    if (!answer) return;
    const last = answer.energy.length - 1;
    shown.step = Math.min(shown.step, last);
    if (hover > last) leave();
    shown.second = measure && { name: measure.name, values: measure.at(answer), tell: measure.tell };
    drawAll();
  }

  return {
    node,
    show: setter("answer", showDescent),
    step: setter("step", drawCursor),
    scale: setter("scale", drawAll),
    band: setter("band", drawAll),
    second: setter("measure", showDescent),
  };
}

function layOut({ answer, second }, { ticks, secondTicks }, width, height) {
  const area = areaWithin(second ? SECOND : MARGIN, width, height);
  const last = answer.energy.length - 1;
  return {
    ...area,
    width,
    last,
    x: linearScale([0, last], area.left, area.right),
    y: linearScale(ticks, area.bottom, area.top),
    y2: linearScale(secondTicks, area.bottom, area.top),
  };
}

function describe({ energy }) {
  const last = energy.length - 1;
  return `Energy over ${last} steps: ${format(energy[0])} at the start, ${format(energy[last])} at the end.`;
}

/** What the tooltip says of a step. */
function tipRows(shown, step) {
  const { answer, band, second } = shown;
  const series = energySeries(shown);
  const median = (line) => (band ? h("i", {}, line.tell(series.median(line, step))) : null);
  const what = band ? `, median ${series.kind === "change" ? "change" : "value"}` : "";
  const row = (line) =>
    h("span", { class: `is-${line.mark}` }, line.name, h("i", {}, line.value), h("i", {}, line.change), median(line));
  const last = second && h("span", { class: "is-second" }, second.name, h("i", {}, second.tell(second.values[step])));
  return [
    h("b", {}, `Step ${step}`, h("em", {}, `value, change since step 0${what}`)),
    ...energies(answer, step).map(row),
    ...(last ? [last] : []),
  ];
}

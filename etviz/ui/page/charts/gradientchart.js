/** The energy along minus the gradient from one state, as inline SVG. */

import { format, h, svg } from "../lib/tools.js";
import {
  acrossLine,
  areaWithin,
  chartText,
  linearScale,
  linePath,
  niceTicks,
  tickLabels,
  uprightLine,
} from "./axes.js";
import { createTooltip } from "./tooltip.js";

const ROOM = { top: 12, right: 14, bottom: 40, left: 78 };

const finitePoints = ({ sizes, energy, step_size }) =>
  sizes.map((size, i) => [size / step_size, energy[i]]).filter(([, value]) => value !== null);

/**
 *   show(reading)   see read_gradient_lines in etviz/ui/readings
 *   step(step)      from which state
 */
export function createGradientChart() {
  const picture = svg("svg", { role: "img", class: "etviz-plot" });
  const tip = createTooltip();
  const plot = h("div", { class: "etviz-field" }, picture, tip.node);
  const said = h("p", { class: "etviz-hint etviz-line-words" });
  const node = h("div", { class: "etviz-plotted" }, plot, said);
  let reading = null;
  let step = 0;
  let hover = null; // index of a point
  let area = null; // where things lie, and the scales x and y

  const line = () => reading.lines[Math.min(Math.floor(step / reading.every), reading.lines.length - 1)];

  function drawAll() {
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    if (!reading || width < 60) return;
    const points = finitePoints(line());
    if (!points.length) return picture.replaceChildren();
    const energies = points.map(([, value]) => value);
    const ticks = niceTicks(energies, 4);
    const ends = [points[0][0], points[points.length - 1][0]];
    area = areaWithin(ROOM, width, height);
    area.x = linearScale(ends, area.left, area.right);
    area.y = linearScale(ticks, area.bottom, area.top);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.replaceChildren(
      ...drawAxes(ticks, ends, height),
      svg("path", { class: "etviz-line is-total", d: linePath(energies, (i) => area.x(points[i][0]), area.y) }),
      ...marks(),
    );
  }

  /** @param {number[]} ticks @param {number[]} ends @param {number} height */
  function drawAxes(ticks, [first, last], height) {
    const labels = tickLabels(ticks);
    return [
      ...ticks.flatMap((tick, i) => [
        acrossLine("etviz-rule", area.y(tick), area),
        chartText("etviz-tick", area.left - 8, area.y(tick) + 4, labels[i]),
      ]),
      ...wholeNumbers(first, last).map((size) =>
        chartText("etviz-tick", area.x(size), area.bottom + 17, format(size, 1), "middle"),
      ),
      chartText("etviz-tick", (area.left + area.right) / 2, height - 4, "step sizes along −∂E/∂g", "middle"),
    ];
  }

  const wholeNumbers = (first, last) => {
    const start = Math.ceil(first - 1e-6);
    return Array.from({ length: Math.floor(last + 1e-6) - start + 1 }, (_, i) => start + i);
  };

  /** Where the state is, where its step led, and the point under the pointer. */
  function marks() {
    const { x, y } = area;
    const { energy_here: here, energy_next: next, moved } = line();
    const pointed = hover === null ? null : finitePoints(line())[hover];
    return [
      uprightLine("etviz-now", x(0), area),
      moved && next !== null ? svg("circle", { class: "etviz-went", cx: x(1), cy: y(next), r: 6 }) : null,
      here !== null ? svg("circle", { class: "etviz-here", cx: x(0), cy: y(here), r: 6 }) : null,
      pointed ? svg("circle", { class: "etviz-dot is-total", cx: x(pointed[0]), cy: y(pointed[1]), r: 4 }) : null,
    ].filter((mark) => mark !== null);
  }

  function words() {
    const { step: from, step_size: size, energy_here: here, energy_next: next, moved } = line();
    const start = `● State ${from}: energy ${format(here, 6)}. `;
    const lowest = finitePoints(line()).reduce((best, point) => (point[1] < best[1] ? point : best), [0, Infinity]);
    const least =
      lowest[0] >= 4 - 1e-6
        ? "The energy still falls at the end of this line."
        : `Lowest here: ${format(lowest[0], 3)} step sizes ahead.`;
    const taken = moved
      ? `○ Its step of ${format(size, 3)} led to ${format(next, 6)}. `
      : "No step was taken from here. ";
    return Number.isFinite(lowest[1]) ? start + taken + least : "The energy is not finite here.";
  }

  function point(event) {
    if (!reading || !area) return;
    const points = finitePoints(line());
    const at = event.clientX - plot.getBoundingClientRect().left;
    const far = points.map(([a]) => Math.abs(area.x(a) - at));
    hover = far.length ? far.indexOf(Math.min(...far)) : null;
    if (hover === null) return;
    const [a, value] = points[hover];
    tip.show(
      h("b", {}, `${format(a, 3)} step sizes`),
      h("span", { class: "is-total" }, "Energy", h("i", {}, format(value, 6))),
    );
    tip.beside(area.x(a), plot.clientWidth);
    drawAll();
  }

  function leave() {
    hover = null;
    tip.hide();
    drawAll();
  }

  function update() {
    if (!reading) return;
    said.textContent = words();
    picture.setAttribute("aria-label", `Energy along minus the gradient. ${said.textContent}`);
    drawAll();
  }

  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", leave);
  new ResizeObserver(drawAll).observe(plot);

  return {
    node,
    show(next) {
      reading = next;
      leave();
      update();
    },
    step(next) {
      step = next;
      update();
    },
  };
}

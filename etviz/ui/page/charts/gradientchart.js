/** The energy along minus the gradient from one state, as inline SVG. */

import { clamp, fixed, format, h, svg } from "../lib/tools.js";
import { niceTicks } from "./axes.js";

const ROOM = { top: 12, right: 14, bottom: 40, left: 78 };

const finitePoints = ({ sizes, energy, step_size }) =>
  sizes.map((size, i) => [size / step_size, energy[i]]).filter(([, value]) => value !== null);

/** A tick's number with as many decimals as tell it from its neighbours. */
const tickText = (tick, ticks) =>
  fixed(tick, clamp(Math.ceil(-Math.log10(Math.abs(ticks[1] - ticks[0])) + 0.001), 0, 6));

/**
 *   show(reading)   see read_gradient_lines in etviz/ui/readings
 *   step(step)      from which state
 */
export function createGradientChart() {
  const picture = svg("svg", { role: "img", class: "etviz-plot" });
  const tip = h("div", { class: "etviz-tip", hidden: true });
  const plot = h("div", { class: "etviz-field" }, picture, tip);
  const said = h("p", { class: "etviz-hint etviz-line-words" });
  const node = h("div", { class: "etviz-plotted" }, plot, said);
  let reading = null;
  let step = 0;
  let hover = null; // index of a point
  let [x, y] = [Number, Number];

  const line = () => reading.lines[Math.min(Math.floor(step / reading.every), reading.lines.length - 1)];

  function drawAll() {
    const [width, height] = [plot.clientWidth, plot.clientHeight];
    if (!reading || width < 60) return;
    const points = finitePoints(line());
    if (!points.length) return picture.replaceChildren();
    const energies = points.map(([, value]) => value);
    const ticks = niceTicks(energies, 4);
    const [low, high] = [ticks[0], ticks[ticks.length - 1]];
    const [first, last] = [points[0][0], points[points.length - 1][0]];
    x = (size) => ROOM.left + ((size - first) / (last - first || 1)) * (width - ROOM.left - ROOM.right);
    y = (value) => ROOM.top + ((high - value) / (high - low || 1)) * (height - ROOM.top - ROOM.bottom);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.replaceChildren(
      ...ticks.flatMap((tick) => [
        svg("line", { class: "etviz-rule", x1: x(first), x2: x(last), y1: y(tick), y2: y(tick) }),
        svg(
          "text",
          { class: "etviz-tick", x: x(first) - 8, y: y(tick) + 4, "text-anchor": "end" },
          tickText(tick, ticks),
        ),
      ]),
      ...wholeNumbers(first, last).map((size) =>
        svg(
          "text",
          { class: "etviz-tick", x: x(size), y: height - ROOM.bottom + 17, "text-anchor": "middle" },
          format(size, 1),
        ),
      ),
      svg(
        "text",
        { class: "etviz-tick", x: (x(first) + x(last)) / 2, y: height - 4, "text-anchor": "middle" },
        "step sizes along −∂E/∂g",
      ),
      svg("path", {
        class: "etviz-line is-total",
        d: points.map(([a, value], i) => `${i ? "L" : "M"}${x(a)} ${y(value)}`).join(""),
      }),
      ...marks(height),
    );
  }

  const wholeNumbers = (first, last) => {
    const start = Math.ceil(first - 1e-6);
    return Array.from({ length: Math.floor(last + 1e-6) - start + 1 }, (_, i) => start + i);
  };

  /** Where the state is, where its step led, and what the pointer is on. */
  function marks(height) {
    const { energy_here: here, energy_next: next, moved } = line();
    const upright = (size, name) =>
      svg("line", { class: name, x1: x(size), x2: x(size), y1: ROOM.top, y2: height - ROOM.bottom });
    const pointed = hover === null ? null : finitePoints(line())[hover];
    return [
      upright(0, "etviz-now"),
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
        : `Lowest here: ${format(lowest[0], 3)} step sizes on.`;
    const taken = moved
      ? `○ Its step of ${format(size, 3)} led to ${format(next, 6)}. `
      : "No step was taken from here. ";
    return Number.isFinite(lowest[1]) ? start + taken + least : "The energy is no finite number here.";
  }

  function point(event) {
    if (!reading) return;
    const points = finitePoints(line());
    const at = event.clientX - plot.getBoundingClientRect().left;
    const far = points.map(([a]) => Math.abs(x(a) - at));
    hover = far.length ? far.indexOf(Math.min(...far)) : null;
    if (hover === null) return;
    const [a, value] = points[hover];
    tip.hidden = false;
    tip.replaceChildren(
      h("b", {}, `${format(a, 3)} step sizes`),
      h("span", { class: "is-total" }, "Energy", h("i", {}, format(value, 6))),
    );
    const left = x(a) + 12;
    tip.style.left = `${left + tip.offsetWidth > plot.clientWidth ? x(a) - tip.offsetWidth - 12 : left}px`;
    drawAll();
  }

  function leave() {
    hover = null;
    tip.hidden = true;
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

/** The energy over the steps of a descent, as inline SVG. */

import { clamp, decimalsFor, fixed, format, h, svg } from "./tools.js";

export const LINES = [
  { key: "energy", name: "Total", mark: "total" },
  { key: "attention_energy", name: "Attention", mark: "attention" },
  { key: "hopfield_energy", name: "Hopfield", mark: "hopfield" },
];
// Left and right as in .etviz-transport: the slider runs under the axis.
const MARGIN = { top: 10, right: 14, bottom: 6, left: 74 };

/** The energies of one step, all with as many decimals as suit the largest. */
export function energies(answer, step) {
  const decimals = decimalsFor(Math.max(...LINES.map((line) => Math.abs(answer[line.key][step]))), 6);
  return LINES.map((line) => ({
    ...line,
    value: fixed(answer[line.key][step], decimals),
    change: fixed(answer[line.key][step] - answer[line.key][0], decimals),
  }));
}

/** About `count` round numbers that cover low..high. */
export function niceTicks(low, high, count) {
  const rough = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let i = Math.floor(low / step); i <= Math.ceil(high / step); i++) ticks.push(i * step);
  return ticks;
}

/** Three lines over the steps as inline SVG. `onStep(step)` when the reader clicks or drags in it. */
export function createChart({ onStep }) {
  const picture = svg("svg", { role: "img", class: "etviz-plot" });
  const tip = h("div", { class: "etviz-tip", hidden: true });
  const node = h("div", { class: "etviz-chart" }, picture, tip);
  let answer = null;
  let relative = true;
  let step = 0;
  let hover = null;
  let x = (value) => value;

  const values = (line) => answer[line.key].map((value) => value - (relative ? answer[line.key][0] : 0));

  function drawAll() {
    const [width, height] = [node.clientWidth, node.clientHeight];
    if (!answer || width < 60) return;
    const last = answer.energy.length - 1;
    const all = LINES.flatMap(values);
    const ticks = niceTicks(Math.min(...all), Math.max(...all), height < 200 ? 3 : 5);
    const [low, high] = [ticks[0], ticks[ticks.length - 1]];
    x = (value) => MARGIN.left + (value / last) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => MARGIN.top + ((high - value) / (high - low || 1)) * (height - MARGIN.top - MARGIN.bottom);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.setAttribute("aria-label", describe());
    picture.replaceChildren(
      ...ticks.flatMap((tick) => [
        svg("line", { class: tick === 0 ? "etviz-zero" : "etviz-rule", x1: x(0), x2: x(last), y1: y(tick), y2: y(tick) }),
        svg("text", { class: "etviz-tick", x: x(0) - 10, y: y(tick) + 4, "text-anchor": "end" }, label(tick, ticks)),
      ]),
      ...cursor(hover, "etviz-ghost", height),
      ...cursor(step, "etviz-now", height),
      ...LINES.flatMap((line) => drawLine(line, y)).reverse(), // the total last, on top
      ...answer.rises.map((i) => rise(x(i), y(values(LINES[0])[i]))),
    );
  }

  /** A triangle above each state that lies higher than the one before. */
  const rise = (cx, cy) => svg("path", { class: "etviz-rise", d: `M${cx - 5} ${cy - 9}h10l-5 -8z` });

  function cursor(at, name, height) {
    if (at === null) return [];
    return [svg("line", { class: name, x1: x(at), x2: x(at), y1: MARGIN.top, y2: height - MARGIN.bottom })];
  }

  function drawLine(line, y) {
    const points = values(line);
    const path = points.map((value, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    return [
      ...points.map((value, i) =>
        svg("circle", { class: `etviz-dot is-${line.mark}`, cx: x(i), cy: y(value), r: i === step ? 5 : 2 }),
      ),
      svg("path", { class: `etviz-line is-${line.mark}`, d: path, "data-line": line.mark }),
    ];
  }

  function label(tick, ticks) {
    const gap = Math.abs(ticks[1] - ticks[0]);
    if (gap >= 2e5) return tick === 0 ? "0" : `${fixed(tick / 1e6, 2)} M`; // seven digits have no room
    const decimals = clamp(Math.ceil(-Math.log10(gap) + 0.001), 0, 6);
    return fixed(tick, decimals);
  }

  function describe() {
    const [first, last] = [answer.energy[0], answer.energy[answer.energy.length - 1]];
    return `Energy over ${answer.energy.length - 1} steps: ${format(first)} at the start, ${format(last)} at the end.`;
  }

  const stepAt = (event) => {
    const box = node.getBoundingClientRect();
    const last = answer.energy.length - 1;
    return clamp(Math.round(((event.clientX - box.left - x(0)) / (x(last) - x(0))) * last), 0, last);
  };

  function point(event) {
    if (!answer) return;
    hover = stepAt(event);
    if (event.buttons & 1) onStep(hover);
    tip.hidden = false;
    tip.replaceChildren(
      h("b", {}, `Step ${hover}`, h("em", {}, "value, and change since step 0")),
      ...energies(answer, hover).map((line) =>
        h("span", { class: `is-${line.mark}` }, line.name, h("i", {}, line.value), h("i", {}, line.change)),
      ),
    );
    tip.style.left = `${clamp(x(hover) + 12, 0, node.clientWidth - tip.offsetWidth - 4)}px`;
    if (x(hover) + 12 + tip.offsetWidth > node.clientWidth) tip.style.left = `${x(hover) - tip.offsetWidth - 12}px`;
    drawAll();
  }

  function leave() {
    hover = null;
    tip.hidden = true;
    drawAll();
  }

  node.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") node.setPointerCapture(event.pointerId);
    point(event);
  });
  node.addEventListener("pointermove", point);
  node.addEventListener("pointerleave", leave);
  node.addEventListener("pointercancel", leave);
  new ResizeObserver(drawAll).observe(node);

  return {
    node,
    show(next) {
      answer = next;
      drawAll();
    },
    step(next) {
      step = next;
      drawAll();
    },
    relative(next) {
      relative = next;
      drawAll();
    },
  };
}

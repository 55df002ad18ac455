/** The share of a whole that its largest parts carry together: curves over the number of parts, read at one number. */

import { clamp, h, svg } from "../lib/tools.js";
import { acrossLine, areaWithin, chartText, linearScale, uprightLine } from "./axes.js";

const CURVE_MARGIN = { top: 8, right: 14, bottom: 20, left: 44 };
const MOST_POINTS = 200; // of a curve as drawn

/** The share of the sum, 0 to 1, that the n largest of `values` carry, for n = 0 to all. */
export function cumulated(values) {
  const sorted = Float64Array.from(values, Math.abs).sort().reverse();
  const sums = [0];
  for (const value of sorted) sums.push(sums[sums.length - 1] + value);
  const total = sums[sums.length - 1] || 1;
  return sums.map((sum) => sum / total);
}

/**
 * `onNumber(n)` when the reader points at another number, 1 to all.
 *
 *   show(curves, n, words)   [{mark, shares}], see `cumulated`, read at n; `mark` names a colour in the style sheet
 */
export function createCurve({ label, onNumber }) {
  const picture = svg("svg", { class: "etviz-plot", "aria-hidden": "true" });
  const slider = h("input", {
    type: "range",
    min: 1,
    step: 1,
    "aria-label": label,
    input: () => onNumber(Number(slider.value)),
  });
  const plot = h("div", { class: "etviz-curve-plot" }, picture);
  const node = h("div", { class: "etviz-curve" }, plot, slider);
  let curves = [];
  let number = 1;
  let [width, height] = [0, 0]; // kept, because asking for them forces a layout

  function drawAll() {
    if (!curves.length || width < 60) return;
    const all = curves[0].shares.length - 1;
    const area = areaWithin(CURVE_MARGIN, width, height);
    const x = linearScale([0, all], area.left, area.right);
    const y = linearScale([0, 1], area.bottom, area.top);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.replaceChildren(
      ...[0, 0.5, 1].flatMap((share) => [
        acrossLine(share ? "etviz-rule" : "etviz-zero", y(share), area),
        chartText("etviz-tick", area.left - 8, y(share) + 4, `${100 * share}%`),
      ]),
      ...[0, 0.25, 0.5, 0.75, 1].map((part) =>
        chartText("etviz-tick", x(part * all), height - 4, String(Math.round(part * all)), "middle"),
      ),
      svg("line", { class: "etviz-ghost", x1: x(0), x2: x(all), y1: y(0), y2: y(1) }), // if all were equal
      uprightLine("etviz-now", x(number), area),
      ...curves.map(({ mark, shares }) => drawCurve(mark, shares, x, y)),
      ...curves.map(({ mark, shares }) =>
        svg("circle", { class: `etviz-dot is-${mark}`, cx: x(number), cy: y(shares[number]) || 0, r: 4 }),
      ),
    );
  }

  function drawCurve(mark, shares, x, y) {
    const every = Math.ceil(shares.length / MOST_POINTS);
    const points = [];
    for (let n = 0; n < shares.length - 1; n += every)
      points.push(`${x(n).toFixed(1)} ${(y(shares[n]) || 0).toFixed(1)}`);
    points.push(`${x(shares.length - 1)} ${y(shares[shares.length - 1]) || 0}`);
    return svg("path", { class: `etviz-line is-${mark}`, d: `M${points.join("L")}`, "data-line": mark });
  }

  function point(event) {
    if (!curves.length || !(event.buttons & 1)) return;
    const box = plot.getBoundingClientRect();
    const all = curves[0].shares.length - 1;
    const share = (event.clientX - box.left - CURVE_MARGIN.left) / (box.width - CURVE_MARGIN.left - CURVE_MARGIN.right);
    onNumber(clamp(Math.round(share * all), 1, all));
  }

  plot.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse") plot.setPointerCapture(event.pointerId);
    point(event);
  });
  plot.addEventListener("pointermove", point);
  const observer = new ResizeObserver(() => {
    [width, height] = [plot.clientWidth, plot.clientHeight];
    drawAll();
  });
  observer.observe(plot);

  return {
    node,
    show(next, n, words) {
      [curves, number] = [next, n];
      slider.max = curves[0].shares.length - 1;
      slider.value = n;
      slider.style.setProperty("--share", (n - 1) / Math.max(slider.max - 1, 1));
      slider.setAttribute("aria-valuetext", words);
      drawAll();
    },
  };
}

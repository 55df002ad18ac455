/** Curves over one axis as inline SVG, read by hovering over them or with the arrow keys. */

import { clamp, decimalsFor, fixed, h, svg } from "../lib/tools.js";
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

const EDGE = { top: 8, right: 12, bottom: 22, left: 52 };
const NUMBER_GAP = 28; // fewest pixels between two numbers under the axis

/**
 * `label` names the values, `axis` what they are drawn over ("Step"); `tell(value)` puts a value into words.
 * `onPick(x)` when the reader clicks or presses Enter.
 *
 *   show(series)   [{name, mark, points: [[x, y or null], ...]}], drawn in the colour of the class is-`mark`
 *   at(x)          a line at x, or null for none
 */
export function createLines({ label, axis, tell, onPick = null }) {
  const picture = svg("svg", { role: "img", class: "etviz-plot", "aria-label": label });
  const tip = createTooltip();
  const node = h(
    "div",
    {
      class: `etviz-lines ${onPick ? "is-choosing" : ""}`,
      tabindex: 0,
      role: "group",
      "aria-label": `${label}: arrow keys read its values`,
    },
    picture,
    tip.node,
  );
  let series = [];
  let places = []; // every x that has a value, in order
  let now = null;
  let hover = null; // index into places
  let area = null; // where things lie, and the scales x and y

  const extent = (values) => [Math.min(...values), Math.max(...values)];

  function drawAll() {
    const [width, height] = [node.clientWidth, node.clientHeight];
    const all = series.flatMap(({ points }) => points.map(([, value]) => value)).filter((value) => value !== null);
    if (width < 60 || !all.length) return picture.replaceChildren();
    const ticks = niceTicks(extent(all), height < 150 ? 2 : 4);
    const ends = extent([0, ...places]);
    area = areaWithin(EDGE, width, height);
    area.x = linearScale(ends, area.left, area.right);
    area.y = linearScale(ticks, area.bottom, area.top);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.replaceChildren(
      ...numbersAtLeft(ticks),
      ...numbersBelow(ends, height),
      ...(hover === null ? [] : [uprightLine("etviz-ghost", area.x(places[hover]), area)]),
      ...(now === null || now > ends[1] ? [] : [uprightLine("etviz-now", area.x(now), area)]),
      ...series.flatMap(drawLine),
    );
  }

  function numbersAtLeft(ticks) {
    const labels = tickLabels(ticks, { narrow: true });
    return ticks.flatMap((tick, i) => [
      acrossLine(tick === 0 ? "etviz-zero" : "etviz-rule", area.y(tick), area),
      chartText("etviz-tick", area.left - 8, area.y(tick) + 4, labels[i]),
    ]);
  }

  /** @param {number[]} ends @param {number} height */
  function numbersBelow([first, last], height) {
    const room = Math.max(2, Math.floor((area.right - area.left) / NUMBER_GAP));
    const inside = niceTicks([first, last], Math.min(room, 8)).filter((tick) => tick >= first && tick <= last);
    const labels = tickLabels(inside, { narrow: true });
    return inside.map((tick, i) => chartText("etviz-tick", area.x(tick), height - 5, labels[i], "middle"));
  }

  /** One path, broken where there is no value, and a dot for each value. */
  function drawLine({ mark, points }) {
    const values = points.map(([, value]) => value);
    const path = linePath(values, (i) => area.x(points[i][0]), area.y);
    const dots = points.filter(([, value]) => value !== null);
    return [
      svg("path", { class: `etviz-line is-${mark}`, d: path, "data-curve": mark }),
      ...dots.map(([at, value]) =>
        svg("circle", { class: `etviz-dot is-${mark}`, cx: area.x(at), cy: area.y(value), r: at === now ? 4.5 : 2 }),
      ),
    ];
  }

  function point(index) {
    hover = index;
    const at = places[index];
    const valueAt = ({ points }) => points.find(([place]) => place === at)?.[1] ?? null;
    tip.show(
      h("b", {}, `${axis} ${fixed(at, Math.min(decimalsFor(at, 3), Number.isInteger(at) ? 0 : 2))}`),
      ...series.map((line) =>
        h(
          "span",
          { class: `is-${line.mark}` },
          line.name,
          h("i", {}, valueAt(line) === null ? "–" : tell(valueAt(line))),
        ),
      ),
    );
    tip.beside(area.x(at), node.clientWidth);
    drawAll();
  }

  function leave() {
    hover = null;
    tip.hide();
    drawAll();
  }

  function nearest(event) {
    const at = event.clientX - node.getBoundingClientRect().left;
    const far = places.map((place) => Math.abs(area.x(place) - at));
    return far.indexOf(Math.min(...far));
  }

  node.addEventListener("pointermove", (event) => area && places.length && point(nearest(event)));
  node.addEventListener("pointerleave", leave);
  node.addEventListener("blur", leave);
  node.addEventListener("click", (event) => area && places.length && onPick?.(places[nearest(event)]));
  node.addEventListener("keydown", (event) => {
    const last = places.length - 1;
    const moves = { ArrowLeft: (hover ?? last + 1) - 1, ArrowRight: (hover ?? -1) + 1, Home: 0, End: last };
    if (event.key === "Enter" && hover !== null) onPick?.(places[hover]);
    if (!area || last < 0 || !(event.key in moves)) return;
    event.preventDefault();
    point(clamp(moves[event.key], 0, last));
  });
  new ResizeObserver(drawAll).observe(node);

  return {
    node,
    show(next) {
      series = next;
      places = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
      if (hover !== null && hover >= places.length) leave();
      else drawAll();
    },
    at(value) {
      now = value;
      drawAll();
    },
  };
}

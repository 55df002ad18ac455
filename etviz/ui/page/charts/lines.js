/** Curves over one axis as inline SVG, read by hovering over them or with the arrow keys. */

import { clamp, decimalsFor, fixed, h, svg } from "../lib/tools.js";
import { niceTicks } from "./axes.js";

const EDGE = { top: 8, right: 12, bottom: 22, left: 52 };
const NUMBER_GAP = 28; // pixels between two numbers under the axis, at least

/** How to write ticks: all with the decimals that the finest of them needs, thousands as k. */
function tickTexts(ticks) {
  const unit = Math.max(...ticks.map(Math.abs)) >= 10000 ? 1000 : 1;
  const rest = (value) => Math.abs(value - Math.round(value));
  const whole = (decimals) => ticks.every((tick) => rest((tick / unit) * 10 ** decimals) < 1e-6);
  const decimals = [0, 1, 2, 3, 4, 5].find(whole) ?? 6;
  return ticks.map((tick) => `${fixed(tick / unit, decimals)}${unit > 1 && tick ? " k" : ""}`);
}

/**
 * `label` names what is drawn; `axis` what it is drawn over ("Step"); `tell(value)` says a value in words. `onPick(x)` when
 * the reader clicks, or presses Enter.
 *
 *   show(series)   [{name, mark, points: [[x, y or null], ...]}], drawn in the colour of the class is-`mark`
 *   at(x)          a line at x, or null for none
 */
export function createLines({ label, axis, tell, onPick = null }) {
  const picture = svg("svg", { role: "img", class: "etviz-plot", "aria-label": label });
  const tip = h("div", { class: "etviz-tip", hidden: true });
  const node = h(
    "div",
    {
      class: `etviz-lines ${onPick ? "is-choosing" : ""}`,
      tabindex: 0,
      role: "group",
      "aria-label": `${label}: arrow keys read its values`,
    },
    picture,
    tip,
  );
  let series = [];
  let places = []; // every x that has a value, in order
  let now = null;
  let hover = null; // index into places
  let x = (value) => value;

  const extent = (values) => [Math.min(...values), Math.max(...values)];

  function drawAll() {
    const [width, height] = [node.clientWidth, node.clientHeight];
    const all = series.flatMap(({ points }) => points.map(([, value]) => value)).filter((value) => value !== null);
    if (width < 60 || !all.length) return picture.replaceChildren();
    const ticks = niceTicks(extent(all), height < 150 ? 2 : 4);
    const [low, high] = extent(ticks);
    const [first, last] = extent([0, ...places]);
    x = (value) => EDGE.left + ((value - first) / (last - first || 1)) * (width - EDGE.left - EDGE.right);
    const y = (value) => EDGE.top + ((high - value) / (high - low || 1)) * (height - EDGE.top - EDGE.bottom);
    const across = { x1: EDGE.left, x2: width - EDGE.right };
    const upright = (at, name) =>
      svg("line", { class: name, x1: x(at), x2: x(at), y1: EDGE.top, y2: height - EDGE.bottom });
    const texts = tickTexts(ticks);
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.replaceChildren(
      ...ticks.flatMap((tick, i) => [
        svg("line", { class: tick === 0 ? "etviz-zero" : "etviz-rule", ...across, y1: y(tick), y2: y(tick) }),
        svg("text", { class: "etviz-tick", x: EDGE.left - 8, y: y(tick) + 4, "text-anchor": "end" }, texts[i]),
      ]),
      ...numbersBelow(first, last, width, height),
      ...(hover === null ? [] : [upright(places[hover], "etviz-ghost")]),
      ...(now === null || now > last ? [] : [upright(now, "etviz-now")]),
      ...series.flatMap((line) => drawLine(line, y)),
    );
  }

  function numbersBelow(first, last, width, height) {
    const room = Math.max(2, Math.floor((width - EDGE.left - EDGE.right) / NUMBER_GAP));
    const inside = niceTicks([first, last], Math.min(room, 8)).filter((tick) => tick >= first && tick <= last);
    const texts = tickTexts(inside);
    return inside.map((tick, i) =>
      svg("text", { class: "etviz-tick", x: x(tick), y: height - 5, "text-anchor": "middle" }, texts[i]),
    );
  }

  /** One path, broken where there is no value, and a dot for each value. */
  function drawLine({ mark, points }, y) {
    let pen = "M";
    const path = points.map(([at, value]) => {
      const part = value === null ? "" : `${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = value === null ? "M" : "L";
      return part;
    });
    const dots = points.filter(([, value]) => value !== null);
    return [
      svg("path", { class: `etviz-line is-${mark}`, d: path.join(""), "data-curve": mark }),
      ...dots.map(([at, value]) =>
        svg("circle", { class: `etviz-dot is-${mark}`, cx: x(at), cy: y(value), r: at === now ? 4.5 : 2 }),
      ),
    ];
  }

  function point(index) {
    hover = index;
    const at = places[index];
    const valueAt = ({ points }) => points.find(([place]) => place === at)?.[1] ?? null;
    tip.hidden = false;
    tip.replaceChildren(
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
    const left = x(at) + 12;
    tip.style.left = `${left + tip.offsetWidth > node.clientWidth ? Math.max(0, x(at) - tip.offsetWidth - 12) : left}px`;
    drawAll();
  }

  function leave() {
    hover = null;
    tip.hidden = true;
    drawAll();
  }

  function nearest(event) {
    const at = event.clientX - node.getBoundingClientRect().left;
    return places.reduce((best, place, i) => (Math.abs(x(place) - at) < Math.abs(x(places[best]) - at) ? i : best), 0);
  }

  node.addEventListener("pointermove", (event) => places.length && point(nearest(event)));
  node.addEventListener("pointerleave", leave);
  node.addEventListener("blur", leave);
  node.addEventListener("click", (event) => places.length && onPick?.(places[nearest(event)]));
  node.addEventListener("keydown", (event) => {
    const last = places.length - 1;
    const moves = { ArrowLeft: (hover ?? last + 1) - 1, ArrowRight: (hover ?? -1) + 1, Home: 0, End: last };
    if (event.key === "Enter" && hover !== null) onPick?.(places[hover]);
    if (last < 0 || !(event.key in moves)) return;
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

/** The energy on the plane of a descent's path: colours on a canvas, contours and paths as SVG over it. */

import { bilinear, contour } from "../lib/contours.js";
import { viridis } from "../lib/pixels.js";
import { clamp, floats, format, h, svg } from "../lib/tools.js";
import { createTooltip } from "./tooltip.js";

const LEVELS = 12; // contours
const NEAR = 12; // pixels from a state that count as on it
const SHARPNESS = 2; // pixels of the page for each of the canvas, since the energy is smooth

/**
 * `onStep(step)` when the reader clicks a state of the path.
 *
 *   show(reading)   see read_energy_plane in etviz/ui/readings
 *   runs(list)      further paths: {path, same_basin}
 *   step(step)      the state to mark
 */
export function createPlaneChart({ onStep }) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const picture = svg("svg", { role: "img", class: "etviz-plot" });
  const tip = createTooltip();
  const node = h("div", { class: "etviz-field etviz-plane" }, canvas, picture, tip.node);
  let plane = null; // the reading, with its energy as numbers under `grid`, and its range
  let runs = [];
  let step = 0;
  let area = null; // [[low, high], [low, high]] of both coordinates

  function show(reading) {
    const grid = floats(reading.energy);
    const known = [...grid].filter(Number.isFinite);
    plane = { ...reading, grid, low: Math.min(...known), high: Math.max(...known) };
    runs = [];
    frame();
    return plane;
  }

  /** Make room for the grid, and for paths that leave it. */
  function frame() {
    const range = (axis, index) => {
      const all = [...axis, ...runs.flatMap((run) => run.path.map((place) => place[index]))];
      return [Math.min(...all), Math.max(...all)];
    };
    area = [range(plane.first, 0), range(plane.second, 1)];
    drawAll();
  }

  const across = (a) => ((a - area[0][0]) / (area[0][1] - area[0][0])) * node.clientWidth;
  const up = (b) => (1 - (b - area[1][0]) / (area[1][1] - area[1][0])) * node.clientHeight;
  const onPage = ([a, b]) => [across(a), up(b)];

  function drawAll() {
    if (!plane || node.clientWidth < 60) return;
    drawEnergy();
    drawPaths();
  }

  function drawEnergy() {
    const [width, height] = [node.clientWidth, node.clientHeight].map((length) => Math.ceil(length / SHARPNESS));
    Object.assign(canvas, { width, height });
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const value = bilinear(plane, fromPage(((i % width) + 0.5) / width, (Math.floor(i / width) + 0.5) / height));
      if (Number.isFinite(value) && value !== null) image.data.set([...share(value), 255], 4 * i);
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  const share = (value) => viridis((value - plane.low) / (plane.high - plane.low || 1));
  const fromPage = (right, down) => [
    area[0][0] + right * (area[0][1] - area[0][0]),
    area[1][1] - down * (area[1][1] - area[1][0]),
  ];

  const trail = (places) =>
    places
      .map(
        (place, i) =>
          `${i ? "L" : "M"}${onPage(place)
            .map((n) => n.toFixed(1))
            .join(" ")}`,
      )
      .join("");

  function contours() {
    const levels = Array.from(
      { length: LEVELS - 1 },
      (_, i) => plane.low + ((i + 1) / LEVELS) * (plane.high - plane.low),
    );
    return svg("path", {
      class: "etviz-contour",
      d: levels.flatMap((level) => contour(plane, level).map(trail)).join(""),
    });
  }

  function drawPaths() {
    picture.setAttribute("viewBox", `0 0 ${node.clientWidth} ${node.clientHeight}`);
    picture.setAttribute("aria-label", describe());
    picture.replaceChildren(contours(), ...runs.flatMap(drawRun), ...drawPath());
  }

  function drawRun(run) {
    const name = run.same_basin ? "is-same" : "is-other";
    if (!run.path.length) return [];
    const [cx, cy] = onPage(run.path[run.path.length - 1]);
    const end = run.same_basin
      ? svg("circle", { class: `etviz-run-end ${name}`, cx, cy, r: 4 })
      : svg("path", { class: `etviz-run-end ${name}`, d: `M${cx - 4} ${cy - 4}l8 8m0 -8l-8 8` });
    return [svg("path", { class: `etviz-run ${name}`, d: trail(run.path) }), end];
  }

  function drawPath() {
    const now = plane.steps.indexOf(step);
    return [
      svg("path", { class: "etviz-path-under", d: trail(plane.path) }),
      svg("path", { class: "etviz-path", d: trail(plane.path) }),
      ...plane.path.map((place, i) => {
        const [cx, cy] = onPage(place);
        return svg("circle", {
          class: i === now ? "etviz-path-now" : "etviz-path-dot",
          cx,
          cy,
          r: i === now ? 7 : 3,
          "data-step": plane.steps[i],
        });
      }),
      ...[0, plane.path.length - 1].map((i) => {
        const [cx, cy] = onPage(plane.path[i]);
        const left = cx > node.clientWidth / 2;
        return svg(
          "text",
          {
            class: "etviz-path-name",
            x: cx + (left ? -10 : 10),
            y: clamp(cy - 9, 14, node.clientHeight - 6),
            "text-anchor": left ? "end" : "start",
          },
          `step ${plane.steps[i]}`,
        );
      }),
    ];
  }

  function describe() {
    const [one, two] = plane.variance.map((held) => `${(100 * held).toFixed(1)}%`);
    return `Energy on the plane of the path's first two principal components, which hold ${one} and ${two} of its variance: from ${format(plane.low)} to ${format(plane.high)}.`;
  }

  /** The index of the path's state under the pointer, or -1. */
  function stateAt(left, top) {
    const far = plane.path.map((place) => Math.hypot(across(place[0]) - left, up(place[1]) - top));
    const nearest = far.indexOf(Math.min(...far));
    return far[nearest] <= NEAR ? nearest : -1;
  }

  function point(event) {
    if (!plane) return;
    const box = node.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    const state = stateAt(left, top);
    const place = fromPage(left / box.width, top / box.height);
    const value = bilinear(plane, place);
    node.classList.toggle("is-on-state", state >= 0);
    if (event.type === "pointerdown" && state >= 0) onStep(plane.steps[state]);
    const row = (name, number) => h("span", {}, name, h("i", {}, number));
    tip.show(
      h("b", {}, state >= 0 ? `State ${plane.steps[state]}` : "On the plane"),
      ...(state >= 0 ? [row("Its own energy", format(plane.path_energy[state], 6))] : []),
      row("Energy on the plane", value === null ? "not computed here" : format(value, 6)),
      row("Coordinates", place.map((n) => format(n, 3)).join(", ")),
    );
    tip.beside(left, box.width);
    tip.centreOn(top, box.height);
  }

  node.addEventListener("pointermove", point);
  node.addEventListener("pointerdown", point);
  node.addEventListener("pointerleave", tip.hide);
  new ResizeObserver(drawAll).observe(node);

  return {
    node,
    show,
    runs(list) {
      runs = list;
      if (plane) frame();
    },
    step(next) {
      step = next;
      if (plane && node.clientWidth >= 60) drawPaths();
    },
  };
}

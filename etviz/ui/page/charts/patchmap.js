/** A picture with a number for each patch, laid over it in colour and read by hovering. One patch can be chosen. */

import { draw, viridis } from "../lib/pixels.js";
import { clamp, h } from "../lib/tools.js";
import { createTooltip } from "./tooltip.js";

export const COVER = 0.72; // opacity of a colour laid over the picture

/** A patch in words, on a grid of side x side. */
export const patchName = (i, side) => `row ${Math.floor(i / side) + 1}, column ${(i % side) + 1}`;

/**
 * `label` names it; with `onPick(patch)`, pointer and arrow keys choose a patch; `tell(value)` puts a value into words.
 *
 *   show(size, side, pixel)   the picture, see `draw`, of side x side patches
 *   values(list, scale)       a number for each patch, or null for no numbers; `scale` is {low, high, colour?}
 *   select(patch)             outline a patch, or null for none
 */
export function createPatchMap({ label, onPick = null, tell = (value) => String(value) }) {
  const canvas = h("canvas", { role: onPick ? null : "img", "aria-label": onPick ? null : label });
  const grid = h("div", {
    class: "etviz-map-grid",
    role: onPick ? "listbox" : null,
    "aria-label": onPick ? label : null,
  });
  const tip = createTooltip("etviz-map-tip");
  const node = h("div", { class: `etviz-canvas etviz-map ${onPick ? "is-choosing" : ""}` }, canvas, grid, tip.node);
  let side = 0;
  let cells = [];
  let numbers = null;
  let chosen = null;
  let hovered = -1;

  function build(count) {
    side = count;
    const cell = () =>
      h("div", { class: "etviz-map-cell", role: onPick ? "option" : null, tabindex: onPick ? -1 : null });
    cells = Array.from({ length: side * side }, cell);
    grid.replaceChildren(...cells);
    grid.style.setProperty("--side", side);
    if (onPick) cells[0].tabIndex = 0;
    select(chosen);
  }

  const words = (i) => (numbers ? `${patchName(i, side)}: ${tell(numbers[i])}` : patchName(i, side));

  function nameCells() {
    if (hovered >= 0) tip.show(words(hovered));
    if (onPick) cells.forEach((cell, i) => cell.setAttribute("aria-label", words(i)));
  }

  function values(list, { low = 0, high = 1, colour = viridis } = {}) {
    numbers = list;
    cells.forEach((cell, i) => {
      const share = list ? (list[i] - low) / (high - low || 1) : 0;
      cell.style.background = list ? `rgb(${colour(share).map(Math.round).join(" ")} / ${COVER})` : "";
    });
    nameCells();
  }

  function select(patch) {
    chosen = patch !== null && patch < cells.length ? patch : null;
    cells.forEach((cell, i) => {
      cell.classList.toggle("is-chosen", i === chosen);
      if (onPick) cell.setAttribute("aria-selected", i === chosen);
      if (onPick) cell.tabIndex = i === (chosen ?? 0) ? 0 : -1;
    });
  }

  function hover(event) {
    const i = cells.indexOf(event.target);
    hovered = i;
    if (i < 0) return tip.hide();
    tip.show(words(i));
    const [row, column] = [Math.floor(i / side), i % side];
    const cell = grid.clientWidth / side;
    tip.besideCell({ left: column * cell, right: (column + 1) * cell, top: row * cell }, grid.clientWidth);
  }

  grid.addEventListener("pointermove", hover);
  grid.addEventListener("pointerleave", () => {
    hovered = -1;
    tip.hide();
  });
  if (onPick) {
    grid.addEventListener("click", (event) => cells.includes(event.target) && onPick(cells.indexOf(event.target)));
    grid.addEventListener("keydown", (event) => {
      const now = cells.indexOf(event.target);
      const moves = {
        ArrowUp: now - side,
        ArrowDown: now + side,
        ArrowLeft: now - 1,
        ArrowRight: now + 1,
        " ": now,
        Enter: now,
      };
      if (now < 0 || !(event.key in moves)) return;
      event.preventDefault();
      const next = clamp(moves[event.key], 0, cells.length - 1);
      onPick(next);
      cells[next].focus({ preventScroll: true });
    });
  }

  return {
    node,
    canvas,
    values,
    select,
    show(size, count, pixel) {
      if (count !== side) build(count);
      draw(canvas, size, pixel);
      nameCells();
    },
  };
}

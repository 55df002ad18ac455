/** The painter: a picture under a grid of patches, which the reader hides and shows. */

import { BRUSHES } from "../lib/masks.js";
import { clamp, h } from "../lib/tools.js";

/**
 * Dragging paints: the first patch touched decides whether to hide or to reveal. A brush may cover several patches.
 * `onPaint(mask)` is called on every change, `onStroke(viaKeyboard)` at the end of a stroke or a key press.
 */
export function createPainter({ onPaint, onStroke }) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const grid = h("div", {
    class: "etviz-grid",
    role: "grid",
    "aria-label": "Patches: arrow keys move, space hides or shows",
  });
  const node = h("div", { class: "etviz-canvas etviz-paint" }, canvas, grid);
  let mask = new Uint8Array(0);
  let cells = [];
  let side = 0;
  let focus = 0;
  let brush = BRUSHES.one;
  let stroke = null; // {pointer, value, last} while a finger or a button is down

  function build(count) {
    side = Math.sqrt(count);
    focus = 0;
    cells = Array.from({ length: count }, () => h("div", { role: "gridcell", tabindex: "-1", class: "etviz-cell" }));
    const row = (r) => h("div", { role: "row", class: "etviz-row" }, ...cells.slice(r * side, (r + 1) * side));
    grid.replaceChildren(...Array.from({ length: side }, (_, r) => row(r)));
    grid.style.setProperty("--side", side);
    cells[0].tabIndex = 0;
  }

  function show(next) {
    if (cells.length !== next.length) build(next.length);
    mask = next;
    cells.forEach((cell, i) => {
      const place = `row ${Math.floor(i / side) + 1}, column ${(i % side) + 1}`;
      cell.classList.toggle("is-hidden", mask[i] === 1);
      cell.setAttribute("aria-selected", mask[i] === 1);
      cell.setAttribute("aria-label", `${place}, ${mask[i] ? "hidden" : "visible"}`);
    });
  }

  function set(patches, value) {
    const next = mask.slice();
    patches.forEach((patch) => (next[patch] = value));
    show(next);
    onPaint(next);
  }

  const under = (patch) => brush(Math.floor(patch / side), patch % side, side);

  /** Show what the brush would cover, if that is more than the patch under the pointer. */
  function preview(patches) {
    cells.forEach((cell, i) => cell.classList.toggle("is-under", patches.length > 1 && patches.includes(i)));
  }

  function patchAt(event) {
    const box = grid.getBoundingClientRect();
    const place = (offset, length) => clamp(Math.floor((offset / length) * side), 0, side - 1);
    return place(event.clientY - box.top, box.height) * side + place(event.clientX - box.left, box.width);
  }

  /** Every patch on the way between two, since a fast pointer reports few points. */
  function between(from, to) {
    const [r0, c0, r1, c1] = [Math.floor(from / side), from % side, Math.floor(to / side), to % side];
    const length = Math.max(Math.abs(r1 - r0), Math.abs(c1 - c0), 1);
    return Array.from({ length: length + 1 }, (_, i) => {
      return Math.round(r0 + ((r1 - r0) * i) / length) * side + Math.round(c0 + ((c1 - c0) * i) / length);
    });
  }

  function moveFocus(patch) {
    cells[focus].tabIndex = -1;
    focus = patch;
    cells[focus].tabIndex = 0;
    if (document.activeElement !== cells[focus]) cells[focus].focus({ preventScroll: true });
  }

  grid.addEventListener("pointerdown", (event) => {
    if (stroke || event.button !== 0) return;
    event.preventDefault(); // no text selection, no drag of the picture
    grid.setPointerCapture(event.pointerId);
    const patch = patchAt(event);
    stroke = { pointer: event.pointerId, value: 1 - mask[patch], last: patch };
    moveFocus(patch);
    set(under(patch), stroke.value);
  });
  grid.addEventListener("pointermove", (event) => {
    const patch = patchAt(event);
    if (event.pointerType === "mouse") preview(under(patch));
    if (stroke?.pointer !== event.pointerId || patch === stroke.last) return;
    set(between(stroke.last, patch).flatMap(under), stroke.value);
    stroke.last = patch;
  });
  const finish = (event) => {
    if (stroke?.pointer !== event.pointerId) return;
    stroke = null;
    onStroke(false);
  };
  grid.addEventListener("pointerup", finish);
  grid.addEventListener("pointercancel", finish);
  grid.addEventListener("pointerleave", () => preview([]));
  grid.addEventListener("focusin", (event) => moveFocus(cells.indexOf(event.target)));
  grid.addEventListener("keydown", (event) => {
    const [row, column] = [Math.floor(focus / side), focus % side];
    const moves = {
      ArrowUp: [Math.max(row - 1, 0), column],
      ArrowDown: [Math.min(row + 1, side - 1), column],
      ArrowLeft: [row, Math.max(column - 1, 0)],
      ArrowRight: [row, Math.min(column + 1, side - 1)],
      Home: [row, 0],
      End: [row, side - 1],
    };
    if (moves[event.key]) moveFocus(moves[event.key][0] * side + moves[event.key][1]);
    else if (event.key === " " || event.key === "Enter") {
      set(under(focus), 1 - mask[focus]);
      onStroke(true);
    } else return;
    event.preventDefault();
  });

  const setBrush = (name) => (brush = BRUSHES[name]);
  return { node, canvas, show, setBrush, busy: () => stroke !== null };
}

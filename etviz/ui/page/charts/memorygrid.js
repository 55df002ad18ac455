/** All memories as small pictures on one canvas, the strongest first. Pointer or keyboard choose one. */

import { clamp, h } from "../lib/tools.js";
import { createTooltip } from "./tooltip.js";

const PICTURE_GAP = 3; // between pictures, in CSS pixels like all sizes here
const PICTURE_SIDES = [16, 12, 8]; // the largest whose grid is low enough
const FAINT_ALPHA = 60; // opacity, of 255, of a memory that carries nothing

/**
 * `onPick(memory)` when the reader chooses one, `tell(memory, rank)` puts one into words.
 *
 *   show(order, pictures, energy)   memories from first to last; RGB bytes and energy by memory
 *   select(memory)                  outline one
 */
export function createMemoryGrid({ onPick, tell }) {
  const canvas = h("canvas", {
    tabindex: 0,
    role: "slider",
    "aria-label": "Memories by use",
    "aria-orientation": "horizontal",
    "aria-valuemin": 1,
  });
  const outline = h("div", { class: "etviz-memory-outline", hidden: true });
  const tip = createTooltip("etviz-map-tip");
  const node = h("div", { class: "etviz-memory-grid" }, canvas, outline, tip.node);
  let now = { order: [], pictures: null, energy: [], side: 4 };
  let chosen = null;
  let layout = { columns: 1, scale: 1, cell: 1 };
  let hovered = null; // a rank
  let room = 0; // the width available; kept, because asking for it forces a layout

  /** How large the pictures are, and how many fit in a row. */
  function arrange() {
    const sizes = PICTURE_SIDES.map((wanted) => {
      const scale = Math.max(1, Math.round(wanted / now.side));
      const cell = scale * now.side + PICTURE_GAP;
      return { scale, cell, columns: Math.max(1, Math.floor((room + PICTURE_GAP) / cell)) };
    });
    const height = ({ columns, cell }) => Math.ceil(now.order.length / columns) * cell;
    layout = sizes.find((size) => height(size) <= (room < 420 ? 1.2 : 0.5) * room) ?? sizes[sizes.length - 1];
  }

  function drawAll() {
    if (!now.order.length || room < 40) return;
    arrange();
    const { columns, cell } = layout;
    const [width, height] = [columns * cell - PICTURE_GAP, Math.ceil(now.order.length / columns) * cell - PICTURE_GAP];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const image = new ImageData(width, height);
    const data = new Uint32Array(image.data.buffer);
    now.order.forEach((memory, rank) =>
      drawOne(data, width, memory, Math.floor(rank / columns) * cell, (rank % columns) * cell),
    );
    canvas.getContext("2d").putImageData(image, 0, 0);
    mark();
  }

  function drawOne(data, width, memory, top, left) {
    const { side, pictures, energy } = now;
    const alpha = (energy[memory] < 0 ? 255 : FAINT_ALPHA) << 24;
    for (let i = 0; i < side * side; i++) {
      const from = 3 * (memory * side * side + i);
      const colour = alpha | (pictures[from + 2] << 16) | (pictures[from + 1] << 8) | pictures[from]; // lowest byte first
      const corner = (top + Math.floor(i / side) * layout.scale) * width + left + (i % side) * layout.scale;
      for (let y = 0; y < layout.scale; y++) data.fill(colour, corner + y * width, corner + y * width + layout.scale);
    }
  }

  function mark() {
    const rank = now.order.indexOf(chosen);
    outline.hidden = rank < 0;
    canvas.setAttribute("aria-valuemax", now.order.length);
    canvas.setAttribute("aria-valuenow", rank + 1);
    canvas.setAttribute("aria-valuetext", rank < 0 ? "none chosen" : tell(chosen, rank));
    if (hovered !== null) say();
    if (rank < 0) return;
    const { columns, cell } = layout;
    Object.assign(outline.style, {
      left: `${(rank % columns) * cell}px`,
      top: `${Math.floor(rank / columns) * cell}px`,
    });
    outline.style.width = outline.style.height = `${cell - PICTURE_GAP}px`;
  }

  function rankAt(event) {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / layout.cell);
    const rank = Math.floor((event.clientY - box.top) / layout.cell) * layout.columns + column;
    return column < layout.columns && rank < now.order.length ? rank : null;
  }

  function say() {
    if (hovered === null) return tip.hide();
    const { columns, cell } = layout;
    const [row, column] = [Math.floor(hovered / columns), hovered % columns];
    tip.show(tell(now.order[hovered], hovered));
    tip.besideCell({ left: column * cell, right: (column + 1) * cell, top: row * cell }, room);
  }

  function hover(rank) {
    hovered = rank;
    say();
  }

  canvas.addEventListener("pointermove", (event) => hover(rankAt(event)));
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener("click", (event) => {
    const rank = rankAt(event);
    if (rank !== null) onPick(now.order[rank]);
  });
  canvas.addEventListener("keydown", (event) => {
    const rank = now.order.indexOf(chosen);
    const last = now.order.length - 1;
    const { columns } = layout;
    const moves = {
      ArrowLeft: rank - 1,
      ArrowRight: rank + 1,
      ArrowUp: rank - columns,
      ArrowDown: rank + columns,
      Home: 0,
      End: last,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    onPick(now.order[clamp(moves[event.key], 0, last)]);
  });
  const observer = new ResizeObserver(() => {
    room = node.clientWidth;
    drawAll();
  });
  observer.observe(node);

  return {
    node,
    show(order, pictures, energy) {
      now = { order, pictures, energy, side: Math.sqrt(pictures.length / order.length / 3) };
      drawAll();
    },
    select(memory) {
      chosen = memory;
      mark();
    },
  };
}

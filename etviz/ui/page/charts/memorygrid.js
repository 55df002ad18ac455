/** All memories as small pictures on one canvas, the strongest first. Pointer or keyboard choose one. */

import { clamp, h } from "../lib/tools.js";
import { createTooltip } from "./tooltip.js";

const [GAP, NARROW_GAP] = [3, 1]; // between pictures, and between shrunken ones, in CSS pixels like all sizes here
const PICTURE_SIDES = [16, 12, 8]; // about; the largest whose grid is low enough
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
  let layout = { columns: 1, side: 1, gap: GAP, cell: 1 };
  let tiles = { pictures: null, side: 0, full: new Uint32Array(0), faint: new Uint32Array(0) };
  let hovered = null; // a rank
  let room = 0; // the width available; kept, because asking for it forces a layout

  /** How large the pictures are, and how many fit in a row. */
  function arrange() {
    const sizes = PICTURE_SIDES.map((wanted) => {
      const side = sideNear(now.side, wanted);
      const gap = side < now.side ? NARROW_GAP : GAP;
      const cell = side + gap;
      return { side, gap, cell, columns: Math.max(1, Math.floor((room + gap) / cell)) };
    });
    const height = ({ columns, cell }) => Math.ceil(now.order.length / columns) * cell;
    layout = sizes.find((size) => height(size) <= (room < 420 ? 1.2 : 0.5) * room) ?? sizes[sizes.length - 1];
  }

  function drawAll() {
    if (!now.order.length || room < 40) return;
    arrange();
    const { columns, cell, gap, side } = layout;
    const [width, height] = [columns * cell - gap, Math.ceil(now.order.length / columns) * cell - gap];
    if (tiles.pictures !== now.pictures || tiles.side !== side) tiles = makeTiles(now.pictures, now.side, side);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const image = new ImageData(width, height);
    const data = new Uint32Array(image.data.buffer);
    now.order.forEach((memory, rank) =>
      drawOne(data, width, memory, Math.floor(rank / columns) * cell * width + (rank % columns) * cell),
    );
    canvas.getContext("2d").putImageData(image, 0, 0);
    mark();
  }

  /** Rows are copied whole, since scrubbing draws thousands of pictures. */
  function drawOne(data, width, memory, corner) {
    const { side } = tiles;
    const pictures = now.energy[memory] < 0 ? tiles.full : tiles.faint;
    for (let y = 0, from = memory * side * side; y < side; y++, from += side) {
      data.set(pictures.subarray(from, from + side), corner + y * width);
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
    outline.style.width = outline.style.height = `${layout.side}px`;
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

/** A whole multiple of `side` near `wanted`, or a whole part of it. */
function sideNear(side, wanted) {
  if (wanted >= side) return side * Math.max(1, Math.round(wanted / side));
  const part = Math.round(side / wanted);
  return side % part ? side : side / part;
}

/** RGB bytes of pictures, `from` pixels wide, as colours of a canvas and `to` pixels wide: opaque and faint. */
function makeTiles(pictures, from, to) {
  const count = pictures.length / (3 * from * from);
  const [full, faint] = [0, 1].map(() => new Uint32Array(count * to * to));
  const box = Math.max(1, from / to); // so many pixels along either side become one
  for (let i = 0; i < full.length; i++) {
    const [memory, place] = [Math.floor(i / (to * to)), i % (to * to)];
    const [row, column] = [Math.floor(place / to), place % to].map((at) => Math.floor((at * from) / to));
    const sums = [0, 0, 0];
    for (let y = 0; y < box; y++) {
      for (let x = 0; x < box; x++) {
        const pixel = 3 * ((memory * from + row + y) * from + column + x);
        for (let channel = 0; channel < 3; channel++) sums[channel] += pictures[pixel + channel];
      }
    }
    const [red, green, blue] = sums.map((sum) => Math.round(sum / (box * box)));
    const colour = (blue << 16) | (green << 8) | red; // lowest byte first
    full[i] = (255 << 24) | colour;
    faint[i] = (FAINT_ALPHA << 24) | colour;
  }
  return { pictures, side: to, full, faint };
}

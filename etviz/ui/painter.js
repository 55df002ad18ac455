/**
 * The explorer: paint a mask over a picture, then walk through the descent that fills it in.
 *
 * One ES module without dependencies, for any host. `createExplorer(root, host)` draws into a DOM element; the host
 * says what to show first and answers questions:
 *
 *   host.start     {heading?, models?, thumbs?, count?, uploads?, note?, answer}: what is known at load
 *   host.trace     async ({seq, model, picture, mask}) -> answer | {error}: reconstruct under a mask
 *   host.readFile  async (File) -> {pixels, caption} | {error}: make a picture of an upload (optional)
 *   host.onMask    (hex) -> nothing: told of every new mask (optional)
 *
 * An answer holds all states of one descent (see etviz/ui/payload.py), so that scrubbing asks nobody. A mask is
 * written in hexadecimal, patch 0 the highest bit, row by row: the convention of etviz.masks.
 */

const PLAY_MS = 170; // a step while playing
const KEY_PAUSE_MS = 120; // after a key press, in case another follows
const PATIENCE_MS = 20000; // for an answer
const HIDDEN_SHARE = 0.85; // of the patches, by the Random button
const HINT = "Drag to hide patches; drag from a hidden one to show them. Or: arrow keys and space.";
const ERROR_CEILING = 0.5; // absolute error drawn in the brightest colour

// ---- masks -----------------------------------------------------------------------------------------------------

export function maskFromHex(hex) {
  return Uint8Array.from([...hex].flatMap((digit) => [8, 4, 2, 1].map((bit) => (parseInt(digit, 16) & bit ? 1 : 0))));
}

export function maskToHex(mask) {
  let hex = "";
  for (let i = 0; i < mask.length; i += 4) {
    hex += (8 * mask[i] + 4 * mask[i + 1] + 2 * mask[i + 2] + mask[i + 3]).toString(16);
  }
  return hex;
}

const countHidden = (mask) => mask.reduce((sum, bit) => sum + bit, 0);

function randomMask(size, share) {
  const order = Array.from({ length: size }, (_, i) => i);
  for (let i = size - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  const mask = new Uint8Array(size);
  order.slice(0, Math.floor(size * share)).forEach((patch) => (mask[patch] = 1));
  return mask;
}

// ---- small tools -----------------------------------------------------------------------------------------------

/** An element with attributes (functions become listeners) and children. */
function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A number for reading: thousands separated, a true minus sign, about `digits` significant digits. */
function format(value, digits = 5) {
  return Number.isFinite(value) ? fixed(value, decimalsFor(value, digits)) : "–";
}

/** How many decimals show a number to `digits` significant digits. */
function decimalsFor(value, digits) {
  const whole = value === 0 ? 1 : Math.floor(Math.log10(Math.abs(value))) + 1;
  return clamp(digits - whole, 0, 6);
}

function fixed(value, decimals) {
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return value.toLocaleString("en-US", { ...digits, signDisplay: "negative" }).replace("-", "−");
}

/** The energies of one step, all with as many decimals as suit the largest. */
function energies(answer, step) {
  const decimals = decimalsFor(Math.max(...LINES.map((line) => Math.abs(answer[line.key][step]))), 6);
  return LINES.map((line) => ({
    ...line,
    value: fixed(answer[line.key][step], decimals),
    change: fixed(answer[line.key][step] - answer[line.key][0], decimals),
  }));
}

/** About `count` round numbers that cover low..high. */
function niceTicks(low, high, count) {
  const rough = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let i = Math.floor(low / step); i <= Math.ceil(high / step); i++) ticks.push(i * step);
  return ticks;
}

const steps = (list) => `${list.length === 1 ? "step" : "steps"} ${list.join(", ")}`;

// ---- pictures on canvases --------------------------------------------------------------------------------------

// Viridis (van der Walt and Smith, 2015) at nine points: even in lightness, and safe for colour-blind readers.
const VIRIDIS = ["440154", "482878", "3e4a89", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "fde725"].map((hex) =>
  [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)),
);

function viridis(share) {
  const place = clamp(share, 0, 1) * (VIRIDIS.length - 1);
  const i = Math.min(Math.floor(place), VIRIDIS.length - 2);
  return VIRIDIS[i].map((low, channel) => low + (place - i) * (VIRIDIS[i + 1][channel] - low));
}

/** Draw size x size pixels; `pixel(i)` gives the i-th, row by row, as [red, green, blue], or null for a hole. */
function draw(canvas, size, pixel) {
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const image = new ImageData(size, size);
  for (let i = 0; i < size * size; i++) {
    const colour = pixel(i);
    if (colour) image.data.set([...colour, 255], 4 * i);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

const rgb = (pixels) => (i) => pixels.subarray(3 * i, 3 * i + 3);

/** Which patch a pixel belongs to, as a table over the pixels of a size x size image cut into side x side patches. */
function patchTable(size, side) {
  const patch = size / side;
  return Uint16Array.from({ length: size * size }, (_, i) => {
    const [row, column] = [Math.floor(i / size), i % size];
    return Math.floor(row / patch) * side + Math.floor(column / patch);
  });
}

// ---- the painter -----------------------------------------------------------------------------------------------

/**
 * A picture under a grid of patches. Dragging paints: the first patch touched decides whether to hide or to reveal.
 * `onPaint(mask)` is called on every change, `onStroke(viaKeyboard)` when a stroke or a key press is done.
 */
function createPainter({ onPaint, onStroke }) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const grid = h("div", { class: "etviz-grid", role: "grid", "aria-label": "Patches: arrow keys move, space hides or shows" });
  const node = h("div", { class: "etviz-canvas etviz-paint" }, canvas, grid);
  let mask = new Uint8Array(0);
  let cells = [];
  let side = 0;
  let focus = 0;
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

  function patchAt(event) {
    const box = grid.getBoundingClientRect();
    const place = (offset, length) => clamp(Math.floor((offset / length) * side), 0, side - 1);
    return place(event.clientY - box.top, box.height) * side + place(event.clientX - box.left, box.width);
  }

  /** Every patch on the way between two: a fast pointer reports few points. */
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
    set([patch], stroke.value);
  });
  grid.addEventListener("pointermove", (event) => {
    if (stroke?.pointer !== event.pointerId) return;
    const patch = patchAt(event);
    if (patch === stroke.last) return;
    set(between(stroke.last, patch), stroke.value);
    stroke.last = patch;
  });
  const finish = (event) => {
    if (stroke?.pointer !== event.pointerId) return;
    stroke = null;
    onStroke(false);
  };
  grid.addEventListener("pointerup", finish);
  grid.addEventListener("pointercancel", finish);
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
      set([focus], 1 - mask[focus]);
      onStroke(true);
    } else return;
    event.preventDefault();
  });

  return { node, canvas, show, busy: () => stroke !== null };
}

// ---- the energy curve ------------------------------------------------------------------------------------------

const LINES = [
  { key: "energy", name: "Total", mark: "total" },
  { key: "attention_energy", name: "Attention", mark: "attention" },
  { key: "hopfield_energy", name: "Hopfield", mark: "hopfield" },
];
// Left and right as in .etviz-transport: the slider runs under the axis.
const MARGIN = { top: 10, right: 14, bottom: 6, left: 74 };

/** Three lines over the steps as inline SVG. `onStep(step)` when the reader clicks or drags in it. */
function createChart({ onStep }) {
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

// ---- the scrubber ----------------------------------------------------------------------------------------------

/** Play button and slider; the slider's track lies under the chart's axis. */
function createTransport({ onStep }) {
  const play = h("button", { type: "button", class: "etviz-play", click: toggle });
  const slider = h("input", { type: "range", min: 0, max: 12, step: 1, value: 12, "aria-label": "Descent step" });
  const ticks = h("div", { class: "etviz-ticks", "aria-hidden": "true" });
  const node = h("div", { class: "etviz-transport" }, play, h("div", { class: "etviz-track" }, slider, ticks));
  let timer = null;

  slider.addEventListener("input", () => {
    stop();
    onStep(Number(slider.value));
  });

  function tick() {
    const next = Number(slider.value) + 1;
    onStep(next);
    if (next >= Number(slider.max)) stop();
  }

  function start() {
    stop();
    if (slider.value === slider.max) onStep(0);
    timer = setInterval(tick, PLAY_MS);
    label();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    label();
  }

  function toggle() {
    if (timer === null) start();
    else stop();
  }

  function label() {
    const path = timer === null ? "M6 4l12 8-12 8z" : "M6 4h4v16H6zM14 4h4v16h-4z";
    play.replaceChildren(svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path })));
    play.setAttribute("aria-label", timer === null ? "Play the descent" : "Pause");
    play.title = play.getAttribute("aria-label");
  }

  label();
  return {
    node,
    start,
    stop,
    step(value, last) {
      if (Number(slider.max) !== last || !ticks.childElementCount) {
        slider.max = last;
        const marks = Array.from({ length: last + 1 }, (_, i) => h("span", {}, String(i)));
        marks.forEach((mark, i) => mark.style.setProperty("--at", i / last));
        ticks.replaceChildren(...marks);
      }
      slider.value = value;
      slider.style.setProperty("--share", value / last);
      slider.setAttribute("aria-valuetext", `step ${value} of ${last}`);
      [...ticks.children].forEach((mark, i) => mark.classList.toggle("is-now", i === value));
    },
  };
}

// ---- picking a picture -----------------------------------------------------------------------------------------

function createPicker(start, { onPicture, onFile }) {
  const thumbs = (start.thumbs ?? []).map((thumb) => {
    const canvas = h("canvas", { "aria-hidden": "true" });
    const pixels = bytes(thumb.image);
    draw(canvas, Math.sqrt(pixels.length / 3), rgb(pixels));
    const pick = () => onPicture({ index: thumb.index });
    return h("button", { type: "button", class: "etviz-thumb", title: thumb.caption, "aria-label": thumb.caption, click: pick }, canvas);
  });
  const number = h("input", { type: "number", min: 0, max: (start.count ?? 1) - 1, step: 1, "aria-label": "Picture number", inputmode: "numeric" });
  number.addEventListener("change", () => {
    const index = Math.round(Number(number.value));
    if (number.value !== "") onPicture({ index: clamp(index, 0, start.count - 1) });
  });
  const random = () => onPicture({ index: Math.floor(Math.random() * start.count) });
  const file = h("input", { type: "file", accept: "image/png,image/jpeg,image/webp", class: "etviz-file", tabindex: "-1", "aria-hidden": "true" });
  file.addEventListener("change", () => {
    if (file.files.length) onFile(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  });
  const upload = h("button", { type: "button", click: () => file.click(), title: "PNG, JPEG or WebP, up to 2 MB" }, "Upload…");
  const node = h(
    "section",
    { class: "etviz-pick", "aria-label": "Choose a picture" },
    h("div", { class: "etviz-thumbs" }, ...thumbs),
    h(
      "div",
      { class: "etviz-choose" },
      start.count > 1 ? h("label", { class: "etviz-number" }, "No.", number) : null,
      start.count > 1 ? h("button", { type: "button", click: random }, "Random") : null,
      start.uploads ? upload : null,
      start.uploads ? file : null,
    ),
  );
  return {
    node: thumbs.length || start.uploads ? node : null,
    show(picture) {
      number.value = picture.index ?? "";
      thumbs.forEach((thumb, i) => thumb.setAttribute("aria-pressed", start.thumbs[i].index === picture.index));
    },
  };
}

function createModelMenu(start, onModel) {
  const models = start.models ?? [];
  if (!models.length) return null;
  const facts = h("span", { class: "etviz-facts" });
  const menu = h("select", { "aria-label": "Model" }, ...models.map((model) => h("option", { value: model.name }, model.name)));
  menu.addEventListener("change", () => onModel(menu.value));
  const name = models.length > 1 ? menu : h("b", {}, models[0].name);
  return {
    node: h("div", { class: "etviz-model" }, name, facts),
    show(model) {
      menu.value = model;
      facts.textContent = models.find((entry) => entry.name === model)?.facts ?? "";
    },
  };
}

// ---- everything together ---------------------------------------------------------------------------------------

export function createExplorer(root, host) {
  const { start } = host;
  const state = {
    answer: null, // the descent on screen
    original: new Uint8Array(0),
    frames: [],
    patches: new Uint16Array(0), // patch of each pixel
    mask: maskFromHex(start.answer.mask), // as painted, perhaps ahead of the answer
    picture: start.answer.picture, // as asked for, perhaps ahead of the answer
    model: start.answer.model,
    step: 0,
    seq: start.answer.seq ?? 0,
    waiting: null, // the newest question, while an older one is being answered
    asking: false,
    past: [], // masks before and after the present one, as hexadecimal
    future: [],
    committed: start.answer.mask,
  };

  const painter = createPainter({ onPaint: showMask, onStroke: endStroke });
  const chart = createChart({ onStep: scrub });
  const transport = createTransport({ onStep: showStep });
  const picker = createPicker(start, { onPicture: pick, onFile: read });
  const models = createModelMenu(start, (model) => ask({ model }));
  const ui = build();
  root.replaceChildren(ui.node);

  // -- drawing

  function build() {
    const counter = h("span", { class: "etviz-count" });
    const caption = h("p", { class: "etviz-caption" });
    const notice = h("p", { class: "etviz-notice", role: "alert", hidden: true });
    const spoken = h("p", { class: "etviz-spoken", role: "status" });
    const tiles = {
      original: createTile("Original"),
      masked: createTile("Masked input", "is-holed"),
      reconstruction: createTile("Reconstruction", "is-result"),
      error: createTile("Absolute error"),
    };
    const keep = h("input", { type: "checkbox", checked: true, change: () => showFrame() });
    const badge = h("span", { class: "etviz-badge" });
    const mean = h("span");
    const readout = Object.fromEntries(
      [...LINES.map((line) => line.key), "gradient_norm", "psnr", "mse"].map((key) => [key, h("dd")]),
    );
    const heading = start.heading
      ? h("header", { class: "etviz-top" }, h("h1", {}, start.heading.title), h("p", {}, start.heading.text), models?.node ?? null)
      : models?.node ?? null;
    const node = h(
      "div",
      { class: "etviz-page" },
      heading,
      picker.node,
      notice,
      h(
        "div",
        { class: "etviz-main" },
        h(
          "section",
          { class: "etviz-left", "aria-label": "Mask" },
          h("div", { class: "etviz-head" }, h("h2", {}, "Paint to hide"), counter),
          painter.node,
          toolbar(),
          caption,
          start.note ? h("p", { class: "etviz-hint" }, start.note) : null,
          h("p", { class: "etviz-hint" }, HINT),
        ),
        h(
          "section",
          { class: "etviz-right", "aria-label": "Reconstruction" },
          h("div", { class: "etviz-tiles" }, ...Object.values(tiles).map((tile) => tile.node)),
          h(
            "div",
            { class: "etviz-under" },
            h("label", { class: "etviz-check" }, keep, "Keep the visible pixels as given"),
            colourBar(mean),
          ),
          h("div", { class: "etviz-head" }, h("h2", {}, "Energy"), badge, scaleSwitch()),
          readouts(readout),
          chart.node,
          transport.node,
        ),
      ),
      spoken,
    );
    return { node, counter, caption, notice, spoken, tiles, keep, badge, mean, readout };
  }

  function createTile(title, name = "") {
    const canvas = h("canvas", { role: "img", "aria-label": title });
    const value = h("span");
    const node = h(
      "figure",
      { class: `etviz-tile ${name}` },
      h("figcaption", {}, h("span", {}, title), value),
      h("div", { class: "etviz-canvas" }, canvas),
    );
    return { node, canvas, value };
  }

  function toolbar() {
    const button = (text, title, act) => h("button", { type: "button", title, click: act }, text);
    const icon = (text, title, act) => h("button", { type: "button", title, "aria-label": title, class: "etviz-icon", click: act }, text);
    return h(
      "div",
      { class: "etviz-tools", role: "toolbar", "aria-label": "Mask tools" },
      button("Random 85%", "Hide 85% of the patches at random", () => replaceMask(randomMask(state.mask.length, HIDDEN_SHARE))),
      button("Invert", "Hide what is visible and show what is hidden", () => replaceMask(state.mask.map((bit) => 1 - bit))),
      button("Clear", "Hide nothing", () => replaceMask(new Uint8Array(state.mask.length))),
      icon("↶", "Undo (Ctrl+Z)", undo),
      icon("↷", "Redo (Ctrl+Shift+Z)", redo),
    );
  }

  function scaleSwitch() {
    const choose = (relative) => () => {
      chart.relative(relative);
      change.setAttribute("aria-pressed", relative);
      value.setAttribute("aria-pressed", !relative);
    };
    const change = h("button", { type: "button", "aria-pressed": "true", click: choose(true) }, "Change since step 0");
    const value = h("button", { type: "button", "aria-pressed": "false", click: choose(false) }, "Value");
    return h("div", { class: "etviz-switch", role: "group", "aria-label": "Energy axis" }, change, value);
  }

  function readouts(cells) {
    const item = (name, cell, mark = "", title = null) =>
      h("div", { class: mark && `is-${mark}`, title }, h("dt", {}, mark ? h("i", { class: "etviz-key" }) : null, name), cell);
    return h(
      "dl",
      { class: "etviz-readout" },
      ...LINES.map((line) => item(line.name, cells[line.key], line.mark)),
      item("Slope ‖∂E/∂g‖", cells.gradient_norm, "", "Length of the energy's gradient: how steep it is here"),
      item("Hidden PSNR", cells.psnr, "", "Peak signal-to-noise ratio over the hidden pixels: higher is better"),
      item("Hidden MSE", cells.mse, "", "Mean squared error over the hidden pixels, of values in 0..1: lower is better"),
    );
  }

  function colourBar(mean) {
    const stops = VIRIDIS.map((colour) => `rgb(${colour.join(" ")})`).join(", ");
    const bar = h("i");
    bar.style.background = `linear-gradient(to right, ${stops})`;
    return h("div", { class: "etviz-bar", title: "Absolute error, mean of the three channels" }, mean, "0", bar, `≥ ${ERROR_CEILING}`);
  }

  function showMask(mask) {
    state.mask = mask;
    const hidden = countHidden(mask);
    ui.counter.textContent = `${hidden} of ${mask.length} hidden`;
    root.dataset.mask = maskToHex(mask);
    root.dataset.hidden = hidden;
    if (!state.answer) return;
    const pixel = rgb(state.original);
    draw(ui.tiles.masked.canvas, state.answer.size, (i) => (mask[state.patches[i]] ? null : pixel(i)));
  }

  /** The frame at the present step, with the given pixels kept where visible if that is wished. */
  function composed() {
    const frame = state.frames[state.step];
    if (!ui.keep.checked) return rgb(frame);
    const mask = maskFromHex(state.answer.mask);
    const [predicted, given] = [rgb(frame), rgb(state.original)];
    return (i) => (mask[state.patches[i]] ? predicted(i) : given(i));
  }

  function showFrame() {
    const { size } = state.answer;
    const [shown, given] = [composed(), rgb(state.original)];
    let total = 0;
    draw(ui.tiles.reconstruction.canvas, size, shown);
    draw(ui.tiles.error.canvas, size, (i) => {
      const [a, b] = [shown(i), given(i)];
      const error = (Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) + Math.abs(a[2] - b[2])) / (3 * 255);
      total += error;
      return viridis(error / ERROR_CEILING);
    });
    ui.mean.textContent = `Mean error ${(total / size ** 2).toFixed(3)}`;
  }

  function showStep(step) {
    const { answer } = state;
    const last = answer.energy.length - 1;
    state.step = clamp(step, 0, last);
    root.dataset.step = state.step;
    transport.step(state.step, last);
    chart.step(state.step);
    ui.tiles.reconstruction.value.textContent = `step ${state.step}`;
    for (const line of energies(answer, state.step)) ui.readout[line.key].textContent = line.value;
    ui.readout.gradient_norm.textContent = format(answer.gradient_norm[state.step], 4);
    ui.readout.psnr.textContent = answer.psnr[state.step] === null ? "–" : `${answer.psnr[state.step].toFixed(2)} dB`;
    ui.readout.mse.textContent = answer.mse[state.step] === null ? "–" : answer.mse[state.step].toFixed(4);
    showFrame();
  }

  /** Put a descent on screen. */
  function show(answer) {
    const atEnd = state.answer === null || state.step === state.answer.energy.length - 1;
    const area = 3 * answer.size ** 2;
    const frames = bytes(answer.frames);
    state.answer = answer;
    state.frames = Array.from({ length: frames.length / area }, (_, i) => frames.subarray(i * area, (i + 1) * area));
    state.original = bytes(answer.image);
    state.patches = patchTable(answer.size, Math.sqrt(4 * answer.mask.length));
    [painter.canvas, ui.tiles.original.canvas].forEach((canvas) => draw(canvas, answer.size, rgb(state.original)));
    ui.caption.textContent = answer.caption;
    picker.show(answer.picture);
    models?.show(answer.model);
    ui.badge.textContent = answer.rises.length ? `${steps(answer.rises)} went up` : "every step went down";
    ui.badge.classList.toggle("is-up", answer.rises.length > 0);
    if (!painter.busy()) painter.show(state.mask);
    showMask(state.mask);
    chart.show(answer);
    showStep(atEnd ? state.frames.length - 1 : state.step);
    Object.assign(root.dataset, { steps: state.frames.length - 1, shown: answer.mask, seq: answer.seq, ready: "true" });
  }

  function say(sentence) {
    ui.notice.hidden = !sentence;
    const close = h("button", { type: "button", class: "etviz-icon", "aria-label": "Dismiss", click: () => say("") }, "×");
    ui.notice.replaceChildren(...(sentence ? [sentence, close] : []));
  }

  // -- acting

  function scrub(step) {
    transport.stop();
    showStep(step);
  }

  let keyTimer = null;
  function endStroke(viaKeyboard) {
    clearTimeout(keyTimer);
    if (viaKeyboard) keyTimer = setTimeout(commit, KEY_PAUSE_MS);
    else commit();
  }

  function commit() {
    const hex = maskToHex(state.mask);
    if (hex === state.committed) return;
    state.past.push(state.committed);
    state.future = [];
    settle(hex);
  }

  function settle(hex) {
    state.committed = hex;
    host.onMask?.(hex);
    ask({});
  }

  function replaceMask(mask) {
    painter.show(mask);
    showMask(mask);
    commit();
  }

  function travel(from, to) {
    if (!from.length) return;
    to.push(state.committed);
    const hex = from.pop();
    painter.show(maskFromHex(hex));
    showMask(maskFromHex(hex));
    settle(hex);
  }

  function undo() {
    travel(state.past, state.future);
  }

  function redo() {
    travel(state.future, state.past);
  }

  function pick(picture) {
    transport.stop();
    ask({ picture });
  }

  async function read(file) {
    if (file.size > start.uploads.bytes) {
      say(`${file.name} is larger than ${start.uploads.bytes / 2 ** 20} MB: choose a smaller picture.`);
      return;
    }
    root.dataset.busy = "true";
    const answer = await host.readFile(file, state.model).catch(() => ({ error: "The picture did not reach the server: is the app still running?" }));
    root.dataset.busy = String(state.asking);
    if (answer.error) say(answer.error);
    else pick({ pixels: answer.pixels, name: file.name });
  }

  /** Ask for the descent of the present mask, with some of picture and model replaced. The newest question wins. */
  function ask({ picture = state.picture, model = state.model }) {
    Object.assign(state, { picture, model, seq: state.seq + 1 });
    state.waiting = { seq: state.seq, model, picture, mask: maskToHex(state.mask) };
    if (!state.asking) answerAll();
  }

  async function answerAll() {
    state.asking = true;
    root.dataset.busy = "true";
    while (state.waiting) {
      const question = state.waiting;
      state.waiting = null;
      receive(question, await patiently(host.trace(question)));
    }
    state.asking = false;
    root.dataset.busy = "false";
  }

  function patiently(promise) {
    const failed = { error: "The app does not answer: is it still running?" };
    const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, failed));
    return Promise.race([promise.then((answer) => answer ?? failed, () => failed), patience]);
  }

  function receive(question, answer) {
    if (question.seq !== state.seq) return; // a newer question is under way
    if (answer.error) {
      // What is on screen stays, and what is painted is kept for the next question.
      Object.assign(state, { picture: state.answer.picture, model: state.answer.model });
      models?.show(state.model);
      picker.show(state.picture);
      say(answer.error);
      return;
    }
    say("");
    show(answer);
    const end = answer.energy[answer.energy.length - 1];
    ui.spoken.textContent = `Reconstructed with ${ui.counter.textContent}. Energy ${format(end)}, ${ui.badge.textContent}.`;
  }

  root.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "z") return;
    if (event.target.matches("input[type=number]")) return; // typing has an undo of its own
    event.preventDefault();
    if (event.shiftKey) redo();
    else undo();
  });
  if (start.uploads) {
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) read(event.dataTransfer.files[0]);
    });
  }

  root.classList.add("etviz");
  painter.show(state.mask);
  showMask(state.mask);
  show(start.answer);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) transport.start(); // shows what this is about
  return { ask, setMask: (hex) => replaceMask(maskFromHex(hex)), setStep: scrub };
}

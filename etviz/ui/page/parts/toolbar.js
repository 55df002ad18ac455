/** Masks without painting them patch by patch: ready-made ones, brushes, seeds and files. */

import { downloadMask, readMask } from "../lib/maskfile.js";
import { blockMask, centerMask, gridMask, isMaskHex, isSeed, MAX_SEED, nextHalf, randomMask } from "../lib/masks.js";
import { h } from "../lib/tools.js";
import { createSwitch } from "./switch.js";

const BRUSH_OPTIONS = {
  one: { text: "1", title: "One patch", "aria-label": "One patch" },
  four: { text: "2×2", title: "Two by two patches", "aria-label": "Two by two patches" },
  row: { text: "Row", title: "A whole row", "aria-label": "A whole row" },
  column: { text: "Column", title: "A whole column", "aria-label": "A whole column" },
};
const KEYS = [
  "Mask: 1 random, 2 block, 3 grid, 4 centre, 5 half, 6 invert, 0 clear, Ctrl+Z undo.",
  "Steps: P plays and pauses, comma steps back, full stop steps forward.",
];

/**
 * Two nodes: `bar` is always there, `more` folds away. `mask()` and `seed()` give the present ones, and `patchSize()`
 * the pixels of a patch; `limit`, {bytes, side}, is for pictures of masks. `onMask(mask)`, `onSeed(seed)` and
 * `onBrush(name)` take new ones, and `onProblem(sentence)` says what is wrong with what was typed or uploaded.
 */
export function createToolbar({ mask, seed, patchSize, limit, onMask, onSeed, onBrush, onUndo, onRedo, onProblem }) {
  let drawn = randomMask; // what the seed is for: random masks or blocks
  const size = () => mask().length;
  const share = () => Number(slider.value) / 100;
  const inverted = () => mask().map((bit) => 1 - bit);
  const drawNext = (kind) => {
    drawn = kind;
    onSeed(seed() === MAX_SEED ? 0 : seed() + 1);
    return drawn(size(), share(), seed());
  };
  // By key: the name, the title, and a function that makes the mask.
  const presets = {
    1: ["Random", "Hide this share of the patches at random, with the next seed", () => drawNext(randomMask)],
    2: ["Block", "Hide this share of the patches in one block, placed with the next seed", () => drawNext(blockMask)],
    3: ["Grid", "Hide every second patch, like a chessboard", () => gridMask(size())],
    4: ["Centre", "Hide the square in the middle", () => centerMask(size())],
    5: ["Half", "Hide one half; press again for the next", () => nextHalf(mask())],
    6: ["Invert", "Hide what is visible and show what is hidden", inverted],
    0: ["Clear", "Hide nothing", () => new Uint8Array(size())],
  };

  const slider = h("input", { type: "range", min: 5, max: 95, step: 5, value: 85, "aria-label": "Share to hide" });
  const percent = h("output", { class: "etviz-percent" });
  const tellShare = () => {
    percent.textContent = `${slider.value}%`;
    slider.style.setProperty("--share", (slider.value - 5) / 90);
    slider.setAttribute("aria-valuetext", `${slider.value} percent`);
  };
  // Moving the slider draws at once with the same seed, so that the reader sees what each share looks like.
  slider.addEventListener("input", () => {
    tellShare();
    onMask(drawn(size(), share(), seed()), { passing: true });
  });
  slider.addEventListener("change", () => onMask(mask()));
  tellShare();

  const button = (key) => {
    const [name, title, make] = presets[key];
    const attributes = {
      type: "button",
      title: `${title} (${key})`,
      "aria-keyshortcuts": key,
      click: () => onMask(make()),
    };
    if (name === "Random") attributes["aria-label"] = "Random mask"; // there is a Random for pictures too
    return h("button", attributes, name);
  };
  const icon = (text, title, act) =>
    h("button", { type: "button", title, "aria-label": title, class: "etviz-icon", click: act }, text);
  const bar = h(
    "div",
    { class: "etviz-tools", role: "toolbar", "aria-label": "Mask tools" },
    h("span", { class: "etviz-random" }, button(1), slider, percent),
    button(6),
    button(0),
    icon("↶", "Undo (Ctrl+Z)", onUndo),
    icon("↷", "Redo (Ctrl+Shift+Z)", onRedo),
  );

  const brushes = createSwitch({ label: "Brush", options: BRUSH_OPTIONS, chosen: "one", onChoose: onBrush });
  const seedField = createSeedField({
    onSeed(value) {
      onSeed(value);
      onMask(drawn(size(), share(), value));
    },
    onProblem,
  });
  const hex = createHexField({ size, onMask, onProblem });
  const files = createMaskFiles({ mask, patchSize, limit, onMask, onProblem });

  const group = (name, ...children) =>
    h("div", { class: "etviz-group", role: "group", "aria-label": name }, h("span", {}, name), ...children);
  const field = (name, input, words = null) => h("label", { class: "etviz-group" }, h("span", {}, name), input, words);
  const more = h(
    "details",
    { class: "etviz-more" },
    h("summary", {}, "More masks, brushes and keys"),
    group("Hide", button(2), button(3), button(4), button(5)),
    h("div", { class: "etviz-group" }, h("span", {}, "Brush"), brushes.node),
    field("Seed", seedField, h("small", { class: "etviz-hint" }, "for random masks, as in etviz.random_mask")),
    field("Hex", hex),
    group("PNG", ...files, h("small", { class: "etviz-hint" }, "white is hidden")),
    ...KEYS.map((line) => h("p", { class: "etviz-hint" }, line)),
  );

  return {
    bar,
    more,
    /** Act on a number key. Returns whether it was one. */
    press(key) {
      if (!presets[key]) return false;
      onMask(presets[key][2]());
      return true;
    },
    show(text) {
      if (document.activeElement !== hex) hex.value = text;
    },
    showSeed(value) {
      seedField.value = value;
    },
  };
}

function createSeedField({ onSeed, onProblem }) {
  const field = h("input", {
    type: "number",
    min: 0,
    max: MAX_SEED,
    step: 1,
    value: 0,
    class: "etviz-seed",
    "aria-label": "Seed of random masks",
  });
  field.addEventListener("change", () => {
    const value = Number(field.value);
    const good = field.value !== "" && isSeed(value);
    if (good) onSeed(value);
    onProblem(good ? "" : `A seed is a whole number from 0 to ${MAX_SEED}.`);
  });
  return field;
}

function createHexField({ size, onMask, onProblem }) {
  const field = h("input", {
    type: "text",
    class: "etviz-hex",
    spellcheck: "false",
    autocomplete: "off",
    "aria-label": "Mask in hexadecimal",
  });
  field.addEventListener("focus", () => field.select());
  field.addEventListener("change", () => {
    const text = field.value.trim();
    if (isMaskHex(text, size())) return onMask(text.toLowerCase());
    const wanted = `a mask of ${size()} patches, which has ${size() / 4} hexadecimal digits`;
    return onProblem(`“${text.slice(0, 40)}” is not ${wanted}.`);
  });
  return field;
}

/** Buttons that download the mask as a picture and upload another. */
function createMaskFiles({ mask, patchSize, limit, onMask, onProblem }) {
  const file = h("input", {
    type: "file",
    accept: "image/png,image/jpeg,image/webp",
    class: "etviz-file is-mask",
    tabindex: "-1",
    "aria-hidden": "true",
  });
  file.addEventListener("change", async () => {
    const { mask: read, error } = await readMask(file.files[0], mask().length, limit);
    file.value = ""; // so that the same file can be chosen again
    if (error) onProblem(error);
    else onMask(read);
  });
  const button = (text, label, title, click) =>
    h("button", { type: "button", "aria-label": label, title, click }, text);
  const [down, up] = [
    "A PNG of the picture's size: white is hidden",
    "A picture of any size: white or transparent is hidden",
  ];
  return [
    button("Download", "Download the mask", down, () => downloadMask(mask(), patchSize())),
    button("Upload…", "Upload a mask", up, () => file.click()),
    file,
  ];
}

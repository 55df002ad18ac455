/** What one can do to a mask without painting it patch by patch. */

import { blockMask, centerMask, gridMask, isMaskHex, nextHalf, randomMask } from "./masks.js";
import { h } from "./tools.js";

const BRUSH_NAMES = { one: "1", four: "2×2", row: "Row", column: "Column" };
const BRUSH_TITLES = { one: "One patch", four: "Two by two patches", row: "A whole row", column: "A whole column" };

/**
 * Two nodes: `bar` for what is always there, `more` for what folds away. `mask()` gives the present mask,
 * `onMask(mask)` takes a new one, `onBrush(name)` a brush, `onProblem(sentence)` what is wrong with a hex.
 */
export function createToolbar({ mask, onMask, onBrush, onUndo, onRedo, onProblem }) {
  const size = () => mask().length;
  const share = () => Number(slider.value) / 100;
  const inverted = () => mask().map((bit) => 1 - bit);
  // By key: name, title, and the mask.
  const presets = {
    1: ["Random", "Hide this share of the patches, at random", () => randomMask(size(), share())],
    2: ["Block", "Hide this share of the patches in one block, at a random place", () => blockMask(size(), share())],
    3: ["Grid", "Hide every second patch, as on a chessboard", () => gridMask(size())],
    4: ["Centre", "Hide the square in the middle", () => centerMask(size())],
    5: ["Half", "Hide one half; again for the next", () => nextHalf(mask())],
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
  // Moving it draws anew at once: what 40% looks like is on screen while one looks for 40%.
  slider.addEventListener("input", () => {
    tellShare();
    onMask(randomMask(size(), share()), { passing: true });
  });
  slider.addEventListener("change", () => onMask(mask()));
  tellShare();

  const button = (key) => {
    const [name, title, make] = presets[key];
    const attributes = { type: "button", title: `${title} (${key})`, "aria-keyshortcuts": key, click: () => onMask(make()) };
    if (name === "Random") attributes["aria-label"] = "Random mask"; // pictures have a Random too
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

  const brushes = Object.keys(BRUSH_NAMES).map((name) => {
    const choose = () => {
      brushes.forEach((other) => other.setAttribute("aria-pressed", other === chosen));
      onBrush(name);
    };
    const attributes = { title: BRUSH_TITLES[name], "aria-label": BRUSH_TITLES[name], "aria-pressed": String(name === "one") };
    const chosen = h("button", { type: "button", ...attributes, click: choose }, BRUSH_NAMES[name]);
    return chosen;
  });
  const hex = h("input", { type: "text", class: "etviz-hex", spellcheck: "false", autocomplete: "off", "aria-label": "Mask in hexadecimal" });
  hex.addEventListener("focus", () => hex.select());
  hex.addEventListener("change", () => {
    const text = hex.value.trim();
    if (isMaskHex(text, size())) return onMask(text.toLowerCase());
    return onProblem(`A mask of ${size()} patches is ${size() / 4} hexadecimal digits, not “${text.slice(0, 40)}”.`);
  });
  const group = (name, ...children) => h("div", { class: "etviz-group", role: "group", "aria-label": name }, h("span", {}, name), ...children);
  const more = h(
    "details",
    { class: "etviz-more" },
    h("summary", {}, "More masks and brushes"),
    group("Hide", button(2), button(3), button(4), button(5)),
    group("Brush", h("div", { class: "etviz-switch" }, ...brushes)),
    h("label", { class: "etviz-group" }, h("span", {}, "Hex"), hex),
    h("p", { class: "etviz-hint" }, "Keys: 1 random, 2 block, 3 grid, 4 centre, 5 half, 6 invert, 0 clear, Ctrl+Z undo."),
  );

  return {
    bar,
    more,
    /** Act on a number key; whether it was one. */
    press(key) {
      if (!presets[key]) return false;
      onMask(presets[key][2]());
      return true;
    },
    show(text) {
      if (document.activeElement !== hex) hex.value = text;
    },
  };
}

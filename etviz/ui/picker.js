/** Choosing what to look at: a picture, a model. */

import { draw, rgb } from "./pixels.js";
import { bytes, clamp, h } from "./tools.js";

export function createPicker(start, { onPicture, onFile }) {
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
      start.count > 1 ? h("button", { type: "button", "aria-label": "Random picture", click: random }, "Random") : null,
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

export function createModelMenu(start, onModel) {
  const models = start.models ?? [];
  if (!models.length) return null;
  const facts = h("span", { class: "etviz-facts" });
  const menu = h("select", { "aria-label": "Model" }, ...models.map((model) => h("option", { value: model.name }, model.name)));
  menu.addEventListener("change", () => onModel(menu.value));
  const name = models.length > 1 ? menu : h("b", {}, models[0].name);
  return {
    node: h("div", { class: "etviz-model" }, name, facts),
    show(model, snapshot = null) {
      if (![...menu.options].some((option) => option.value === model)) {
        menu.append(h("option", { value: model }, model)); // a run, which no menu knew at the start
        name.replaceWith(menu);
      }
      menu.value = model;
      const known = models.find((entry) => entry.name === model)?.facts ?? "";
      facts.textContent = snapshot ? `As it was in training, at ${snapshot.replace(".safetensors", "")}` : known;
    },
  };
}

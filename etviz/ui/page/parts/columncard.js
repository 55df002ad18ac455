/** One column of a comparison: its model and settings, its picture, and the difference to another picture. */

import { epochOptions } from "../lib/catalogue.js";
import { column, LETTERS, MARKS } from "../lib/columns.js";
import { differencePicture, draw } from "../lib/pixels.js";
import { format, h } from "../lib/tools.js";
import { RULES_EXPLAINED, ruleOptions } from "./settings.js";

export const DIFFERENCE_CEILING = 0.3; // absolute difference drawn in the brightest colour

/**
 * `onChange(column)` when the reader changes it, `onRemove()` when it is to go.
 *
 *   show(column, count, catalogue)        the column, of so many, or null for none
 *   say(text)                             a sentence in place of pictures, or ""
 *   clear()                               no pictures
 *   picture(size, pixel, caption)         what the column makes of the picture
 *   reference(size, pixel)                the original, in place of a difference
 *   difference(size, pixel, other, name)  the difference to another picture
 *   noDifference(text)                    why there is none
 */
export function createColumnCard(index, { onChange, onRemove }) {
  const letter = LETTERS[index];
  const named = (name) => `${name} of column ${letter}`;
  const model = h("select", {
    "aria-label": named("Model"),
    change: () => onChange(column(model.value, descentOf())), // at its final weights
  });
  const epoch = h("select", { "aria-label": named("Epoch"), change: send });
  const field = (name, title) =>
    h("input", { type: "number", step: "any", min: 0, "aria-label": named(name), title, change: send });
  const stepSize = field("Step size", "Step size α of x ← x − α ∂E/∂g. Empty: the model's own");
  const beta = field(
    "Beta",
    "Inverse temperature β of the attention: a different β is a different energy. Empty: the model's own",
  );
  const rule = h(
    "select",
    {
      "aria-label": named("Step rule"),
      title: RULES_EXPLAINED,
      change: send,
    },
    ...ruleOptions(),
  );
  const remove = h(
    "button",
    { type: "button", class: "etviz-icon", "aria-label": `Remove column ${letter}`, click: onRemove },
    "×",
  );
  const [picture, other] = ["Completed picture", "Difference"].map((name) => createTile(name));
  const sentence = h("p", { class: "etviz-hint", hidden: true });
  const node = h(
    "section",
    { class: `etviz-column is-${MARKS[index]}`, "aria-label": `Column ${letter}` },
    h("div", { class: "etviz-column-head" }, h("b", {}, h("i", { class: "etviz-key" }), letter), model, remove),
    h("div", { class: "etviz-column-settings" }, epoch, rule, h("label", {}, "α", stepSize), h("label", {}, "β", beta)),
    sentence,
    h("div", { class: "etviz-pair" }, picture.node, other.node),
  );

  function createTile(name) {
    const canvas = h("canvas", { role: "img", "aria-label": `${name}, column ${letter}` });
    const caption = h("figcaption");
    return { canvas, caption, node: h("figure", {}, h("div", { class: "etviz-canvas" }, canvas), caption) };
  }

  function number(input) {
    return input.value === "" ? null : Number(input.value);
  }

  function descentOf() {
    return { step_size: number(stepSize), beta: number(beta), rule: rule.value === "fixed" ? null : rule.value };
  }

  function send() {
    onChange(column(model.value, { snapshot: epoch.value || null, ...descentOf() }));
  }

  function fillMenus(entry, catalogue, runs) {
    const names = runs.some((run) => run.name === entry.model) ? runs : [...runs, { name: entry.model }];
    model.replaceChildren(
      ...names.map((run) => h("option", { value: run.name, disabled: Boolean(run.problem) }, run.name)),
    );
    model.value = entry.model;
    const run = catalogue.get(entry.model);
    epoch.replaceChildren(...epochOptions(run));
    epoch.value = entry.snapshot ?? "";
    for (const control of [stepSize, beta, rule]) control.disabled = run?.energy === false;
    stepSize.placeholder = run?.step_size ? format(run.step_size, 2) : "";
    beta.placeholder = run?.beta ? format(run.beta, 3) : "";
  }

  function blank(tile, text) {
    tile.canvas.getContext("2d").clearRect(0, 0, tile.canvas.width, tile.canvas.height);
    tile.caption.textContent = text;
  }

  return {
    node,
    async show(entry, count, catalogue) {
      node.hidden = entry === null;
      if (!entry) return;
      remove.hidden = count <= 2;
      fillMenus(entry, catalogue, await catalogue.list());
      stepSize.value = entry.step_size ?? "";
      beta.value = entry.beta ?? "";
      rule.value = entry.rule ?? "fixed";
    },
    say(text) {
      sentence.textContent = text;
      sentence.hidden = !text;
    },
    clear() {
      blank(picture, "");
      blank(other, "");
    },
    picture(size, pixel, caption) {
      draw(picture.canvas, size, pixel);
      picture.caption.textContent = caption;
    },
    reference(size, pixel) {
      draw(other.canvas, size, pixel);
      other.caption.textContent = "the original";
    },
    difference(size, a, b, name) {
      const apart = differencePicture(a, b, DIFFERENCE_CEILING);
      draw(other.canvas, size, apart.picture);
      other.caption.textContent = `to ${name}: ${apart.mean.toFixed(3)}`;
      other.caption.title = "Mean absolute difference over all pixels and channels, of values in 0..1";
    },
    noDifference(text) {
      blank(other, text);
    },
  };
}

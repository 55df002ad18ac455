/** The settings of the descent: their controls, and a chip that says when they are not the model's own. */

import { clamp, h } from "../lib/tools.js";

const DECADES = 2; // that the sliders of step size and beta reach on both sides of the model's own value
const TOLD = {
  steps: (value) => `${value} steps`,
  step_size: (value) => `step size ${rounded(value)}`,
  beta: (value) => `β ${rounded(value)}`,
};

/** How a step is taken, by the names of etviz/models/descent.py: in a menu, and in the chip. */
export const RULES = {
  fixed: { name: "fixed", chip: "" },
  backtracking: { name: "backtracking", chip: "backtracking" },
  sphere: { name: "sphere", chip: "on the sphere" },
};
export const RULES_EXPLAINED =
  "Fixed takes every step as asked. Backtracking halves a step until the energy no longer rises. " +
  "Sphere layer-norms the tokens after every step: the energy stays the same, and the descent converges";

export const ruleOptions = () => Object.entries(RULES).map(([value, { name }]) => h("option", { value }, name));

const rounded = (value) => Number(value.toPrecision(3));
const isOwn = (value, own) => Math.abs(value - own) <= 1e-6 * own;

/** What differs from the model's own settings, in words. */
export function differences(settings) {
  const { own, rule, settle } = settings;
  const numbers = Object.keys(TOLD).filter((key) => !(key === "steps" && settle) && !isOwn(settings[key], own[key]));
  const switches = [RULES[rule]?.chip ?? rule, settle ? "until it settles" : ""];
  return [...numbers.map((key) => TOLD[key](settings[key])), ...switches.filter(Boolean)];
}

/** A note that the settings are not the model's own, with a button to reset them; hidden otherwise. */
export function createSettingsChip({ onReset }) {
  const words = h("span");
  const reset = h(
    "button",
    { type: "button", "aria-label": "Reset to the model's own settings", click: onReset },
    "Reset",
  );
  const node = h(
    "div",
    {
      class: "etviz-chip",
      hidden: true,
      title: "The descent on screen does not use the settings the model was trained with",
    },
    words,
    reset,
  );
  return {
    node,
    show(settings) {
      const told = differences(settings);
      node.hidden = !told.length;
      words.textContent = told.join(" · ");
    },
  };
}

/** A slider and a number field for one setting; `toPlace` and `toValue` convert between values and slider positions. */
function createNumberSetting({ name, title, range, field, toPlace, toValue, onChange }) {
  const slider = h("input", { type: "range", ...range, "aria-label": name });
  const number = h("input", { type: "number", ...field, "aria-label": `${name}, as a number` });
  const node = h("div", { class: "etviz-setting", title }, h("span", {}, name), slider, number);
  let value = null;

  function show(next) {
    value = next;
    const place = clamp(toPlace(value), Number(slider.min), Number(slider.max));
    slider.value = place;
    slider.style.setProperty("--share", (place - slider.min) / (slider.max - slider.min));
    slider.setAttribute("aria-valuetext", String(rounded(value)));
    number.value = rounded(value);
  }

  function take(next, passing) {
    show(next);
    onChange(next, passing);
  }

  slider.addEventListener("input", () => take(toValue(Number(slider.value)), true));
  slider.addEventListener("change", () => take(toValue(Number(slider.value)), false));
  number.addEventListener("change", () => {
    if (number.value === "") show(value);
    else take(Number(number.value), false);
  });
  return {
    node,
    show,
    disable(whether) {
      slider.disabled = number.disabled = whether;
    },
  };
}

/** The controls of the descent's settings. */
export function createSettings(app) {
  const { limits } = app.start;
  const settling =
    `Until the part of the gradient that turns tokens is at most ${100 * limits.settled}% of the whole, ` +
    `at most ${limits.settling_steps} steps. By fixed steps it hardly ever is`;
  let now = null; // as chosen, perhaps ahead of the descent on screen
  const own = (key) => now.own[key];
  const logarithmic = (key, name, title) =>
    createNumberSetting({
      name,
      title,
      range: { min: -DECADES, max: DECADES, step: 0.02 },
      field: { min: 0.000001, max: 1000000, step: "any" },
      toPlace: (value) => (value > 0 ? Math.log10(value / own(key)) : -DECADES),
      toValue: (place) => (Math.abs(place) < 0.01 ? own(key) : rounded(own(key) * 10 ** place)),
      onChange: (value, passing) => apply({ [key]: value }, passing),
    });
  const numbers = {
    step_size: logarithmic("step_size", "Step size α", "How far each step goes down the gradient: x ← x − α ∂E/∂g"),
    beta: logarithmic(
      "beta",
      "Beta β",
      "Inverse temperature of the attention, which sets how sharp it is. Changing it changes the energy itself",
    ),
    steps: createNumberSetting({
      name: "Steps",
      title: "Number of descent steps",
      range: { min: 1, max: limits.steps, step: 1 },
      field: { min: 1, max: limits.steps, step: 1 },
      toPlace: (value) => value,
      toValue: (place) => place,
      onChange: (value, passing) => apply({ steps: value }, passing),
    }),
  };
  const toggle = (change) => h("input", { type: "checkbox", change });
  const rule = h("select", { change: () => apply({ rule: rule.value }) }, ...ruleOptions());
  const settle = toggle(() => apply({ settle: settle.checked }));
  const check = (input, text, title) => h("label", { class: "etviz-check", title }, input, text);
  const reset = h(
    "button",
    { type: "button", click: () => ask({}, { ...now, ...now.own, rule: "fixed", settle: false }) },
    "Model’s own",
  );
  const node = h(
    "section",
    { class: "etviz-settings", "aria-label": "Settings of the descent" },
    h("div", { class: "etviz-head" }, h("h2", {}, "Descent"), reset),
    ...Object.values(numbers).map((number) => number.node),
    h(
      "div",
      { class: "etviz-switches" },
      h("label", { class: "etviz-rule-choice", title: RULES_EXPLAINED }, "Step rule", rule),
      check(settle, "Run until it settles", settling),
    ),
    h(
      "p",
      { class: "etviz-hint" },
      "A different β is a different energy: do not compare its curves with the model’s own.",
    ),
  );

  /** While `passing`, it makes no entry in the browser's history. */
  function apply(part, passing = false) {
    const { steps, step_size, beta, rule: by, settle: until } = { ...now, ...part };
    ask({ steps, step_size, beta, rule: by, settle: until }, { ...now, ...part }, passing);
  }

  async function ask(settings, next, passing = false) {
    show(next);
    await app.change({ settings }, { remember: !passing });
    if (now === next) show(app.answer.settings); // which are the old ones where these were refused
  }

  function show(settings) {
    now = settings;
    for (const [key, number] of Object.entries(numbers)) number.show(settings[key]);
    numbers.steps.disable(settings.settle);
    rule.value = settings.rule;
    settle.checked = settings.settle;
    reset.disabled = !differences(settings).length;
  }

  return { node, show };
}

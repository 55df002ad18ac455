/** A row of buttons of which one is chosen. */

import { h } from "../lib/tools.js";

/**
 * `options` are {text, title?, "aria-label"?} by name; `onChoose(name)` when the reader chooses one.
 *
 * @param {{label: string, options: Record<string, Record<string, string>>, chosen: string,
 *   onChoose: (name: string) => void}} settings
 */
export function createSwitch({ label, options, chosen, onChoose }) {
  const buttons = Object.entries(options).map(([name, { text, ...attributes }]) => {
    const pressed = String(name === chosen);
    return h("button", { type: "button", ...attributes, "aria-pressed": pressed, click: () => choose(name) }, text);
  });

  function show(name) {
    const names = Object.keys(options);
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", names[i] === name));
  }

  function choose(name) {
    show(name);
    onChoose(name);
  }

  const node = h("div", { class: "etviz-switch", role: "group", "aria-label": label }, ...buttons);
  return { node, show };
}

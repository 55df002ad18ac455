/** A word with an explanation, for the pointer and for the keyboard. */

import { h } from "../lib/tools.js";

let terms = 0;

/** `name` as a quiet button, which shows `text` while the pointer is on it or it has the focus. */
export function createTerm(name, text) {
  terms += 1;
  const id = `etviz-term-${terms}`;
  return h(
    "span",
    { class: "etviz-term" },
    h("button", { type: "button", "aria-describedby": id }, name),
    h("span", { role: "tooltip", id, class: "etviz-tip" }, text),
  );
}

/**
 * Keys and dropped files, wherever on the page they come.
 *
 * @import { Page } from "../lib/types.d.ts"
 */

const TYPING = "input[type=number], input[type=text], select"; // where keys mean characters

/** @param {Page} page */
export function listen(page) {
  page.root.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.matches(TYPING); // which has an undo of its own
    if (!page.state.veil && !typing && press(page, event)) event.preventDefault();
  });
  if (page.parts.uploads) listenForDrops(page);
}

/** Act on a key; whether it is one of the page's. @param {Page} page @param {KeyboardEvent} event */
function press({ live, parts, acting }, event) {
  const control = event.ctrlKey || event.metaKey;
  if (!control && !event.altKey) return (live && parts.tools.press(event.key)) || parts.transport.press(event.key);
  if (!live || !control || event.key.toLowerCase() !== "z") return false;
  if (event.shiftKey) acting.redo();
  else acting.undo();
  return true;
}

/** @param {Page} page */
function listenForDrops({ root, state, parts }) {
  root.addEventListener("dragover", (event) => event.preventDefault());
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file && !state.veil) parts.uploads.take(file);
  });
}

/**
 * Keys and dropped files, wherever on the page they come.
 *
 * @import { Page } from "../lib/types.d.ts"
 */

const TYPING = "input[type=number], input[type=text], textarea, select, [contenteditable]"; // where keys mean characters

/** @param {Page} page */
export function listen(page) {
  const { root, state, host } = page;
  const act = (event) => {
    if (!state.veil && isOurs(root, event.target) && press(page, event)) event.preventDefault();
  };
  // Alone in its window, the page also gets keys where nothing has the focus: when it has just opened, for instance.
  (host.alone ? root.ownerDocument : root).addEventListener("keydown", act);
  if (page.parts.uploads) listenForDrops(page);
}

/** Whether a key is meant for the page: pressed in it or nowhere, and not where it is a character. */
function isOurs(root, target) {
  const nowhere = target === root.ownerDocument.body || target === root.ownerDocument.documentElement;
  if (!(target instanceof Element) || target.matches(TYPING)) return false; // a field has an undo of its own
  return nowhere || root.contains(target);
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

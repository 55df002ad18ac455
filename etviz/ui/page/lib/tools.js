/** Small tools: elements, bytes, numbers in words. */

/** An element with attributes (functions become listeners) and children. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
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

/** Base64 as bytes; bytes stay as they are. @param {string | Uint8Array} given @returns {Uint8Array<ArrayBuffer>} */
export function bytes(given) {
  if (typeof given !== "string") return /** @type {Uint8Array<ArrayBuffer>} */ (given);
  const characters = atob(given);
  const found = new Uint8Array(characters.length);
  for (let i = 0; i < found.length; i++) found[i] = characters.charCodeAt(i); // a callback would take ten times as long
  return found;
}

/**
 * float32, little-endian, as etviz.ui.payload.encode_floats writes them; or numbers as they are.
 *
 * @param {string | Float32Array} base64
 */
export function floats(base64) {
  if (typeof base64 !== "string") return base64;
  return new Float32Array(bytes(base64).buffer);
}

/** Whether a text from an address is one of the numbers 0 to `count` - 1. */
export const isNumberBelow = (text, count) => /^\d+$/.test(text ?? "") && Number(text) < count;

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A number for reading: thousands separated, a true minus sign, about `digits` significant digits. */
export function format(value, digits = 5) {
  return Number.isFinite(value) ? fixed(value, decimalsFor(value, digits)) : "–";
}

/** How many decimals show a number to `digits` significant digits. */
export function decimalsFor(value, digits) {
  const whole = value === 0 ? 1 : Math.floor(Math.log10(Math.abs(value))) + 1;
  return clamp(digits - whole, 0, 6);
}

// Made once, since the views write hundreds of numbers for each frame.
const FORMATS = Array.from({ length: 7 }, (_, decimals) => {
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat("en-US", { ...digits, signDisplay: "negative" });
});

export function fixed(value, decimals) {
  return FORMATS[decimals].format(value).replace("-", "−");
}

export const steps = (list) => `${list.length === 1 ? "step" : "steps"} ${list.join(", ")}`;

/**
 * The page's state in its address, so that a link shows what its sender saw.
 *
 * @import { Picture, Settings, Shareable, Travelled } from "./types.d.ts"
 */

const NUMBERS = ["steps", "step_size", "beta"];
const LINKED = ["columns", "run", "epoch", "head", "memory", "noise", "noise_seed", "axis", "scale"]; // views keep them, as text
const BURST_MS = 1500; // masks that follow each other sooner are one entry of the history

/** The state as a query string; what is null is left out. @param {Shareable} state */
export function toQuery({ picture, model, snapshot, mask, settings, seed, step, tab, patch, linked = {} }) {
  const source = "pixels" in picture ? { dataset: "upload" } : { dataset: picture.dataset, image: picture.index };
  const { steps, step_size, beta, rule, settle } = settings;
  const rules = { rule: rule === "fixed" ? null : rule, settle: settle ? 1 : null };
  const all = { ...source, mask, model, snapshot, steps, step_size, beta, ...rules, seed, step, tab, patch, ...linked };
  const given = Object.entries(all).filter(([, value]) => value !== null && value !== undefined);
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
}

/**
 * The state in a query string, as far as it says; `known` is the picture that "upload" stands for.
 *
 * @param {string} query @param {Picture | null} known @returns {Travelled}
 */
export function fromQuery(query, known = null) {
  const given = new URLSearchParams(query);
  const number = (name) => {
    if (!given.has(name)) return undefined;
    const text = given.get(name);
    return text.trim() && Number.isFinite(Number(text)) ? Number(text) : text; // the server says what is wrong with it
  };
  const state = { mask: given.get("mask")?.toLowerCase(), model: given.get("model"), snapshot: given.get("snapshot") };
  Object.assign(state, { seed: number("seed"), step: number("step"), patch: number("patch"), tab: given.get("tab") });
  if (given.get("dataset") === "upload") state.picture = known ?? "lost";
  else if (given.has("image")) state.picture = { dataset: given.get("dataset") ?? undefined, index: number("image") };
  /** @type {Settings} */
  const settings = Object.fromEntries(NUMBERS.filter((name) => given.has(name)).map((name) => [name, number(name)]));
  if (given.has("rule")) settings.rule = given.get("rule");
  if (given.has("settle")) settings.settle = given.get("settle") === "1";
  if (Object.keys(settings).length) state.settings = settings;
  state.linked = Object.fromEntries(LINKED.filter((name) => given.has(name)).map((name) => [name, given.get(name)]));
  if (!Object.keys(state.linked).length) state.linked = null;
  return Object.fromEntries(Object.entries(state).filter(([, value]) => value !== null && value !== undefined));
}

/**
 * Keeps the address of `page` in step with the state; it is a window, or null where the host has no address.
 * `onTravel(state)` is called when the reader goes back or forward.
 *
 * @param {Window | null} page @param {(state: Travelled) => void} onTravel
 */
export function createAddress(page, onTravel) {
  if (!page) return { read: () => ({}), push(_state, _what) {}, replace(_state) {} };
  let timer = null;
  let lastStroke = -Infinity; // when the newest entry was made, if it is that of a mask
  const write = (method, state) => {
    clearTimeout(timer);
    // An uploaded picture is too large for an address: it stays in this browser's history.
    const picture = "pixels" in state.picture ? state.picture : null;
    // The host keeps parameters of its own there.
    const theirs = [...new URLSearchParams(page.location.search)].filter(([name]) => name.startsWith("__"));
    page.history[method](
      { picture },
      "",
      `?${new URLSearchParams([...theirs, ...new URLSearchParams(toQuery(state))])}`,
    );
  };
  const read = () => fromQuery(page.location.search, page.history.state?.picture ?? null);
  page.addEventListener("popstate", () => {
    clearTimeout(timer); // a write that still waits belongs to the state that was left
    onTravel(read());
  });
  return {
    read,
    /** @param {Shareable} state @param {{stroke?: boolean}} [what] whether it follows a stroke of the painter */
    push(state, { stroke = false } = {}) {
      const now = performance.now();
      write(stroke && now - lastStroke < BURST_MS ? "replaceState" : "pushState", state);
      lastStroke = stroke ? now : -Infinity;
    },
    /** Browsers allow about a hundred changes a minute, so scrubbing is written once it rests. */
    replace(state) {
      clearTimeout(timer);
      timer = setTimeout(write, 250, "replaceState", state);
    },
  };
}

/**
 * The explorer: paint a mask over a picture, then walk through the descent that fills it in.
 *
 * ES modules without dependencies, for any host. `createExplorer(root, host)` draws into a DOM element. The host says
 * what to show first, and answers questions; see `Host`, `View` and `App` in lib/types.d.ts.
 *
 * An answer holds all states of one descent (see etviz/ui/payload.py), so scrubbing asks nobody. A mask is written in
 * hexadecimal, row by row, with patch 0 as the highest bit: the convention of etviz.masks.
 *
 * The modules in explorer/ share one `page`: its state, the history of its masks, asking, acting and drawing. Views see
 * `app`, which is the state together with the few ways to change it.
 *
 * @import { App, Host, Page } from "./lib/types.d.ts"
 */

import { createActing } from "./explorer/acting.js";
import { createAsking } from "./explorer/asking.js";
import { createDrawing } from "./explorer/drawing.js";
import { createHistory } from "./explorer/history.js";
import { createLayout, createParts } from "./explorer/layout.js";
import { listen } from "./explorer/listening.js";
import { createState, pixelAt, questionOf } from "./explorer/state.js";
import { createAddress } from "./lib/address.js";
import { unpackSheets } from "./lib/sheets.js";
import { createAttentionView } from "./views/attention.js";
import { createCompareView } from "./views/compare.js";
import { createEnergyView } from "./views/energy.js";
import { createExploreView } from "./views/explore.js";
import { createGuideView } from "./views/guide.js";
import { createLandscapeView } from "./views/landscape.js";
import { createMemoriesView } from "./views/memories.js";
import { createTrainingView } from "./views/training.js";

const VIEWS = [
  createExploreView,
  createEnergyView,
  createAttentionView,
  createMemoriesView,
  createLandscapeView,
  createCompareView,
  createTrainingView,
  createGuideView,
];
const REPLAYED = [createExploreView]; // those that ask for nothing more than the descent

/** @param {HTMLElement} root @param {Host} host */
export function createExplorer(root, host) {
  const page = createPage(root, unpacking(host));
  const { state, acting } = page;
  root.replaceChildren(page.layout.node);
  root.classList.add("etviz");
  listen(page);
  page.parts.painter.show(state.mask);
  settleIn(page);
  const { travelTo, openTab, setMask, setStep } = acting;
  return { change: page.asking.change, setMask, setStep, openTab, travelTo };
}

/** Begin, once large pictures of the first answer are unpacked; small ones need no waiting. @param {Page} page */
function settleIn(page) {
  const unpacked = unpackSheets(page.start.answer);
  if (unpacked instanceof Promise) {
    unpacked.then((answer) => {
      page.start.answer = answer;
      begin(page);
    });
  } else begin(page);
}

/** A host whose answers hold large pictures as bytes. @param {Host} host @returns {Host} */
const unpacking = (host) =>
  host.ask ? { ...host, ask: async (question) => unpackSheets(await host.ask(question)) } : host;

/** The page's modules know each other through the page, which grows from what needs nothing to what needs all. */
function createPage(root, host) {
  const { start } = host;
  const [state, history] = [createState(start), createHistory(start.answer.mask)];
  const page = /** @type {Page} */ ({ root, host, start, live: Boolean(host.ask), state, history });
  page.asking = createAsking(page);
  page.drawing = createDrawing(page);
  page.acting = createActing(page);
  page.app = createApp(page);
  page.views = (page.live ? VIEWS : REPLAYED)
    .map((create) => create(page.app))
    .filter(({ name }) => host.views?.includes(name) ?? true);
  page.parts = createParts(page);
  page.layout = createLayout(page);
  page.address = createAddress(host.address ?? null, page.acting.travelTo);
  return page;
}

/** @param {Page} page @returns {App} */
function createApp({ state, start, host, asking, acting, drawing }) {
  const { setStep, setSeed, setMask, choosePatch, openTab, lead, link } = acting;
  return Object.assign(state, {
    start,
    host,
    question: () => questionOf(state.answer),
    pixel: (step, { keep = true } = {}) => pixelAt(state, step, keep),
    linked: (name) => state.links[name] ?? null,
    change: asking.change,
    offer: asking.offer,
    setVeil: drawing.setVeil,
    say: drawing.say,
    ...{ setStep, setSeed, setMask, choosePatch, openTab, lead, link },
  });
}

/** Show what the address says, or the first answer, in motion, which shows what this is about. @param {Page} page */
function begin({ start, address, acting, drawing, parts }) {
  const there = address.read();
  if (Object.keys(there).length) {
    acting.travelTo(there);
    return;
  }
  drawing.showTab("explore");
  drawing.show(start.answer);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) parts.transport.start();
}

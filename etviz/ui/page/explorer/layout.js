/**
 * The page around the views: the parts with what they act on, and where each stands.
 *
 * @import { Page } from "../lib/types.d.ts"
 */

import { h } from "../lib/tools.js";
import { createPainter } from "../parts/painter.js";
import { createModelMenu, createPicker } from "../parts/picker.js";
import { createPreview } from "../parts/preview.js";
import { createSettingsChip } from "../parts/settings.js";
import { createShare } from "../parts/share.js";
import { createTabs } from "../parts/tabs.js";
import { createToolbar } from "../parts/toolbar.js";
import { createTransport } from "../parts/transport.js";
import { createUploads } from "../parts/uploads.js";
import { OWN } from "./state.js";

const HINT = "Drag to hide or show patches, or use arrow keys and space.";

/** @param {Page} page */
export function createParts(page) {
  const { state, start, host, asking, acting, drawing, live } = page;
  const painter = createPainter({ onPaint: drawing.showMask, onStroke: acting.endStroke });
  const uploads = start.uploads ? createUploadsOf(page) : null;
  const address = host.address ? () => host.address.location.href : null;
  return {
    painter,
    preview: createPreview(),
    uploads,
    tools: createToolbar({
      mask: () => state.mask,
      seed: () => state.seed,
      patchSize: () => state.answer.size / Math.sqrt(state.mask.length),
      limit: start.limits?.file,
      onMask: acting.setMask,
      onSeed: acting.setSeed,
      onBrush: painter.setBrush,
      onUndo: acting.undo,
      onRedo: acting.redo,
      onProblem: drawing.say,
    }),
    transport: createTransport({
      onStep: drawing.showStep,
      onSteps: asking.goOn,
      most: start.limits?.steps ?? start.answer.energy.length - 1,
    }),
    picker: createPicker(start, {
      onPicture: acting.pick,
      onProblem: drawing.say,
      ask: host.ask,
      extra: uploads?.controls,
    }),
    models: createModelMenu(start, acting.chooseModel, acting.getModel),
    chip: createSettingsChip({ onReset: () => asking.change({ settings: OWN }) }),
    tabs: createTabs(page.views, acting.openTab),
    share: live ? createShare(page.app, address) : null,
  };
}

/** @param {Page} page */
function createUploadsOf({ start, host, state, asking, acting, drawing }) {
  return createUploads({
    limit: start.limits.file,
    readFile: (file, model = state.wanted.model) => host.readFile(file, model),
    onPicture: acting.pick,
    onBusy: asking.tellBusy,
    onProblem: drawing.say,
  });
}

/** @param {Page} page */
export function createLayout(page) {
  const { picker, uploads, tabs, transport } = page.parts;
  const notice = h("p", { class: "etviz-notice", role: "alert", hidden: true });
  const spoken = h("p", { class: "etviz-spoken", role: "status" });
  const openLeft = () => page.acting.openTab(page.state.from);
  const back = h("button", { type: "button", class: "etviz-back", hidden: true, click: openLeft });
  const { node: left, counter, caption } = createLeft(page);
  const list = page.views.length > 1 ? tabs.list : null;
  const right = h("div", { class: "etviz-right" }, list, back, ...tabs.panels, transport.node);
  const main = h("div", { class: "etviz-main" }, left, right);
  const note = uploads?.note.node ?? null;
  const node = h("div", { class: "etviz-page" }, createTop(page), picker.node, note, notice, main, spoken);
  return { node, left, counter, caption, notice, spoken, back };
}

/** The heading, and beside it the model, the settings and what may be shared. @param {Page} page */
function createTop({ start, live, parts }) {
  const { models, chip, share } = parts;
  const side = h("div", { class: "etviz-side" }, models?.node ?? null, live ? chip.node : null, share?.node ?? null);
  if (!start.heading) return side;
  const { title, text } = start.heading;
  return h("header", { class: "etviz-top" }, h("h1", {}, title), h("p", {}, text), side);
}

/** The painter with its tools. @param {Page} page */
function createLeft({ start, live, parts }) {
  const { painter, tools, preview } = parts;
  const counter = h("span", { class: "etviz-count" });
  const caption = h("p", { class: "etviz-caption" });
  const hints = [start.note, live ? HINT : null].filter(Boolean);
  const node = h(
    "section",
    { class: "etviz-left", "aria-label": "Mask", inert: !live },
    h("div", { class: "etviz-head" }, h("h2", {}, live ? "Paint to hide" : "The mask"), counter),
    painter.node,
    live ? tools.bar : null,
    preview.node,
    h("div", { class: "etviz-notes" }, caption, ...hints.map((text) => h("p", { class: "etviz-hint" }, text))),
    live ? tools.more : null,
  );
  return { node, counter, caption };
}

/**
 * Attention: where one patch looks, and what looks at it, at the page's step, over all heads and in each.
 *
 * @import { Attention } from "../lib/readings.d.ts"
 * @import { App, View } from "../lib/types.d.ts"
 */

import { createScale } from "../charts/colourbar.js";
import { patchName } from "../charts/patchmap.js";
import { createTokenMap, patchInView } from "../charts/tokenmap.js";
import { createReader } from "../lib/asker.js";
import { maskFromHex } from "../lib/masks.js";
import { draw, viridis } from "../lib/pixels.js";
import { clamp, floats, h, isNumberBelow } from "../lib/tools.js";
import { createHeads } from "../parts/heads.js";

const ROLE_TITLES = ["As a query", "As a key"];
const ROLE_LABELS = ["Where the patch looks; choose another", "Who looks at the patch; choose another"];
const WEIGHT_SCALE =
  "Attention weight (no unit). The colours follow its square root, and are the same at all steps and in both roles. All heads share one scale; their mean has its own";
const NO_EXPLANATION =
  "Attention is not an explanation: a weight says what is mixed, not why the picture comes out as it does.";
const STRONGEST_TOKENS = 3; // named beside the maps
const rootColour = (share) => viridis(Math.sqrt(clamp(share, 0, 1))); // which shows the many small weights
const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** A reading as weights by role, step and head. @param {Attention} reading */
function unpackAttention(reading) {
  const { states, heads, tokens } = reading;
  const weights = [floats(reading.as_query), floats(reading.as_key)];
  const entropy = floats(reading.entropy);
  const of = (role, step, head) => {
    if (head !== null)
      return weights[role].subarray((step * heads + head) * tokens, (step * heads + head + 1) * tokens);
    const all = Array.from({ length: heads }, (_, one) => of(role, step, one));
    return Float32Array.from({ length: tokens }, (_, i) => all.reduce((sum, list) => sum + list[i], 0) / heads);
  };
  const byHead = Array.from({ length: heads }, (_, head) =>
    Array.from({ length: states }, (_, step) => entropy[step * heads + head]),
  );
  const mean = byHead[0].map((_, step) => byHead.reduce((sum, course) => sum + course[step], 0) / heads);
  return { ...reading, of, entropy: [mean, ...byHead], ...highest(reading, of) };
}

/** The largest weights of patches over all steps and both roles: of the mean of heads, and of any head. */
function highest({ states, heads }, of) {
  let [highMean, highHead] = [0, 0];
  const most = (role, step, head) => Math.max(...of(role, step, head).subarray(1));
  for (let step = 0; step < states; step++) {
    for (const role of [0, 1]) {
      highMean = Math.max(highMean, most(role, step, null));
      for (let head = 0; head < heads; head++) highHead = Math.max(highHead, most(role, step, head));
    }
  }
  return { highMean, highHead };
}

/** @param {App} app @returns {View} */
export function createAttentionView(app) {
  const read = createReader(app, "attention", accept);
  const even = () => 1 / shown.tokens;
  const tell = (weight) => `${weight.toFixed(4)}, ${(weight / even()).toFixed(1)} times an even share`;
  const brief = (weight) => weight.toFixed(3);
  const maps = ROLE_TITLES.map((title, role) =>
    createTokenMap({ title, label: ROLE_LABELS[role], onPick: app.choosePatch, tell, brief }),
  );
  const heads = createHeads({ onHead: chooseHead });
  const scale = createScale();
  const picture = h("canvas");
  const [name, whose, strongest, most, whichPart] = [
    h("h2"),
    h("span", { class: "etviz-hint" }),
    h("div", { class: "etviz-strongest" }),
    h("span"),
    h("p", { class: "etviz-hint", hidden: true }),
  ];
  const node = h(
    "div",
    { class: "etviz-attention" },
    ...maps.map((map) => map.node),
    h(
      "div",
      { class: "etviz-aside" },
      h("div", { class: "etviz-head" }, name, whose),
      strongest,
      scale.node,
      h("p", { class: "etviz-hint" }, NO_EXPLANATION),
      whichPart,
    ),
    h(
      "div",
      { class: "etviz-every" },
      h(
        "div",
        { class: "etviz-head" },
        h("h2", {}, "Choose a head"),
        h(
          "span",
          { class: "etviz-hint" },
          "above as a query, below as a key; the line: entropy in bits over the steps, ",
          most,
        ),
      ),
      heads.node,
    ),
  );
  let shown = null; // the reading on screen, with the answer it was read for
  let head = null; // the enlarged one, or null for the mean

  function ask() {
    const patch = patchInView(app);
    maps.forEach((map) => map.select(patch));
    node.classList.toggle("is-waiting", shown?.answer !== app.answer || shown.patch !== patch);
    read({ patch });
  }

  /** @param {Attention} reading */
  function accept(reading) {
    shown = { ...unpackAttention(reading), answer: app.answer };
    const linked = app.linked("head");
    head = isNumberBelow(linked, shown.heads) ? Number(linked) : null;
    node.classList.remove("is-waiting");
    heads.show(shown.entropy, shown.entropy_maximum);
    most.textContent = `at most log₂ ${shown.tokens} = ${shown.entropy_maximum.toFixed(2)}`;
    whichPart.hidden = !reading.decoder;
    whichPart.textContent = "This is the decoder's descent, where hidden patches form.";
    step(app.step);
  }

  function chooseHead(next) {
    head = next;
    app.link("head", head === null ? null : String(head), { passing: true });
    step(app.step);
  }

  function step(at) {
    if (shown?.answer !== app.answer) return; // the last reading stays on screen until the next one is here
    const side = Math.sqrt(shown.tokens - 1);
    draw(picture, app.answer.size, app.pixel(at));
    maps.forEach((map, role) => {
      map.show(app.answer.size, side, app.pixel(at));
      map.values(shown.of(role, at, head), colours(head));
      map.select(shown.patch);
    });
    const small = (one) => ({ maps: [0, 1].map((role) => shown.of(role, at, one).subarray(1)), scale: colours(one) });
    heads.step(at, picture, [null, ...Array(shown.heads).keys()].map(small));
    heads.select(head);
    describe(at, side);
  }

  const highOf = (one) => (one === null ? shown.highMean : shown.highHead);
  const colours = (one) => ({ low: 0, high: highOf(one), colour: rootColour });

  /** The strongest weights in words, and the scale. */
  function describe(at, side) {
    const hidden = maskFromHex(app.answer.mask)[shown.patch];
    name.textContent = capital(patchName(shown.patch, side));
    whose.textContent = `${hidden ? "hidden" : "visible"}, ${head === null ? `mean of ${shown.heads} heads` : `head ${head}`}`;
    scale.show(["0", brief(highOf(head) / 4), brief(highOf(head))], WEIGHT_SCALE);
    strongest.replaceChildren(
      ...["Looks most at", "Is most looked at by"].map((words, role) => list(words, shown.of(role, at, head), side)),
    );
  }

  function list(words, weights, side) {
    const order = Array.from(weights.keys())
      .sort((a, b) => weights[b] - weights[a])
      .slice(0, STRONGEST_TOKENS);
    const token = (i) => (i ? patchName(i - 1, side) : "CLS");
    return h(
      "dl",
      {},
      h("dt", {}, words),
      ...order.map((i) => h("dd", {}, h("span", {}, token(i)), h("b", {}, brief(weights[i])))),
    );
  }

  return {
    name: "attention",
    title: "Attention",
    text: "Choose a patch: which tokens does it attend to as a query, and which attend to it as a key? In an Energy Transformer both pull on it, at every step and in every head.",
    node,
    show: ask,
    choose: ask,
    step,
  };
}

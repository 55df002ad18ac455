/**
 * The energy: its curves in front of those of other pictures, each token's share of it, and the descent's settings.
 *
 * @import { EnergyBand, TokenEnergies } from "../lib/readings.d.ts"
 * @import { App, View } from "../lib/types.d.ts"
 */

import { createColourBar } from "../charts/colourbar.js";
import { createChart } from "../charts/energychart.js";
import { createPatchMap } from "../charts/patchmap.js";
import { createReader } from "../lib/asker.js";
import { sideOf } from "../lib/masks.js";
import { viridis } from "../lib/pixels.js";
import { floats, format, h } from "../lib/tools.js";
import { createBadge, createReadout, createScaleSwitch, MEASURES } from "../parts/readout.js";
import { createSettings } from "../parts/settings.js";

const BAND_REST_MS = 500; // between the last change and the question for the band
const AGAIN_MS = 3000; // before asking once more, where the server was busy with other bands
const SCALES_HERE = ["change", "value", "median"];
const TERMS = [
  {
    key: "attention",
    name: "Attention energy",
    title: "−(1/β) Σ over heads of log Σ over keys exp(β K·Q), for each query token",
  },
  { key: "hopfield", name: "Hopfield energy", title: "−½ Σ over memories of relu(ξ·g)², for each token" },
];

/** One token's number with its colour; hidden where there is none. */
function createTokenValue() {
  const [name, square, number] = [h("span"), h("i"), h("b")];
  const node = h("div", { class: "etviz-token-value", hidden: true }, name, square, number);
  return {
    node,
    show(text, value, { low, high }) {
      node.hidden = !Number.isFinite(value);
      if (node.hidden) return;
      name.textContent = text;
      number.textContent = format(value, 4);
      square.style.background = `rgb(${viridis((value - low) / (high - low || 1)).join(" ")})`;
    },
  };
}

/** One term of the energy for each token, over the picture and CLS beside it, in the same colours at all steps. */
function createEnergyMap(app, { key, name, title }) {
  const map = createPatchMap({ label: `${name} by patch`, onPick: app.choosePatch, tell: (value) => format(value, 4) });
  const [cls, chosen] = [createTokenValue(), createTokenValue()];
  const bar = h("div");
  const node = h(
    "figure",
    { class: `etviz-token-map is-${key}` },
    h("figcaption", { title }, name),
    h("div", { class: "etviz-token-row" }, map.node, h("div", { class: "etviz-token-values" }, cls.node, chosen.node)),
    bar,
  );
  let energy = null; // (T+1, 1+N), row by row
  let range = { low: 0, high: 1 };

  function tokensAt(step) {
    const count = energy.length / app.answer.energy.length;
    return energy.subarray(step * count, (step + 1) * count);
  }

  function step(now) {
    const { size, mask } = app.answer;
    const pixel = app.pixel(now);
    const tokens = energy ? tokensAt(now) : [];
    map.show(size, sideOf(mask), (i) => grey(pixel(i)));
    map.values(energy && [...tokens.subarray(1)], range);
    cls.show("CLS", tokens[0], range);
    chosen.show(`Patch ${app.patch}`, app.patch === null ? NaN : tokens[1 + app.patch], range);
  }

  return {
    node,
    step,
    choose(patch) {
      map.select(patch);
      step(app.step);
    },
    /** The energies of another descent, or null while they are being computed. */
    show(encoded) {
      energy = encoded && floats(encoded);
      if (!energy) return;
      const finite = energy.filter(Number.isFinite);
      range = {
        low: finite.reduce((a, b) => Math.min(a, b), Infinity),
        high: finite.reduce((a, b) => Math.max(a, b), -Infinity),
      };
      bar.replaceChildren(
        createColourBar(format(range.low, 3), format(range.high, 3), "Over all tokens and steps of this descent"),
      );
    },
  };
}

/** A colour's lightness alone, so that the hues laid over it stand for the numbers. */
function grey([red, green, blue]) {
  const light = 0.3 * red + 0.59 * green + 0.11 * blue;
  return [light, light, light];
}

/** The step at which a list is lowest. */
const lowest = (list) => list.reduce((best, value, i) => (value !== null && !(value >= list[best]) ? i : best), 0);

/** @param {App} app @returns {View} */
export function createEnergyView(app) {
  const settings = createSettings(app);
  const maps = TERMS.map((term) => createEnergyMap(app, term));
  const badge = createBadge();
  const chart = createChart({ onStep: app.setStep });
  const readout = createReadout(["lost", "stationarity", "mse", "step_size"]);
  const second = createSecondAxis(chooseSecond);
  const scale = createScaleSwitch(SCALES_HERE, chooseScale);
  const legend = h("span", {
    class: "etviz-band-legend",
    title:
      "Pictures of the gallery shown, with this mask and these settings; the scale “vs. median” shows best how they differ",
  });
  const remark = h("span");
  const readTokens = createReader(app, "token_energies", showTokens);
  const readBand = createReader(app, "energy_band", showBand);
  const node = h(
    "div",
    { class: "etviz-energy" },
    h("div", { class: "etviz-energy-top" }, settings.node, ...maps.map((map) => map.node)),
    h("div", { class: "etviz-head" }, h("h2", {}, "Energy"), badge.node, second.node, scale.node),
    readout.node,
    h(
      "div",
      {
        class: "etviz-hint etviz-remarks",
        title: "A lower energy is not always a better picture: put masked MSE on the right axis and see",
      },
      legend,
      remark,
    ),
    chart.node,
  );
  let bandKey = null; // what the band on screen was computed for
  let timer = null;

  /** Everything that a band depends on: the descent apart from its picture. */
  function keyOfBand() {
    const { picture, ...rest } = app.question();
    return JSON.stringify([picture.dataset, rest, rest.settings.settle ? app.answer.energy.length : null]);
  }

  /** @param {TokenEnergies} reading */
  function showTokens(reading) {
    for (const [i, { key }] of TERMS.entries()) maps[i].show(reading[key]);
    for (const map of maps) map.step(app.step);
  }

  /** @param {EnergyBand} reading */
  function showBand(reading) {
    if (!reading.count) {
      askForBand(AGAIN_MS);
      return;
    }
    bandKey = keyOfBand();
    chart.band(reading);
    legend.textContent = `Shaded: 10–90% of ${reading.count} ${reading.source}s; thin line: their median.`;
  }

  function askForBand(wait = BAND_REST_MS) {
    clearTimeout(timer);
    if (bandKey === keyOfBand()) return;
    bandKey = null;
    chart.band(null);
    legend.textContent = "Other pictures appear once you pause …";
    timer = setTimeout(() => node.checkVisibility() && readBand(), wait);
  }

  function chooseSecond() {
    app.link("axis", second.key() || null, { passing: true });
    showSecond();
  }

  function chooseScale(name) {
    app.link("scale", name === SCALES_HERE[0] ? null : name, { passing: true });
    chart.scale(name);
  }

  /** What a link says of the chart. */
  function showLinked() {
    const name = SCALES_HERE.find((known) => known === app.linked("scale")) ?? SCALES_HERE[0];
    scale.show(name);
    chart.scale(name);
    second.show(app.linked("axis") ?? "");
  }

  function showSecond() {
    const measure = MEASURES[second.key()] ?? null;
    const { answer } = app;
    chart.second(measure);
    remark.textContent = remarkOn(second.key(), answer);
  }

  return {
    name: "energy",
    title: "Energy",
    text: "The energy is an attention term plus a Hopfield term, and each step moves all tokens down its slope. See which tokens carry it, how it falls for other pictures, and what other settings do.",
    node,
    show(answer) {
      settings.show(answer.settings);
      badge.show(answer);
      showLinked();
      chart.show(answer);
      showSecond();
      for (const map of maps) map.show(null);
      readTokens();
      askForBand();
    },
    step(step) {
      chart.step(step);
      readout.step(app.answer, step);
      for (const map of maps) map.step(step);
    },
    choose(patch) {
      for (const map of maps) map.choose(patch);
    },
    paint() {
      askForBand();
    },
  };
}

/** What else to draw, on an axis on the right. */
function createSecondAxis(onChange) {
  const options = Object.entries(MEASURES).map(([key, { name }]) => h("option", { value: key }, name));
  const menu = h(
    "select",
    { "aria-label": "On the right axis", change: onChange },
    h("option", { value: "" }, "nothing"),
    ...options,
  );
  return {
    node: h("label", { class: "etviz-second" }, "Right axis", menu),
    key: () => menu.value,
    show: (key) => (menu.value = key in MEASURES ? key : ""),
  };
}

/** What to say beside the chart, by what lies on the right axis. */
function remarkOn(key, answer) {
  if (key === "mse") return verdict(answer);
  if (key === "gradient_norm") return MEASURES.gradient_norm.title;
  return advice(answer);
}

/** What to do about a descent that was to settle and did not. */
function advice({ settings, settled }) {
  if (!settings.settle || settled !== null || settings.rule === "sphere") return "";
  return "The tokens grow with every step and so turn ever less: the step rule “sphere” arrives.";
}

/** Whether the best picture is where the energy is lowest. */
function verdict({ energy, mse }) {
  if (mse[0] === null) return "Nothing is hidden: there is no error to compare.";
  const [deepest, best] = [lowest(energy), lowest(mse)];
  if (deepest === best) return `Energy and error are both lowest at step ${best}.`;
  return `The energy is lowest at step ${deepest}, the error at step ${best}: lower is not always better.`;
}

/**
 * The energy around the descent: along the next step, on the plane of the path, and from disturbed starts.
 *
 * @import { EnergyPlane, GradientLines, Perturbations } from "../lib/readings.d.ts"
 * @import { App, View } from "../lib/types.d.ts"
 */

import { createColourBar } from "../charts/colourbar.js";
import { createGradientChart } from "../charts/gradientchart.js";
import { createPlaneChart } from "../charts/planechart.js";
import { createReader } from "../lib/asker.js";
import { MAX_SEED } from "../lib/masks.js";
import { METRIC_INFO } from "../lib/metrics.js";
import { draw, rgb } from "../lib/pixels.js";
import { bytes, format, h, isNumberBelow } from "../lib/tools.js";

const NOISE = { least: 0, most: 1, gap: 0.01, first: 0.2 };

const percent = (share) => `${(100 * share).toFixed(2)}%`;

/** Descents from disturbed starts; `onRuns(list)` with their paths. */
function createRuns(app, onRuns) {
  const noise = h("input", {
    type: "range",
    min: NOISE.least,
    max: NOISE.most,
    step: NOISE.gap,
    value: NOISE.first,
    "aria-label": "Noise on the start",
    input: () => renoise(noise.value),
  });
  const strength = h("output", { class: "etviz-percent" });
  const seed = h("input", {
    type: "number",
    min: 0,
    max: MAX_SEED,
    step: 1,
    "aria-label": "Seed of the noise",
    change: () => reseed(seed.value),
  });
  const again = h(
    "button",
    { type: "button", click: () => reseed(String((seedNow() + 1) % (MAX_SEED + 1))) },
    "Draw again",
  );
  const verdict = h("p", { class: "etviz-verdict", role: "status" });
  const criterion = h("p", { class: "etviz-hint" });
  const tiles = h("div", { class: "etviz-ends" });
  const node = h(
    "section",
    { class: "etviz-runs", "aria-label": "Disturbed starts" },
    h(
      "div",
      { class: "etviz-head" },
      h("h2", {}, "Disturb the start"),
      h(
        "label",
        {
          class: "etviz-slide",
          title: "Standard deviation of the noise, as a share of each start token's root mean square",
        },
        "Noise",
        noise,
        strength,
      ),
      h("label", { class: "etviz-number" }, "Seed", seed),
      again,
      verdict,
    ),
    tiles,
    criterion,
  );
  const read = createReader(app, "perturbations", show);

  // Both are apart from the seed of masks, and in the address where they are not the first ones.
  const seedNow = () => (isNumberBelow(app.linked("noise_seed"), MAX_SEED + 1) ? Number(app.linked("noise_seed")) : 0);

  function noiseNow() {
    const linked = Number(app.linked("noise") ?? NOISE.first);
    return linked >= NOISE.least && linked <= NOISE.most ? linked : NOISE.first;
  }

  function disturb() {
    noise.value = String(noiseNow());
    strength.textContent = Number(noise.value).toFixed(2);
    noise.style.setProperty("--share", noise.value / NOISE.most);
    seed.value = String(seedNow());
    verdict.textContent = "going on until they settle…";
    verdict.classList.remove("is-up");
    node.classList.add("is-stale");
    read({ noise: noiseNow(), seed: seedNow() });
  }

  function renoise(text) {
    app.link("noise", Number(text) === NOISE.first ? null : text, { passing: true });
    disturb();
  }

  function reseed(text) {
    if (isNumberBelow(text, MAX_SEED + 1)) app.link("noise_seed", text === "0" ? null : text, { passing: true });
    else app.say(`A seed is a whole number from 0 to ${MAX_SEED}.`);
    disturb();
  }

  /** @param {Perturbations} reading */
  function show(reading) {
    const { runs, control, limit } = reading;
    const judged = reading.valley.steps === null ? [] : runs.filter((run) => run.valley.steps !== null);
    const same = judged.filter((run) => run.same_basin).length;
    verdict.textContent = judged.length
      ? `${same} of ${judged.length} in the same basin`
      : `not settled in ${limit} steps`;
    verdict.classList.toggle("is-up", same < runs.length);
    const name = (end) => basin(reading, end);
    criterion.textContent =
      "Second picture: where a descent settles if it goes on, layer-normed. Same basin: between two settled states the " +
      `energy rises by at most ${format(100 * reading.criterion, 1)}% of what was lost. Control: another picture.`;
    tiles.replaceChildren(
      tile(reading, "No noise", reading.valley.steps === null ? "not settled" : "", "", limit),
      ...runs.map((run, i) => tile(run, `Run ${i + 1}`, name(run), run.same_basin ? "" : "is-up", limit)),
      tile(control, "Control", name(control), control.same_basin ? "" : "is-up", limit),
    );
    node.classList.remove("is-stale");
    onRuns(runs);
  }

  /** The verdict on one end, in words. */
  function basin(reading, end) {
    if (reading.valley.steps === null || end.valley.steps === null) return "not settled";
    return end.same_basin ? "same basin" : "another basin";
  }

  function tile(end, name, words, mark, most) {
    const { valley } = end;
    const picture = (frame, place) => {
      const canvas = h("canvas", { role: "img", "aria-label": `${name}: picture ${place}` });
      draw(canvas, app.answer.size, rgb(bytes(frame)));
      return h("div", { class: "etviz-canvas" }, canvas);
    };
    const item = (term, value, title) => h("div", { title }, h("dt", {}, term), h("dd", {}, value));
    const error = ({ mse }) => (mse === null ? "–" : mse.toFixed(4));
    return h(
      "figure",
      { class: `etviz-end ${mark}`, title: end.caption ?? null },
      h(
        "figcaption",
        {
          title:
            valley.steps === null ? `not settled within ${most} steps` : `settled after ${valley.steps} more steps`,
        },
        h("b", {}, name),
        h("span", {}, words),
      ),
      h(
        "div",
        { class: "etviz-end-pair" },
        picture(end.frame, "at the end"),
        picture(valley.frame, "where it settles"),
      ),
      h(
        "dl",
        {},
        "mse" in end
          ? item(
              "MSE",
              `${error(end)} → ${error(valley)}`,
              `${METRIC_INFO.masked_mse.text} At the end of the descent, and where it settles`,
            )
          : null,
        item("Energy", format(valley.energy, 6), "Energy where it settles (no unit)"),
        "barrier" in end
          ? item(
              "Barrier",
              end.barrier === null ? "–" : percent(end.barrier),
              "How far the energy rises between two settled states, as a share of what the descent without noise lost",
            )
          : null,
      ),
    );
  }

  return { node, disturb };
}

/** @param {App} app @returns {View} */
export function createLandscapeView(app) {
  const line = createGradientChart();
  const plane = createPlaneChart({ onStep: app.setStep });
  const held = h("span", { class: "etviz-count" });
  const [first, second] = [h("p", { class: "etviz-axis-name" }), h("p", { class: "etviz-axis-name is-upright" })];
  const scale = h("div", { class: "etviz-plane-scale" });
  const [low, high] = [h("span"), h("span")];
  const onPlane = h("section", { class: "etviz-scene", "aria-label": "On the plane of the path" });
  const alongLine = h("section", { class: "etviz-scene", "aria-label": "Along minus the gradient" });
  const runs = createRuns(app, (list) => plane.runs(list));
  const readLines = createReader(app, "gradient_lines", showLines);
  const readPlane = createReader(app, "energy_plane", showPlane);
  let asked = null; // the descent on which the questions were asked

  scale.append(createColourBar(low, high, "Energy on the plane (no unit)", h("span", {}, "Energy")));
  alongLine.append(h("div", { class: "etviz-head" }, h("h2", {}, "Along the next step")), line.node);
  onPlane.append(
    h("div", { class: "etviz-head" }, h("h2", {}, "On the plane of the path"), held),
    h("div", { class: "etviz-plane-frame" }, second, plane.node, first),
    scale,
  );
  const node = h(
    "div",
    { class: "etviz-landscape" },
    h("div", { class: "etviz-scenes" }, alongLine, onPlane),
    runs.node,
  );

  /** @param {GradientLines} reading */
  function showLines(reading) {
    line.show(reading);
    line.step(app.step);
    alongLine.classList.remove("is-stale");
  }

  /** @param {EnergyPlane} reading */
  function showPlane(reading) {
    const { low: least, high: most } = plane.show(reading);
    const [one, two] = reading.variance;
    const block = reading.blocks > 1 ? `, block ${reading.block + 1} of ${reading.blocks}` : "";
    plane.step(app.step);
    held.textContent = `${(100 * (one + two)).toFixed(1)}% of its variance${block}`;
    first.textContent = `first component, ${(100 * one).toFixed(1)}%`;
    second.textContent = `second component, ${(100 * two).toFixed(1)}%`;
    [low.textContent, high.textContent] = [format(least, 4), format(most, 4)];
    onPlane.classList.remove("is-stale");
  }

  return {
    name: "landscape",
    title: "Landscape",
    text:
      "The energy along the next step, and on the plane that holds most of the path. " +
      "Below, disturbed descents go on until they settle: the picture lies on the way, not in the valley.",
    node,
    async show(answer) {
      if (asked === answer) return;
      asked = answer;
      for (const part of [alongLine, onPlane]) part.classList.add("is-stale");
      readLines();
      await readPlane(); // first, since the paths of the runs are drawn over it
      if (app.answer === answer) runs.disturb();
    },
    step(step) {
      line.step(step);
      plane.step(step);
    },
  };
}

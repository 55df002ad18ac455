/** The scrubber: one step cursor that drives everything on the page. */

import { h, svg } from "../lib/tools.js";
import { createSwitch } from "./switch.js";

const PLAY_MS = 170; // for each step at full speed
const SPEEDS = {
  full: { text: "1×", title: "Full speed", "aria-label": "Full speed" },
  half: { text: "½×", title: "Half speed", "aria-label": "Half speed" },
  quarter: { text: "¼×", title: "Quarter speed", "aria-label": "Quarter speed" },
};
const FACTORS_OF_SPEED = { full: 1, half: 1 / 2, quarter: 1 / 4 };
const PLAY = "M6 4l12 8-12 8z";
const PAUSE = "M6 4h4v16H6zM14 4h4v16h-4z";
const BACK = "M16 4L6 12l10 8zM4 4h2v16H4z";
const ON = "M8 4l10 8-10 8zM18 4h2v16h-2z";

const drawing = (path) => svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path }));

/**
 * A play button and a slider, whose track runs under the chart's axis; below them, single steps and slow motion.
 * `onStep(step)` when it moves, `onSteps(count)` when the reader wants another length; `most` is the limit.
 */
export function createTransport({ onStep, onSteps, most }) {
  const play = h("button", { type: "button", class: "etviz-play", "aria-keyshortcuts": "p", click: toggle });
  const slider = h("input", { type: "range", min: 0, max: 12, step: 1, value: 12, "aria-label": "Descent step" });
  const ticks = h("div", { class: "etviz-ticks", "aria-hidden": "true" });
  const single = (path, title, key, by) => {
    const attributes = {
      type: "button",
      class: "etviz-single",
      title: `${title} (${key})`,
      "aria-label": title,
      "aria-keyshortcuts": key,
    };
    return h("button", { ...attributes, click: () => move(by) }, drawing(path));
  };
  const [back, on] = [single(BACK, "Step back", ",", -1), single(ON, "Step forward", ".", 1)];
  const speeds = createSwitch({ label: "Speed", options: SPEEDS, chosen: "full", onChoose: setSpeed });
  const longer = h("button", { type: "button", class: "etviz-longer" });
  const node = h(
    "div",
    { class: "etviz-transport", role: "group", "aria-label": "Steps of the descent" },
    play,
    h("div", { class: "etviz-track" }, slider, ticks),
    h("div", { class: "etviz-motion" }, back, on, speeds.node, longer),
  );
  let timer = null;
  let speed = 1;

  slider.addEventListener("input", () => {
    stop();
    onStep(Number(slider.value));
  });

  function move(by) {
    stop();
    onStep(Number(slider.value) + by);
  }

  function setSpeed(name) {
    speed = FACTORS_OF_SPEED[name];
    if (timer !== null) start();
  }

  function tick() {
    const next = Number(slider.value) + 1;
    onStep(next);
    if (next >= Number(slider.max)) stop();
  }

  function start() {
    stop();
    if (slider.value === slider.max) onStep(0);
    timer = setInterval(tick, PLAY_MS / speed);
    label();
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    label();
  }

  function toggle() {
    if (timer === null) start();
    else stop();
  }

  function label() {
    const name = timer === null ? "Play the descent" : "Pause";
    play.replaceChildren(drawing(timer === null ? PLAY : PAUSE));
    play.setAttribute("aria-label", name);
    play.title = `${name} (P)`;
  }

  const keys = { p: toggle, ",": () => move(-1), ".": () => move(1) };

  label();
  return {
    node,
    start,
    stop,
    /** Act on a key. Returns whether it was one of these. */
    press(key) {
      keys[key.toLowerCase()]?.();
      return key.toLowerCase() in keys;
    },
    /** Offer to go beyond the last step; the settings are those in effect. */
    offer({ steps, own, settle }) {
      const count = steps < most ? most : own.steps;
      longer.hidden = settle || count === steps;
      longer.textContent = steps < most ? `Continue to step ${most}` : `Back to ${own.steps} steps`;
      longer.title = `The model was trained with ${own.steps} steps`;
      longer.onclick = () => onSteps(count);
    },
    step(value, last) {
      if (Number(slider.max) !== last || !ticks.childElementCount) {
        slider.max = last;
        const every = [1, 5, 10, 20].find((gap) => last / gap <= 13) ?? 50; // as many numbers as fit
        ticks.dataset.every = every;
        const marks = Array.from({ length: last + 1 }, () => h("span"));
        marks.forEach((mark, i) => mark.style.setProperty("--at", i / Math.max(last, 1)));
        ticks.replaceChildren(...marks);
      }
      slider.value = value;
      slider.style.setProperty("--share", value / Math.max(last, 1));
      slider.setAttribute("aria-valuetext", `step ${value} of ${last}`);
      back.disabled = value === 0;
      on.disabled = value === last;
      [...ticks.children].forEach((mark, i) => {
        mark.classList.toggle("is-now", i === value);
        mark.textContent = i === value || i % Number(ticks.dataset.every) === 0 ? i : "";
      });
    },
  };
}

/** The scrubber: one step cursor that drives everything on the page. */

import { h, svg } from "./tools.js";

const PLAY_MS = 170; // a step while playing

/** Play button and slider; the slider's track lies under the chart's axis. */
export function createTransport({ onStep }) {
  const play = h("button", { type: "button", class: "etviz-play", click: toggle });
  const slider = h("input", { type: "range", min: 0, max: 12, step: 1, value: 12, "aria-label": "Descent step" });
  const ticks = h("div", { class: "etviz-ticks", "aria-hidden": "true" });
  const node = h("div", { class: "etviz-transport" }, play, h("div", { class: "etviz-track" }, slider, ticks));
  let timer = null;

  slider.addEventListener("input", () => {
    stop();
    onStep(Number(slider.value));
  });

  function tick() {
    const next = Number(slider.value) + 1;
    onStep(next);
    if (next >= Number(slider.max)) stop();
  }

  function start() {
    stop();
    if (slider.value === slider.max) onStep(0);
    timer = setInterval(tick, PLAY_MS);
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
    const path = timer === null ? "M6 4l12 8-12 8z" : "M6 4h4v16H6zM14 4h4v16h-4z";
    play.replaceChildren(svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: path })));
    play.setAttribute("aria-label", timer === null ? "Play the descent" : "Pause");
    play.title = play.getAttribute("aria-label");
  }

  label();
  return {
    node,
    start,
    stop,
    step(value, last) {
      if (Number(slider.max) !== last || !ticks.childElementCount) {
        slider.max = last;
        const every = [1, 5, 10, 20].find((gap) => last / gap <= 13) ?? 50; // as many numbers as there is room for
        ticks.dataset.every = every;
        const marks = Array.from({ length: last + 1 }, () => h("span"));
        marks.forEach((mark, i) => mark.style.setProperty("--at", i / Math.max(last, 1)));
        ticks.replaceChildren(...marks);
      }
      slider.value = value;
      slider.style.setProperty("--share", value / Math.max(last, 1));
      slider.setAttribute("aria-valuetext", `step ${value} of ${last}`);
      [...ticks.children].forEach((mark, i) => {
        mark.classList.toggle("is-now", i === value);
        mark.textContent = i === value || i % Number(ticks.dataset.every) === 0 ? i : "";
      });
    },
  };
}

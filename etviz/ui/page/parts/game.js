/**
 * "Predict, then reveal": a class guesses what is under the mask before the page shows it.
 *
 * @import { Choices } from "../lib/readings.d.ts"
 */

import { createReader, patiently } from "../lib/asker.js";
import { anySeed, countHidden, maskFromHex, randomMask } from "../lib/masks.js";
import { draw, holed, rgb } from "../lib/pixels.js";
import { h } from "../lib/tools.js";

const ENOUGH = 0.25; // a mask that hides less gives the picture away
const SHARE = 0.85;

/** Any other picture of the dataset; the one on screen where there is no other. */
async function anotherPicture(app) {
  const { picture, model } = app.answer;
  const dataset = picture.dataset ?? app.start.gallery?.dataset;
  const gallery = { kind: "gallery", dataset, model, label: null, page: 0 };
  const { total = 0 } = await patiently(app.host.ask(gallery));
  const others = Array.from({ length: total }, (_, index) => index).filter((index) => index !== picture.index);
  return others.length ? { dataset, index: others[Math.floor(Math.random() * others.length)] } : picture;
}

const INVITATION =
  "A game for a class: guess what a hidden picture shows, then reveal the descent step by step or all at once, and finally the original. The page keeps score.";

const createInvitation = (start) =>
  h("article", { class: "etviz-lesson is-game" }, h("h2", {}, "Predict, then reveal"), h("p", {}, INVITATION), start);

/** `onPlaying(whether)` is called when a game begins or ends. The score lasts as long as the page. */
export function createGame(app, onPlaying) {
  const score = { right: 0, rounds: 0 };
  const rebuilt = createBoard("Rebuilt");
  const original = createBoard("Original");
  const question = h("h2", { tabindex: "-1" });
  const choices = h("div", { class: "etviz-choices", role: "group", "aria-label": "Names to choose from" });
  const next = button("Reveal the next step", () => revealStep());
  const once = button("Reveal all at once", () => reveal(lastStep()));
  const truth = button("Show the original", () => finish());
  const again = button("Next picture", () => begin());
  const end = button("End the game", () => stop());
  const verdict = h("p", { class: "etviz-game-verdict", role: "status" });
  const tally = h("p", { class: "etviz-count etviz-score" });
  const node = h(
    "section",
    { class: "etviz-game", "aria-label": "Predict, then reveal", hidden: true },
    h("div", { class: "etviz-boards" }, rebuilt.node, original.node),
    h(
      "div",
      { class: "etviz-play-panel" },
      h("div", { class: "etviz-head" }, question, tally),
      choices,
      h("div", { class: "etviz-tools" }, next, once, truth),
      verdict,
      h("div", { class: "etviz-tools" }, again, end),
    ),
  );
  const invitation = createInvitation(button("Start the game →", () => begin()));
  const readChoices = createReader(app, "choices", showChoices);
  let phase = "idle"; // guess, reveal, done
  let known = { choices: [], label: null };
  let guess = null;
  let dealt = false; // whether this game has had its first mask

  function button(label, click) {
    return h("button", { type: "button", click }, label);
  }

  function createBoard(title) {
    const canvas = h("canvas", { role: "img", "aria-label": title });
    const value = h("span");
    const figure = h(
      "figure",
      { class: "etviz-tile is-holed" },
      h("figcaption", {}, h("span", {}, title), value),
      h("div", { class: "etviz-canvas" }, canvas),
    );
    return { node: figure, canvas, value };
  }

  const lastStep = () => app.answer.energy.length - 1;

  async function begin() {
    guess = null;
    enter("guess");
    showChoices({ choices: [], label: null });
    app.setVeil("all");
    const picture = await anotherPicture(app);
    await app.lead({ tab: "guide", picture, mask: nextMask() });
    if (phase === "guess") readChoices();
    question.focus({ preventScroll: true });
  }

  /** The mask that the reader painted, in the first round only and if it hides enough; otherwise any random one. */
  function nextMask() {
    const { mask } = app;
    const painted = !dealt && countHidden(mask) >= ENOUGH * mask.length;
    dealt = true;
    if (painted) return mask;
    app.setSeed(anySeed());
    return randomMask(mask.length, SHARE, app.seed);
  }

  function enter(name) {
    phase = name;
    node.hidden = phase === "idle";
    onPlaying(phase !== "idle");
    const watching = guess === null ? "What does it become?" : "Watch it take shape";
    question.textContent = { guess: "What is under the mask?", reveal: watching, done: "That was it" }[phase] ?? "";
    next.disabled = once.disabled = phase === "done";
    truth.disabled = phase !== "reveal";
    again.hidden = phase !== "done";
    tally.textContent = `Score: ${score.right} of ${score.rounds}`;
    if (phase !== "done") verdict.textContent = "";
    lockChoices();
  }

  /** A guess can be changed until the first reveal; without a guess, one can still be made later. */
  function lockChoices() {
    const locked = phase === "done" || (phase === "reveal" && guess !== null);
    [...choices.children].forEach((choice) => (choice.disabled = locked));
  }

  /** @param {Choices} reading */
  function showChoices(reading) {
    known = reading;
    const choose = (name) => () => {
      guess = name;
      [...choices.children].forEach((choice) => choice.setAttribute("aria-pressed", choice.textContent === name));
      lockChoices();
    };
    const named = known.choices.map((name) =>
      h("button", { type: "button", "aria-pressed": "false", click: choose(name) }, name),
    );
    choices.replaceChildren(
      ...(named.length ? named : [h("p", { class: "etviz-hint" }, "Make a guess, and say it aloud.")]),
    );
  }

  function reveal(step) {
    if (phase === "guess") {
      enter("reveal");
      app.setVeil("original");
    }
    app.setStep(step);
  }

  function revealStep() {
    reveal(phase === "guess" ? 0 : Math.min(app.step + 1, lastStep()));
  }

  function finish() {
    enter("done");
    app.setVeil(null);
    if (known.label === null) askTheClass();
    else if (guess === null) verdict.textContent = `It is: ${known.label}. Nobody guessed, so the score stays.`;
    else judge(guess === known.label, `It is: ${known.label}. `);
    again.focus({ preventScroll: true }); // the button that was pressed is gone
  }

  function judge(right, start = "") {
    score.rounds += 1;
    score.right += right ? 1 : 0;
    verdict.textContent =
      start + (right ? "You were right." : guess === null ? "Not this time." : `You said: ${guess}.`);
    tally.textContent = `Score: ${score.right} of ${score.rounds}`;
  }

  /** Without a label only the class can tell who was right. */
  function askTheClass() {
    verdict.replaceChildren(
      h("span", {}, "Were you right? "),
      button("We were right", () => judge(true)),
      button("We were wrong", () => judge(false)),
    );
  }

  function stop() {
    dealt = false;
    enter("idle");
    app.setVeil(null);
    invitation.querySelector("button").focus();
  }

  function show() {
    if (phase !== "idle" && phase !== "done" && app.veil === null) enter("idle"); // the reader went back in history
    if (phase === "idle") return;
    const mask = maskFromHex(app.answer.mask);
    const given = rgb(app.original);
    draw(original.canvas, app.answer.size, phase === "done" ? given : holed(given, mask, app.patches));
    original.value.textContent = phase === "done" ? "" : "not shown yet";
    step(app.step);
  }

  function step(now) {
    if (phase === "idle") return;
    const mask = maskFromHex(app.answer.mask);
    const given = rgb(app.original);
    const veiled = phase === "guess";
    draw(rebuilt.canvas, app.answer.size, veiled ? holed(given, mask, app.patches) : app.pixel(now));
    rebuilt.value.textContent = veiled ? "not shown yet" : `step ${now}`;
    next.disabled = phase === "done" || (phase === "reveal" && now === lastStep());
  }

  return { node, invitation, show, step };
}

/**
 * Asking for descents: one question at a time, and what an answer or a refusal does to the page.
 *
 * @import { Answer, Page, Wanted } from "../lib/types.d.ts"
 */

import { createAsker, patiently } from "../lib/asker.js";
import { maskToHex } from "../lib/masks.js";
import { isLarge, lastStep, shareable, wantedQuestion } from "./state.js";

const RETRY_MS = 3000;

/** @param {Page} page */
export function createAsking(page) {
  const { state, host, start } = page;
  const askForDescent = createAsker(host.ask, tellBusy);
  let retry = null; // a timer, while nobody answers
  const askForFirstSteps = createAsker(host.ask);
  let shown = 0; // number of the newest question that was answered

  /** @param {boolean} busy */
  function tellBusy(busy) {
    page.root.dataset.busy = String(busy);
  }

  /**
   * Ask for the descent under the present mask with some of picture, model, snapshot and settings replaced. Only what
   * is to be remembered makes an entry in the browser's history.
   *
   * @param {Partial<Wanted>} part
   */
  async function change(part, { remember = true, stroke = false } = {}) {
    clearTimeout(retry);
    Object.assign(state.wanted, part);
    state.seq += 1;
    const question = wantedQuestion(state, start);
    if (isLarge(start, question.model)) preview(question);
    const answer = await askForDescent(question);
    if (answer === null) return; // a newer question is under way
    shown = Math.max(shown, question.seq);
    if (answer.silent) wait(answer.error);
    else if (answer.error) refuse(answer.error);
    else accept(answer, remember, stroke);
  }

  /** Nobody answers: ask for the same again, by a button and by itself, until somebody does. */
  function wait(sentence) {
    const again = () => change({}, { remember: false });
    keepScreen(sentence, { name: "Try again", act: again });
    retry = setTimeout(again, RETRY_MS);
  }

  /** A large model takes most of a second, so its first steps are shown before the rest is there. */
  async function preview(question) {
    const first = await askForFirstSteps({ ...question, kind: "first_steps" });
    if (first?.frame && question.seq === state.seq && shown < question.seq) page.drawing.preview(first);
  }

  /** What is on screen stays, and what is painted is kept for the next question. @param {string} sentence */
  function refuse(sentence) {
    keepScreen(sentence);
    const { picture, model, snapshot, settings } = state.answer;
    Object.assign(state.wanted, { picture, model, snapshot, settings });
    page.parts.models?.show(model);
    page.parts.picker.show(picture);
  }

  /** Say why there is no new descent; the old one is dimmed if it belongs to another mask than the painted one. */
  function keepScreen(sentence, remedy = null) {
    if (!state.answer) page.drawing.show(start.answer);
    page.drawing.say(sentence, remedy);
    page.root.dataset.stale = String(maskToHex(state.mask) !== state.answer.mask);
  }

  /** @param {Answer} answer @param {boolean} remember @param {boolean} stroke */
  function accept(answer, remember, stroke) {
    page.drawing.say("");
    page.root.dataset.stale = "false";
    state.wanted.picture = answer.picture; // a link may have left its dataset out
    page.drawing.show(answer);
    host.onAnswer?.(answer);
    if (remember) page.address.push(shareable(state), { stroke });
    page.drawing.announce();
  }

  /** Go on from the step on screen, in a descent of `count` steps. @param {number} count */
  async function goOn(count) {
    const from = state.step;
    await change({ settings: { ...state.wanted.settings, steps: count } });
    if (lastStep(state) !== count || count <= from) return; // refused, or shorter
    page.drawing.showStep(from);
    page.parts.transport.start();
  }

  /** Add a model that was not in the menu at the start, such as a run in training. */
  function offer({ name, patches, size = 0, facts = "" }) {
    if (start.models && !start.models.some((entry) => entry.name === name)) {
      start.models.push({ name, patches, size, facts });
    }
  }

  /** Find out about a model that the menu lacks, since a link may name a run. @param {string} name */
  async function learn(name) {
    if (!start.models || start.models.some((entry) => entry.name === name)) return;
    const { runs = [] } = await patiently(host.ask({ kind: "runs" }));
    const run = runs.find((entry) => entry.name === name && !entry.problem);
    if (run) offer(run);
  }

  return { change, goOn, offer, learn, tellBusy };
}

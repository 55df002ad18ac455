/**
 * Questions to the host, of which only the newest matters.
 *
 * @import { App, Question } from "./types.d.ts"
 */

const PATIENCE_MS = 20000; // for an answer
export const LARGE = 128; // pixels a side, from which on a descent takes most of a second, and some readings a minute
const SILENCE = {
  error: "The app (or the notebook's kernel) does not answer. It may be busy, or no longer running.",
  silent: true, // rather than a refusal
};

/**
 * The promise's answer, or an error where none comes in time.
 *
 * @param {Promise<any>} promise
 */
export function patiently(promise, patience = PATIENCE_MS) {
  let timer = null;
  const tooLate = new Promise((resolve) => {
    timer = setTimeout(resolve, patience, SILENCE);
  });
  const answered = promise.then(
    (answer) => answer ?? SILENCE,
    () => SILENCE,
  );
  return Promise.race([answered, tooLate]).finally(() => clearTimeout(timer));
}

/**
 * A function that asks one question at a time; while one is under way, only the newest of the others waits. It resolves
 * to the answer, or to null where a newer question has been asked since. `onBusy(whether)` is called at start and end;
 * `patience()` gives the milliseconds to wait.
 *
 * @param {(question: Question) => Promise<any>} ask @param {(busy: boolean) => void} onBusy
 * @param {() => number} patience
 */
export function createAsker(ask, onBusy = (_busy) => {}, patience = () => PATIENCE_MS) {
  let waiting = null; // {question, resolve}
  let asking = false;

  async function answerAll() {
    asking = true;
    onBusy(true);
    while (waiting) {
      const { question, resolve } = waiting;
      waiting = null;
      const answer = await patiently(ask(question), patience());
      resolve(waiting ? null : answer);
    }
    asking = false;
    onBusy(false);
  }

  return (question) =>
    new Promise((resolve) => {
      waiting?.resolve(null);
      waiting = { question, resolve };
      if (!asking) answerAll();
    });
}

/**
 * A view's questions about the descent on screen. `read(extra)` asks for a reading of this kind, and hands it to `show`
 * unless another descent or another question has come since. A question is not repeated while its reading is on screen,
 * so a view may ask whenever it is drawn. An error is shown on the page, and the question may be asked again.
 *
 * @param {App} app @param {string} kind @param {(reading: any) => void} show
 */
export function createReader(app, kind, show) {
  const patience = () => (app.answer.size >= LARGE ? 9 : 1) * PATIENCE_MS;
  const ask = createAsker((question) => app.host.ask(question), undefined, patience);
  let last = { answer: null, extra: "" };
  return async (extra = {}) => {
    const { answer } = app;
    const asked = { answer, extra: JSON.stringify(extra) };
    if (asked.answer === last.answer && asked.extra === last.extra) return;
    last = asked;
    const reading = await ask({ ...app.question(), ...extra, kind });
    if (reading === null || app.answer !== answer) return;
    if (reading.error) {
      last = { answer: null, extra: "" };
      app.say(reading.error);
    } else show(reading);
  };
}

/** The explorer's own state and history: what is on screen, what is asked for, and what can be undone. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { createHistory } from "../../etviz/ui/page/explorer/history.js";
import {
  createState,
  patchesOf,
  pixelAt,
  questionOf,
  shareable,
  takeAnswer,
  wantedQuestion,
} from "../../etviz/ui/page/explorer/state.js";

const base64 = (values) => btoa(String.fromCharCode(...values));

/** A descent of `steps` over a picture of 4x4 pixels cut into 16 patches; frame t is all t, the original all 200. */
function createAnswer({ steps = 2, mask = "8000", size = 4 } = {}) {
  const area = 3 * size * size;
  const states = Array.from({ length: steps + 1 }, (_, t) => Array(area).fill(t));
  return {
    picture: { dataset: "cifar10", index: 3 },
    model: "et",
    snapshot: null,
    mask,
    size,
    settings: { steps, step_size: 10, beta: 0.1, rule: "fixed", settle: false, own: { steps: 12 } },
    image: base64(Array(area).fill(200)),
    frames: base64(states.flat()),
    energy: states.map((_, t) => -t),
    seq: 0,
  };
}

function createShown(answer = createAnswer()) {
  const state = createState({ answer });
  takeAnswer(state, answer);
  return state;
}

test("a first descent is shown at its end", () => {
  const state = createShown();
  assert.equal(state.step, 2);
  assert.deepEqual(
    state.frames.map((frame) => frame[0]),
    [0, 1, 2],
  );
});

test("a reader who stopped at a step stays there, as far as the next descent goes", () => {
  const state = createShown(createAnswer({ steps: 5 }));
  state.step = 3;
  takeAnswer(state, createAnswer({ steps: 8 }));
  assert.equal(state.step, 3);
  takeAnswer(state, createAnswer({ steps: 2 }));
  assert.equal(state.step, 2);
});

test("visible pixels stay as given, unless the prediction itself is wanted", () => {
  const state = createShown();
  const first = (keep) => [0, 1].map((i) => pixelAt(state, 1, keep)(i)[0]);
  assert.deepEqual(first(true), [1, 200]); // patch 0 is hidden
  assert.deepEqual(first(false), [1, 1]);
});

test("under a veil the page holds no hidden pixel", () => {
  const state = createShown();
  state.veil = "all";
  takeAnswer(state, createAnswer());
  assert.deepEqual([state.original[0], state.original[3]], [128, 200]);
  assert.deepEqual([state.frames[2][0], state.frames[2][3]], [128, 2]);
  state.veil = "original";
  takeAnswer(state, createAnswer());
  assert.deepEqual([state.original[0], state.frames[2][0]], [128, 2]);
});

test("a model with another grid brings its own mask", () => {
  const state = createShown();
  state.patch = 9;
  assert.equal(takeAnswer(state, createAnswer()), false);
  assert.equal(state.patch, 9);
  assert.equal(takeAnswer(state, createAnswer({ mask: "8" })), true);
  assert.deepEqual([...state.mask], [1, 0, 0, 0]);
  assert.equal(state.patch, null);
});

test("the wanted question fits the wanted model's grid", () => {
  const state = createShown();
  const models = [{ name: "coarse", patches: 4 }];
  Object.assign(state.wanted, {
    model: "coarse",
    mask: Uint8Array.from({ length: 16 }, (_, i) => (i % 4 < 2 ? 1 : 0)),
  });
  const question = wantedQuestion(state, { models });
  assert.deepEqual([question.kind, question.model, question.mask], ["trace", "coarse", "a"]);
  assert.equal(patchesOf({ models }, "unknown", 16), 16);
});

test("readings ask about the descent on screen, without the model's own settings", () => {
  assert.deepEqual(questionOf(createAnswer()), {
    picture: { dataset: "cifar10", index: 3 },
    model: "et",
    snapshot: null,
    mask: "8000",
    settings: { steps: 2, step_size: 10, beta: 0.1, rule: "fixed", settle: false },
  });
});

test("the address holds the settings in effect, and newer wishes over them", () => {
  const state = createShown();
  state.wanted.settings = { steps: 40 };
  const { settings, mask, tab } = shareable(state);
  assert.deepEqual([settings.steps, settings.beta, mask, tab], [40, 0.1, "8000", "explore"]);
});

test("masks can be undone and done again", () => {
  const history = createHistory("a");
  assert.equal(history.undo(), null);
  assert.equal(history.commit("a"), false); // no other mask
  assert.equal(history.commit("b"), true);
  history.commit("c");
  assert.deepEqual([history.undo(), history.undo(), history.undo()], ["b", "a", null]);
  assert.equal(history.redo(), "b");
});

test("a new mask forgets what was undone, and a reset forgets everything", () => {
  const history = createHistory("a");
  history.commit("b");
  history.undo();
  history.commit("c");
  assert.equal(history.redo(), null);
  history.reset("d");
  assert.deepEqual([history.undo(), history.redo()], [null, null]);
  assert.equal(history.commit("d"), false);
});

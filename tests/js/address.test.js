import assert from "node:assert/strict";
import { test } from "node:test";
import { createAddress, fromQuery, toQuery } from "../../etviz/ui/page/lib/address.js";

const STATE = {
  picture: { dataset: "cifar10", index: 3 },
  model: "et-cifar10",
  snapshot: null,
  mask: "ff00ff00ff00ff07",
  settings: { steps: 20, step_size: 0.05, beta: 0.2, rule: "fixed", settle: false },
  seed: 7,
  step: 9,
  tab: "energy",
  patch: null,
};

test("what is null or usual is left out of the address", () => {
  const expected =
    "dataset=cifar10&image=3&mask=ff00ff00ff00ff07&model=et-cifar10&steps=20&step_size=0.05&beta=0.2&seed=7&step=9&tab=energy";
  assert.equal(toQuery(STATE), expected);
});

test("an address gives its state back", () => {
  const settings = { ...STATE.settings, rule: "backtracking", settle: true };
  const state = { ...STATE, patch: 5, snapshot: "a.safetensors", settings, linked: { columns: "x,,;y,," } };
  assert.deepEqual(fromQuery(toQuery(state)), state);
});

test("an empty address says nothing", () => {
  assert.deepEqual(fromQuery(""), {});
});

test("a number that is none stays text, for the server to refuse", () => {
  assert.deepEqual(fromQuery("steps=many&step=2"), { step: 2, settings: { steps: "many" } });
});

test("an upload's pixels stay out of the address", () => {
  const upload = { pixels: "AAAA", name: "cat.png" };
  const query = toQuery({ ...STATE, picture: upload });
  assert.match(query, /^dataset=upload&mask=/);
  assert.deepEqual(fromQuery(query, upload).picture, upload);
  assert.equal(fromQuery(query).picture, "lost");
});

/** A window with an address, as far as `createAddress` needs one. */
function createWindow(search) {
  const calls = [];
  const write = (method) => (state, _title, url) => calls.push([method, state, url]);
  return {
    calls,
    location: { search },
    history: { state: null, pushState: write("push"), replaceState: write("replace") },
    addEventListener() {},
  };
}

test("what the host keeps in the address stays there", () => {
  const page = createWindow("?__theme=dark&tab=explore");
  createAddress(page, () => {}).push(STATE);
  assert.deepEqual(page.calls, [["push", { picture: null }, `?__theme=dark&${toQuery(STATE)}`]]);
});

test("scrubbing writes the last state only, once it rests", (context) => {
  const waiting = new Map(); // what timers will call, by their number
  let started = 0;
  context.mock.method(globalThis, "setTimeout", (act, _wait, ...values) => {
    started += 1;
    waiting.set(started, () => act(...values));
    return started;
  });
  context.mock.method(globalThis, "clearTimeout", (timer) => waiting.delete(timer));
  const page = createWindow("");
  const address = createAddress(page, () => {});
  for (const step of [1, 2, 3]) address.replace({ ...STATE, step });
  assert.equal(page.calls.length, 0);
  for (const act of waiting.values()) act();
  assert.deepEqual(page.calls, [["replace", { picture: null }, `?${toQuery({ ...STATE, step: 3 })}`]]);
});

test("without an address nothing is kept", () => {
  const address = createAddress(null, () => {});
  address.push(STATE);
  address.replace(STATE);
  assert.deepEqual(address.read(), {});
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { createAsker, createReader, patiently } from "../../etviz/ui/page/lib/asker.js";

/** An `ask` whose answers come when the test says so. */
function createServer() {
  const asked = [];
  return {
    asked,
    ask: (question) => new Promise((resolve) => asked.push({ question, resolve })),
  };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("one question is under way at a time, and only the newest of the others waits", async () => {
  const server = createServer();
  const busy = [];
  const ask = createAsker(server.ask, (whether) => busy.push(whether));
  const answers = ["a", "b", "c"].map((question) => ask(question));
  assert.deepEqual(
    server.asked.map(({ question }) => question),
    ["a"],
  );
  assert.equal(await answers[1], null);
  server.asked[0].resolve("to a");
  assert.equal(await answers[0], null); // a newer one was waiting
  server.asked[1].resolve("to c");
  assert.equal(await answers[2], "to c");
  await settled();
  assert.deepEqual(busy, [true, false]);
});

test("silence and a failure become an error in words", async () => {
  const silent = () => new Promise(() => {});
  const failing = () => Promise.reject(new Error("gone"));
  const empty = () => Promise.resolve(null);
  for (const ask of [silent, failing, empty]) assert.match((await patiently(ask(), 1)).error, /does not answer/);
});

/** A page that has one descent on screen. */
function createPage(server) {
  const said = [];
  const page = { answer: { id: 1 }, host: server, question: () => ({ mask: "ff" }), say: (text) => said.push(text) };
  return { page, said };
}

test("a reader asks the same question once", async () => {
  const server = createServer();
  const shown = [];
  const read = createReader(createPage(server).page, "quality", (reading) => shown.push(reading));
  read({ patch: 1 });
  read({ patch: 1 });
  assert.deepEqual(
    server.asked.map(({ question }) => question),
    [{ mask: "ff", patch: 1, kind: "quality" }],
  );
  server.asked[0].resolve({ ssim: 0.5 });
  await settled();
  assert.deepEqual(shown, [{ ssim: 0.5 }]);
});

test("a reading of a descent that has left the screen is not shown", async () => {
  const server = createServer();
  const { page } = createPage(server);
  const shown = [];
  createReader(page, "quality", (reading) => shown.push(reading))();
  page.answer = { id: 2 };
  server.asked[0].resolve({ ssim: 0.5 });
  await settled();
  assert.deepEqual(shown, []);
});

test("what is wrong is said, and may be asked again", async () => {
  const server = createServer();
  const { page, said } = createPage(server);
  const read = createReader(page, "quality", () => assert.fail("nothing to show"));
  read();
  server.asked[0].resolve({ error: "No such picture." });
  await settled();
  assert.deepEqual(said, ["No such picture."]);
  const second = read();
  assert.equal(server.asked.length, 2);
  server.asked[1].resolve({ error: "Still none." });
  await second;
});

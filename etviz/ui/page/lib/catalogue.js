/** The checkpoints and training runs on the server, as `describe_run` in etviz/ui/runs.py describes them. */

import { patiently } from "./asker.js";
import { h } from "./tools.js";

const FRESH_MS = 10000; // runs come and go while the page is open

/** `list()` resolves to everything that can be loaded; it asks again when the last answer is old. */
export function createCatalogue(app) {
  let known = [];
  let asked = -Infinity;
  return {
    get: (name) => known.find((run) => run.name === name) ?? null,
    async list() {
      if (performance.now() - asked < FRESH_MS) return known;
      asked = performance.now();
      const answer = await patiently(app.host.ask({ kind: "runs" }));
      if (answer.error) app.say(answer.error);
      else known = answer.runs;
      return known;
    },
  };
}

/** An epoch in few digits: 0.1, 1.8, 16. */
export const epochText = (epoch) => (Number.isFinite(epoch) ? String(Number(epoch.toFixed(epoch < 1 ? 2 : 1))) : "?");

const finalText = (run) => (run.epoch == null ? "Final weights" : `Final (${epochText(run.epoch)})`);

/** Options for a menu of a run's epochs; the empty value stands for its final weights. */
export function epochOptions(run) {
  const snapshots = run?.snapshots ?? [];
  return [
    h("option", { value: "" }, run ? finalText(run) : "Final weights"),
    ...snapshots.map(({ file, epoch }) => h("option", { value: file }, `Epoch ${epochText(epoch)}`)),
  ];
}

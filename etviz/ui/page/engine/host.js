/**
 * A host that computes in the visitor's own browser: it hands the page's questions to a worker, see worker.js.
 *
 * @import { Host } from "../lib/types.d.ts"
 */

/**
 * The host for `createExplorer`, but for what to show first.
 *
 * @param {{catalogue: any, base?: string, worker: Worker, load?: (path: string) => Promise<Uint8Array>}} given
 *     the catalogue, the address of its files, and a worker that runs worker.js; `load` where the page has the files
 * @returns {Promise<Pick<Host, "ask" | "readFile">>}
 */
export async function createEngineHost({ catalogue, base = "", worker, load }) {
  const waiting = new Map();
  let count = 0;

  const call = (message) =>
    new Promise((resolve) => {
      count += 1;
      waiting.set(count, resolve);
      worker.postMessage({ id: count, ...message });
    });

  worker.addEventListener("message", async ({ data: { id, answer, path } }) => {
    if (path !== undefined) {
      const bytes = await load(path).catch(() => null);
      worker.postMessage({ kind: "loaded", path, bytes });
      return;
    }
    waiting.get(id)?.(answer);
    waiting.delete(id);
  });

  await call({ kind: "open", catalogue, base, given: Boolean(load) });
  return {
    ask: (question) => call({ kind: "ask", question }),
    readFile: (file, model) => call({ kind: "file", file, model }),
  };
}

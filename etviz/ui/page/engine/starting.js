/**
 * Starts the engine: a worker made of code that the page already holds, so that neither the media type by which a host
 * serves it matters, nor whether there is a host at all.
 *
 * @import { Host } from "../lib/types.d.ts"
 */

import { createEngineHost } from "./host.js";

const STUCK = "The part of this page that computes did not start: reload the page, or try another browser.";

/**
 * A host, less its start. Questions may be asked at once; they are answered when the worker is `ready`.
 *
 * @param {{
 *   catalogue: any, base: string, code: Promise<string> | string, load?: (path: string) => Promise<Uint8Array>,
 * }} given
 * @returns {Required<Pick<Host, "ask" | "readFile">> & {ready: Promise<void>}}
 */
export function startEngine({ catalogue, base, code, load }) {
  const engine = Promise.resolve(code).then(async (source) => {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(url); // not a module: browsers refuse those to a page that was opened as a file
    const failed = new Promise((_, reject) => worker.addEventListener("error", reject, { once: true }));
    return Promise.race([createEngineHost({ catalogue, base, worker, load }), failed]);
  });
  const stuck = () => ({ pixels: null, error: STUCK });
  return {
    /** Resolves in any case, when nothing more is fetched for the start. */
    ready: engine.then(
      () => {},
      (problem) => console.warn(problem),
    ),
    ask: (question) => engine.then((host) => host.ask(question), stuck),
    readFile: (file, model) => engine.then((host) => host.readFile(file, model), stuck),
  };
}

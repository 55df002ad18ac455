/**
 * The explorer as a site of static files: the engine in a Web Worker is its host. See etviz/site.
 *
 * index.html names the parts of this version. The page opens with a descent that was computed ahead, while the worker
 * fetches the weights.
 */

import { createLiveFile } from "./engine/livefile.js";
import { startEngine } from "./engine/starting.js";
import { createExplorer } from "./explorer.js";
import { h } from "./lib/tools.js";

const BROKEN = "This page could not fetch all of its parts. There may be no network, or the site is being renewed: ";

const OPENED_AS_FILE =
  "This page was opened as a file, and browsers let no such page read the files beside it. In its folder, run " +
  "python -m http.server, then open the address that it prints. ";
const UNSAVED = "The file could not be made: a part of it could not be fetched. Is there a network?";

/** A part of the site; throws where it cannot be had. @param {string} path */
async function fetchPart(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

/** The engine as the page's host; a file that carries it is made here, since the worker has no part of the page. */
function createHost(catalogue, { ask, readFile }) {
  const fetchBytes = async (path) => new Uint8Array(await (await fetchPart(path)).arrayBuffer());
  const makeLiveFile = createLiveFile({ catalogue, ask, fetchBytes });
  const save = (question) => makeLiveFile(question).catch(() => ({ error: UNSAVED }));
  const answer = (question) => (question.kind === "export" && question.format === "live" ? save : ask)(question);
  return { start: catalogue.start, ask: answer, readFile, address: window, alone: true };
}

async function openSite() {
  const root = document.getElementById("etviz");
  const parts = JSON.parse(document.getElementById("etviz-site").textContent);
  try {
    const code = fetchPart(parts.worker).then((answer) => answer.text());
    code.catch(() => {}); // startEngine says so
    const catalogue = await (await fetchPart(parts.catalogue)).json();
    const base = new URL(".", location.href).href;
    const engine = startEngine({ catalogue, base, code });
    createExplorer(root, createHost(catalogue, engine));
    await engine.ready; // the first visit fetches nothing twice
  } catch (problem) {
    console.warn(problem);
    const again = h("button", { type: "button", click: () => location.reload() }, "Reload");
    root.replaceChildren(
      h("p", { class: "etviz-wait", role: "alert" }, location.protocol === "file:" ? OPENED_AS_FILE : BROKEN, again),
    );
    return;
  }
  keepForOffline(parts.serviceWorker);
}

/** From now on the page opens without a network, where the browser lets pages store anything. @param {string} path */
async function keepForOffline(path) {
  try {
    await navigator.serviceWorker.register(path);
  } catch (problem) {
    console.info("This browser keeps nothing for offline use.", problem);
  }
}

openSite();

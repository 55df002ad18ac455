/**
 * The explorer as one file, which holds the engine, the weights and the pictures: it computes from a mail attachment,
 * offline. See etviz/site/live.py.
 */

import { startEngine } from "./engine/starting.js";
import { createExplorer } from "./explorer.js";
import { bytes } from "./lib/tools.js";

const SUCH_A_FILE = "This page is such a file itself: send it on as it is, or save a ZIP or a GIF.";
const NOT_CARRIED = "This file does not carry what is asked for.";

function openLive() {
  const { catalogue, views, files } = JSON.parse(document.getElementById("etviz-live").textContent);
  const code = document.getElementById("etviz-engine").textContent;
  const load = async (path) => {
    if (!(path in files)) throw new Error(NOT_CARRIED);
    return bytes(files[path]);
  };
  const { ask, readFile } = startEngine({ catalogue, base: "", code, load });
  const answer = async (question) =>
    question.kind === "export" && ["live", "html"].includes(question.format) ? { error: SUCH_A_FILE } : ask(question);
  createExplorer(document.getElementById("etviz"), {
    start: catalogue.start,
    views,
    ask: answer,
    readFile,
    alone: true,
  });
}

openLive();

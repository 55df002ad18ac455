/** An offer to fetch a published model that is missing: a button, then how far it is, then the model. */

import { patiently } from "../lib/asker.js";
import { h } from "../lib/tools.js";

const GLANCE_MS = 400; // between two looks at how far it is
const MEGABYTE = 1e6;

/**
 * Nothing is fetched before the button is pressed. `ask(question)` asks the host; `onModel(entry, datasets)` is told of
 * the model once it is there, `onProblem(sentence)` why it is not.
 *
 * @param {{source: string, title: string, megabytes: number}} offer
 */
export function createOffer({ source, title, megabytes }, { ask, onModel, onProblem }) {
  const text = `Get ${title} (${megabytes} MB)`;
  const fetches = "It is fetched from its authors' repository, once, and kept beside the other models.";
  const button = h("button", { type: "button", class: "etviz-offer", title: fetches, click: get }, text);
  const look = (begin) => patiently(ask({ kind: "download", source, begin }));

  async function get() {
    button.disabled = true;
    onProblem("");
    let status = await look(true);
    while (status.state === "running") {
      const percent = Math.floor((100 * status.done) / status.total);
      button.textContent = `Fetching… ${percent}% of ${Math.ceil(status.total / MEGABYTE)} MB`;
      await new Promise((resolve) => setTimeout(resolve, GLANCE_MS));
      status = await look(false);
    }
    button.disabled = false;
    button.textContent = text;
    if (status.state !== "done") return onProblem(status.error ?? status.problem);
    button.remove();
    onModel(status.model, status.datasets);
  }

  return button;
}

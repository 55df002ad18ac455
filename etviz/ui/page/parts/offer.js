/** Published models that are missing: an entry in the menu of models, fetched when the reader chooses it. */

import { patiently } from "../lib/asker.js";

const GLANCE_MS = 400; // between two looks at how far it is
const MEGABYTE = 1e6;

/** What the menu says. @param {{title: string, megabytes: number}} offer */
export const offerText = ({ title, megabytes }) => `Get ${title} (${megabytes} MB)`;

/**
 * Fetch a model. Resolves to {model, datasets}: its entry in the menu, and the galleries; or to {error}, a sentence.
 *
 * @param {(question: import("../lib/types.d.ts").Question) => Promise<any>} ask
 * @param {string} source @param {(text: string) => void} tell how far it is
 */
export async function fetchOffer(ask, source, tell) {
  const look = (begin) => patiently(ask({ kind: "download", source, begin }));
  let status = await look(true);
  while (status.state === "running") {
    const percent = Math.floor((100 * status.done) / status.total);
    tell(`Fetching: ${percent}% of ${Math.ceil(status.total / MEGABYTE)} MB`);
    await new Promise((resolve) => setTimeout(resolve, GLANCE_MS));
    status = await look(false);
  }
  return status.state === "done" ? status : { error: status.error ?? status.problem };
}

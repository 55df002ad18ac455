/** Sharing a descent: by a link, or as a file. */

import { createAsker } from "../lib/asker.js";
import { bytes, h } from "../lib/tools.js";

/** @type {Record<string, [string, string]>} */
const SAVED_AS = {
  html: ["Page that replays it (HTML)", "One file that replays the descent in any browser, offline"],
  live: [
    "Page that computes (HTML)",
    "One file with the model in it, in which one can go on painting in any browser, offline",
  ],
  gif: ["Film (GIF)", "Every state in turn"],
  zip: ["Everything (ZIP)", "Settings, mask, arrays (.npz), pictures, film strip and GIF"],
};

const COPY = "The link holds the picture, mask, model, settings, step and tab";

/** A menu that opens. `link()` gives the address to share; it is null where there is none. */
export function createShare(app, link) {
  const ask = createAsker((question) => app.host.ask(question));
  const done = h("span", { class: "etviz-hint", role: "status" });

  async function save(format) {
    done.textContent = "Making the file…";
    const file = await ask({ ...app.question(), kind: "export", format });
    done.textContent = "";
    if (file === null) return;
    if (file.error) app.say(file.error);
    else download(file);
  }

  function download({ name, type, data }) {
    const url = URL.createObjectURL(new Blob([bytes(data)], { type }));
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may still be reading it
    done.textContent = `Saved ${name}`;
  }

  async function copy() {
    const address = link();
    try {
      await navigator.clipboard.writeText(address);
      done.textContent = "Link copied";
    } catch {
      app.say(`This browser does not let pages copy. The link is ${address}`);
    }
  }

  const button = ([format, [name, title]]) => h("button", { type: "button", title, click: () => save(format) }, name);
  const node = h(
    "details",
    { class: "etviz-share" },
    h("summary", {}, "Share"),
    h(
      "div",
      { class: "etviz-menu" },
      link ? h("button", { type: "button", title: COPY, click: copy }, "Copy link") : null,
      ...Object.entries(SAVED_AS).map(button),
      done,
    ),
  );
  const close = (event) => {
    if (node.open && !node.contains(event.target)) node.open = false;
  };
  document.addEventListener("pointerdown", close);
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    node.open = false;
    node.querySelector("summary").focus();
  });
  node.addEventListener("toggle", () => (done.textContent = ""));
  return { node };
}

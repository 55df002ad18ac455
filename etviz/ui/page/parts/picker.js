/** Choosing a picture and a model. */

import { createAsker } from "../lib/asker.js";
import { draw, rgb } from "../lib/pixels.js";
import { bytes, clamp, h } from "../lib/tools.js";
import { offerText } from "./offer.js";

const ALL = ""; // the class menu's first entry

/**
 * Pages of thumbnails of a dataset or one of its classes. `onPicture({dataset, index})` when one is chosen;
 * `ask(question)` gives the pages after the first; `extra` are further controls to show.
 */
export function createPicker(start, { onPicture, onProblem, ask, extra = [] }) {
  const askForPage = createAsker(ask);
  let page = start.gallery ?? null; // as etviz/ui/readings/gallery.py gives it
  let asked = page; // the newest page asked for, which may not be here yet
  let shown = {}; // the picture on screen
  let thumbs = [];

  const option = (value, text) => h("option", { value }, text);
  const datasets = h(
    "select",
    { "aria-label": "Dataset" },
    ...(start.datasets ?? []).map(({ name, title }) => option(name, title)),
  );
  datasets.addEventListener("change", async () => {
    const turned = await turn({ dataset: datasets.value, label: null, page: 0 });
    if (turned) pick(page.thumbs[0].index);
  });
  const classes = h("select", { class: "etviz-classes", "aria-label": "Class" });
  classes.addEventListener("change", () => turn({ label: classes.value === ALL ? null : classes.value, page: 0 }));
  const arrow = (text, name, by) =>
    h(
      "button",
      {
        type: "button",
        class: "etviz-icon",
        title: name,
        "aria-label": name,
        click: () => turn({ page: clamp(asked.page + by, 0, page.pages - 1) }),
      },
      text,
    );
  const [back, on] = [arrow("‹", "Earlier pictures", -1), arrow("›", "More pictures", 1)];
  const strip = h("div", { class: "etviz-thumbs" });
  const number = h("input", { type: "number", min: 0, step: 1, "aria-label": "Picture number", inputmode: "numeric" });
  number.addEventListener("change", () => {
    if (number.value !== "") pick(clamp(Math.round(Number(number.value)), 0, page.total - 1));
  });
  const random = h(
    "button",
    { type: "button", "aria-label": "Random picture", title: "Any picture of the chosen class", click: pickAny },
    "Random",
  );
  const node = h(
    "section",
    { class: "etviz-pick", "aria-label": "Choose a picture" },
    datasets,
    classes,
    h("div", { class: "etviz-strip" }, back, strip, on),
    h("div", { class: "etviz-choose" }, h("label", { class: "etviz-number" }, "No.", number), random, ...extra),
  );

  const pick = (index) => onPicture({ dataset: page.dataset, index });

  async function pickAny() {
    const place = Math.floor(Math.random() * page.count);
    const turned = await turn({ page: Math.floor(place / page.per_page) });
    if (turned) pick(page.thumbs[place % page.per_page].index);
  }

  /** Show another page. Resolves to whether it came. */
  async function turn(changes) {
    asked = { dataset: asked.dataset, label: asked.label, page: asked.page, ...changes };
    const answer = await askForPage({ kind: "gallery", model: start.answer.model, ...asked });
    if (answer === null) return false; // a newer question is under way
    if (answer.error) onProblem(answer.error);
    else page = answer;
    asked = page;
    showPage();
    return !answer.error;
  }

  function showPage() {
    thumbs = page.thumbs.map(({ index, caption, image }) => {
      const canvas = h("canvas", { "aria-hidden": "true" });
      const pixels = bytes(image);
      draw(canvas, Math.sqrt(pixels.length / 3), rgb(pixels));
      return h(
        "button",
        { type: "button", class: "etviz-thumb", title: caption, "aria-label": caption, click: () => pick(index) },
        canvas,
      );
    });
    strip.replaceChildren(...thumbs);
    classes.replaceChildren(option(ALL, "All classes"), ...page.classes.map((name) => option(name, name)));
    datasets.value = page.dataset;
    classes.value = page.label ?? ALL;
    number.max = page.total - 1;
    back.disabled = page.page === 0;
    on.disabled = page.page === page.pages - 1;
    datasets.hidden = datasets.options.length < 2;
    classes.hidden = page.classes.length < 2;
    back.hidden = on.hidden = page.pages < 2;
    mark();
  }

  function mark() {
    const here = (i) => shown.dataset === page.dataset && page.thumbs[i].index === shown.index;
    thumbs.forEach((thumb, i) => thumb.setAttribute("aria-pressed", here(i)));
  }

  if (page) showPage();
  return {
    /** Add galleries that are new. @param {{name: string, title: string}[]} found */
    offer(found) {
      const known = new Set([...datasets.options].map((entry) => entry.value));
      datasets.append(...found.filter(({ name }) => !known.has(name)).map(({ name, title }) => option(name, title)));
      datasets.hidden = datasets.options.length < 2;
    },
    node: page ? node : h("div", { class: "etviz-choose" }, ...extra),
    show(picture) {
      shown = picture;
      number.value = picture.index ?? "";
      if (!page) return;
      mark();
      if (picture.dataset && picture.dataset !== page.dataset) turn({ dataset: picture.dataset, label: null, page: 0 });
    },
  };
}

const OFFERED = "offer:"; // before the source of a model that is not there yet

/** `onModel(name)` when the reader chooses a model, `onOffer(source)` when it is one that has to be fetched. */
export function createModelMenu(start, onModel, onOffer) {
  const models = start.models ?? [];
  if (!models.length) return null;
  const offers = start.offers ?? [];
  const facts = h("span", { class: "etviz-facts", role: "status" });
  const entry = (value, text) => h("option", { value }, text);
  const menu = h(
    "select",
    { "aria-label": "Model" },
    ...models.map(({ name }) => entry(name, name)),
    ...offers.map((offer) => entry(`${OFFERED}${offer.source}`, offerText(offer))),
  );
  let shown = models[0].name;
  menu.addEventListener("change", () => {
    if (!menu.value.startsWith(OFFERED)) return onModel(menu.value);
    const source = menu.value.slice(OFFERED.length);
    menu.value = shown;
    onOffer(source);
  });
  const name = models.length + offers.length > 1 ? menu : h("b", {}, models[0].name);
  const optionOf = (value) => [...menu.options].find((option) => option.value === value);

  return {
    node: h("div", { class: "etviz-model" }, name, facts),
    /** Say how far a model is that is being fetched; an empty text ends that. @param {string} text */
    tell(text) {
      facts.classList.toggle("is-busy", text !== "");
      if (text) facts.textContent = text;
    },
    /** A model that was offered is there. @param {string} source @param {string} model */
    arrived(source, model) {
      optionOf(`${OFFERED}${source}`)?.replaceWith(entry(model, model));
    },
    show(model, snapshot = null) {
      if (!optionOf(model)) {
        menu.append(entry(model, model)); // a run, which was not in the menu at the start
        name.replaceWith(menu);
      }
      shown = menu.value = model;
      const known = models.find((given) => given.name === model)?.facts ?? "";
      if (facts.classList.contains("is-busy")) return;
      facts.textContent = snapshot ? `As it was in training, at ${snapshot.replace(".safetensors", "")}` : known;
    },
  };
}

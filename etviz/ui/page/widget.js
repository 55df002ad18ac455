/**
 * The explorer as an anywidget: the page's questions go to Python as custom messages, {id, question} there and
 * {id, answer} back; mask, image_index and settings are traits that both sides set. See etviz/ui/widget.py.
 */

import { createExplorer } from "./explorer.js";
import { h } from "./lib/tools.js";

const SETTINGS = ["steps", "step_size", "beta", "rule", "settle"];

/** Plain keys are commands in JupyterLab too, so those meant for the painter must not reach the notebook. */
function keepPlainKeys(event) {
  if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
}

export default {
  async render({ model, el }) {
    const me = Math.random(); // every view of the widget hears every answer
    const waiting = new Map();
    const root = h("div", { class: "etviz" }, "Waiting for the notebook's kernel…");
    let asked = 0;
    let telling = false;

    const ask = (question) =>
      new Promise((resolve) => {
        asked += 1;
        waiting.set(`${me} ${asked}`, resolve);
        model.send({ id: `${me} ${asked}`, question });
      });
    const hear = ({ id, answer }) => {
      waiting.get(id)?.(answer);
      waiting.delete(id);
    };

    /** Let Python read what is on screen. */
    function tell(answer) {
      telling = true;
      model.set("mask", answer.mask);
      model.set("image_index", answer.picture.index);
      model.set("settings", Object.fromEntries(SETTINGS.map((name) => [name, answer.settings[name]])));
      telling = false;
      model.save_changes();
    }

    el.replaceChildren(root);
    el.addEventListener("keydown", keepPlainKeys);
    model.on("msg:custom", hear);
    const start = await ask({ kind: "start" });
    const explorer = createExplorer(root, { start, ask, views: model.get("views"), onAnswer: tell });

    const follow = () => {
      if (telling) return;
      const picture = { ...start.answer.picture, index: model.get("image_index") };
      explorer.travelTo({ picture, mask: model.get("mask"), settings: model.get("settings"), tab: root.dataset.tab });
    };
    const traits = ["mask", "image_index", "settings"];
    traits.forEach((name) => model.on(`change:${name}`, follow));
    return () => {
      el.removeEventListener("keydown", keepPlainKeys);
      model.off("msg:custom", hear);
      traits.forEach((name) => model.off(`change:${name}`, follow));
    };
  },
};

/** Tabs by the ARIA pattern: arrow keys move between them, and only the open panel is in the page's flow. */

import { h } from "../lib/tools.js";

/** `views` are {name, title, text, node}; `onOpen(name)` when the reader opens one. */
export function createTabs(views, onOpen) {
  const entries = views.map((view) => {
    const [tabId, panelId] = [`etviz-tab-${view.name}`, `etviz-panel-${view.name}`];
    const tab = h(
      "button",
      { type: "button", role: "tab", id: tabId, "aria-controls": panelId, click: () => onOpen(view.name) },
      view.title,
    );
    const panel = h(
      "section",
      { role: "tabpanel", id: panelId, "aria-labelledby": tabId, class: `etviz-panel is-${view.name}`, hidden: true },
      view.text ? h("p", { class: "etviz-lead" }, view.text) : null,
      view.node,
    );
    return { name: view.name, tab, panel };
  });
  const list = h(
    "div",
    { class: "etviz-tabs", role: "tablist", "aria-label": "Views" },
    ...entries.map((entry) => entry.tab),
  );

  list.addEventListener("keydown", (event) => {
    const now = entries.findIndex((entry) => entry.tab === document.activeElement);
    const last = entries.length - 1;
    const moves = { ArrowRight: now === last ? 0 : now + 1, ArrowLeft: now === 0 ? last : now - 1, Home: 0, End: last };
    if (now < 0 || !(event.key in moves)) return;
    event.preventDefault();
    const { name, tab } = entries[moves[event.key]];
    onOpen(name);
    tab.focus();
  });

  return {
    list,
    panels: entries.map((entry) => entry.panel),
    open(name) {
      for (const entry of entries) {
        const chosen = entry.name === name;
        entry.panel.hidden = !chosen;
        entry.tab.setAttribute("aria-selected", chosen);
        entry.tab.tabIndex = chosen ? 0 : -1;
        if (chosen) list.scrollLeft = entry.tab.offsetLeft - list.clientWidth / 2; // the list may be wider than a phone
      }
    },
  };
}

// The bar under a grid in which photos are selected: how many, and what can be done with them.

import { h, icon, plural } from "./dom.js";
import * as actions from "./selection_actions.js";
import { addLabel, takeLabel } from "./selection_labels.js";
import { libraryStatus } from "./state.js";

/** @type {[string, string, (ids: number[]) => void, string][]} icon, words, what it does with the ids, key */
const VERBS = [
  ["like", "Find similar", actions.findSimilar, "f"],
  ["heart", "Favourite", actions.favourite, "s"],
  ["label", "Add label", addLabel, "l"],
  ["unlabel", "Not this label", takeLabel, ""],
  ["copies", "Copy or link", actions.copy, "c"],
  ["download", "Download", actions.download, "d"],
  ["reveal", "Show file", actions.reveal, "o"],
  ["trash", "Move to trash", actions.remove, "Delete"],
];

export class SelectionBar {
  constructor() {
    /** @type {import("./selection.js").Selection | null} */
    this.selection = null;
    this.count = h("b", { class: "number" });
    this.verbs = h("div", { class: "selection-verbs" }, ...VERBS.map(([name, words, act, key]) =>
      h("button", {
        type: "button", class: "verb", "aria-keyshortcuts": key || undefined, title: key ? `${words} (${key})` : words, data: { verb: words },
        onclick: () => act(this.selection.chosen()),
      }, icon(name), h("span", {}, words))));
    this.element = h("div", { class: "selection-bar", role: "region", "aria-label": "Selected photos", hidden: true },
      h("div", { class: "selection-count" },
        h("button", { type: "button", class: "icon", "aria-label": "Clear the selection", title: "Clear the selection (Esc)", onclick: () => this.selection.clear() }, icon("close")),
        this.count,
        h("button", { type: "button", class: "button quiet", onclick: () => this.selection.all() }, "Select all")),
      this.verbs);
    // Where the files are on another machine, there is no file manager to show one in.
    libraryStatus().then((status) => { this.verbs.querySelector('[data-verb="Show file"]').hidden = !status.can_reveal; }, () => {});
    this.keys = Object.fromEntries(VERBS.filter(([, , , key]) => key).map(([, , act, key]) => [key, () => {
      if (!this.selection?.count) return false;
      act(this.selection.chosen());
      return true;
    }]));
  }

  /** @param {import("./selection.js").Selection} selection */
  show(selection) {
    this.selection = selection;
    if (this.element.hidden !== (selection.count === 0)) this.element.hidden = selection.count === 0;
    this.count.textContent = plural(selection.count, "photo");
    const reveal = this.verbs.querySelector('[data-verb="Show file"]');
    if (reveal) reveal.disabled = selection.count !== 1;
  }
}

// Adding a folder: the form, a chooser of folders of this machine, and what a new library shows.

import { get, post } from "./api.js";
import { announce, button, dialog, h, icon } from "./dom.js";
import { modelChoice } from "./models.js";

/** The form that adds a folder. `onadded` hears when a run has begun. */
export function addFolderForm(onadded = () => {}, { first = false } = {}) {
  const model = first ? modelChoice() : null;
  const field = h("input", { class: "field grow", type: "text", name: "folder", placeholder: "/home/me/Pictures", autocomplete: "off", spellcheck: "false", "aria-label": "Folder of photos", "aria-describedby": "folder-note" });
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
  const send = button("Add and index", () => {}, { kind: "first", type: "submit" });
  const form = h("form", {
    class: "stack",
    onsubmit: async (event) => {
      event.preventDefault();
      problem.hidden = true;
      send.disabled = true;
      try {
        await post("/api/roots", { folder: field.value.trim(), model: model?.value() ?? null });
        announce("Indexing has begun");
        field.value = "";
        onadded();
      } catch (error) {
        problem.textContent = error.message;
        problem.hidden = false;
        field.focus();
      } finally {
        send.disabled = false;
      }
    },
  },
  h("div", { class: "row" }, field, button([icon("folder"), "Browse"], () => chooseFolder(field.value.trim(), (path) => { field.value = path; send.focus(); })), send),
  model?.element ?? null, problem,
  h("p", { class: "muted small", id: "folder-note" }, "Photos are only read, never changed or copied. All subfolders are included."));
  return form;
}

/** Pick a folder of this machine; a browser's own chooser would not say where it is. */
export function chooseFolder(start, onchosen) {
  dialog("Choose a folder", (close) => {
    const where = h("b", { class: "path" });
    const rows = h("div", { class: "chooser", role: "group", "aria-label": "Folders" });
    const shortcuts = h("div", { class: "row" });
    let here = "";
    const visit = async (path, { again = true } = {}) => {
      try {
        const answer = await get("/api/folders", { path });
        here = answer.path;
        where.textContent = here;
        shortcuts.replaceChildren(...answer.shortcuts.map((one) => button(one.name, () => visit(one.path), { kind: "quiet" })));
        const entries = answer.folders.map((one) => h("button", { type: "button", onclick: () => visit(one.path) }, icon("folder"), one.name));
        if (answer.parent) entries.unshift(h("button", { type: "button", onclick: () => visit(answer.parent) }, icon("left"), "Up"));
        rows.replaceChildren(...(entries.length ? entries : [h("p", { class: "muted small" }, "No folders in here")]));
        rows.scrollTop = 0;
      } catch (error) {
        if (again) visit("", { again: false });
        else rows.replaceChildren(h("p", { class: "notice" }, error.status === 404 ? "Write the folder's path into the field instead." : error.message));
      }
    };
    visit(start);
    return [
      h("div", { class: "inside" }, shortcuts, where, rows),
      h("div", { class: "foot" }, button("Cancel", close), button("Choose this folder", () => { close(); onchosen(here); }, { kind: "first" })),
    ];
  });
}

/** What a new library shows. */
export function welcome() {
  return h("div", { class: "welcome" },
    h("h1", {}, "Find your photos by what is in them"),
    h("p", { class: "muted" }, "Everything happens on this machine. Your photos are only read."),
    h("div", { class: "card" }, h("h2", {}, "Add your first folder"), addFolderForm(undefined, { first: true })),
    h("ol", {},
      h("li", {}, h("div", {}, h("h3", {}, "Each photo is looked at once"), h("p", { class: "muted" }, "You can search while that goes on, and stop whenever you like."))),
      h("li", {}, h("div", {}, h("h3", {}, "Search with a picture"), h("p", { class: "muted" }, "Drop or paste one anywhere on this page, or press f on a photo."))),
      h("li", {}, h("div", {}, h("h3", {}, "Clean up and label"), h("p", { class: "muted" }, "See what you have twice, and teach your library words of your own.")))));
}

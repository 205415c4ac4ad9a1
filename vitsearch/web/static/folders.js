// The folders of the library, how indexing goes, and what could not be read.

import { get, post, query } from "./api.js";
import { announce, button, bytes, dialog, duration, fileName, folderOf, h, icon, plural, toast } from "./dom.js";
import { libraryStatus } from "./state.js";

/** The form that adds a folder. `onadded` hears when a run has begun. */
export function addFolderForm(onadded = () => {}) {
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
        await post("/api/roots", { folder: field.value.trim() });
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
  problem,
  h("p", { class: "muted small", id: "folder-note" }, "Photos are only read, never changed or copied. All subfolders are included."));
  return form;
}

/** Pick a folder of this machine; a browser's own chooser would not say where it is. */
function chooseFolder(start, onchosen) {
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
    h("div", { class: "card" }, h("h2", {}, "Add your first folder"), addFolderForm()),
    h("ol", {},
      h("li", {}, h("div", {}, h("h3", {}, "Each photo is looked at once"), h("p", { class: "muted" }, "You can search while that goes on, and stop whenever you like."))),
      h("li", {}, h("div", {}, h("h3", {}, "Search with a picture"), h("p", { class: "muted" }, "Drop or paste one anywhere on this page, or press f on a photo."))),
      h("li", {}, h("div", {}, h("h3", {}, "Clean up and label"), h("p", { class: "muted" }, "See what you have twice, and teach your library words of your own.")))));
}

export class FoldersView {
  title = "Folders";
  keyHelp = [["a", "Add a folder"], ["Space", "Pause or continue indexing"]];

  constructor() {
    this.progress = h("section", { class: "card stack", "aria-label": "Indexing" });
    this.figures = h("div", { class: "figures" });
    this.roots = h("ul", { class: "list" });
    this.unreadable = h("section", { class: "card stack", hidden: true });
    this.form = addFolderForm(() => this.#load());
    const page = h("div", { class: "page" }, h("h1", {}, "Folders"), this.progress, this.figures,
      h("section", { class: "card stack" }, h("h2", {}, "Folders of the library"), this.roots, this.form), this.unreadable);
    this.element = h("div", {}, h("div", { class: "scroll" }, page));
    this.press = {
      a: () => this.form.querySelector("input").focus(),
      " ": () => (this.running ? this.#pause() : this.#start()),
    };
  }

  /**
   * @param {URL} url
   * @param {{ changed?: boolean }} options
   */
  show(url, { changed } = {}) {
    if (changed !== false) this.#load();
  }

  changed() {
    this.#load();
  }

  onProgress(progress) {
    this.running = true;
    this.#paintProgress(progress);
  }

  onIdle() {
    this.running = false;
    this.#paintIdle();
  }

  onDone(report) {
    this.running = false;
    this.report = report;
    this.#paintIdle();
    this.#load();
  }

  onFailed(problem) {
    this.running = false;
    this.#paintIdle(problem);
  }

  async #load() {
    try {
      const [status, { roots }] = await Promise.all([libraryStatus({ fresh: true }), get("/api/roots").catch((error) => {
        if (error.status === 404) return { roots: [] };
        throw error;
      })]);
      this.status = status;
      if (status.indexing) this.onProgress(status.indexing);
      else if (!this.running) this.#paintIdle();
      this.#paintFigures(status);
      this.roots.replaceChildren(...(roots.length ? roots.map(rootRow) : [h("li", { class: "muted" }, "No folder yet: add one below.")]));
      await this.#loadUnreadable(status);
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #paintFigures(status) {
    const figure = (value, words) => h("div", {}, h("b", {}, value), h("span", {}, words));
    this.figures.replaceChildren(
      figure(status.photos.toLocaleString("en"), status.photos === 1 ? "photo" : "photos"), figure(status.files.toLocaleString("en"), status.files === 1 ? "file" : "files"),
      figure(status.model ?? "none yet", "model"), figure(bytes(status.database_bytes + status.neighbours_bytes), "on disk"),
      ...(status.missing ? [figure(status.missing.toLocaleString("en"), "files not there any more")] : []));
  }

  #paintProgress(progress) {
    const { stage, done, total, rate, seconds_left: left, unreadable } = progress;
    const words = { scan: "Looking for photos", embed: "Looking at each photo" }[stage] ?? "Indexing";
    if (!this.bar?.isConnected) {
      this.bar = h("progress", { "aria-label": "Indexing" });
      this.words = h("h2");
      this.line = h("p", { class: "muted number" });
      this.progress.replaceChildren(h("div", { class: "row" }, this.words, h("span", { class: "grow" }), button([icon("pause"), "Pause"], () => this.#pause())), this.bar, this.line);
    }
    this.words.textContent = words;
    if (total) {
      this.bar.max = total;
      this.bar.value = done;
    } else this.bar.removeAttribute("value");
    const parts = [total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : `${(done ?? 0).toLocaleString("en")} found`];
    if (rate) parts.push(`${rate.toFixed(rate < 10 ? 1 : 0)} a second`);
    if (left) parts.push(`${duration(left)} left`);
    if (unreadable) parts.push(`${plural(unreadable, "file")} unreadable`);
    this.line.textContent = parts.join(" · ");
    // Spoken now and then, not with every batch.
    const tenth = total ? Math.floor((10 * done) / total) : -1;
    if (tenth !== this.tenth && tenth > 0) announce(`${words}: ${parts.join(", ")}`);
    this.tenth = tenth;
  }

  #paintIdle(problem) {
    this.bar = null;
    const { report } = this;
    const words = !report ? "New and changed photos are found when the folders are looked at again."
      : `${report.interrupted ? "Paused" : "Done"}: ${plural(report.embedded, "new photo")}, ${plural(report.unchanged, "file")} unchanged${report.missing ? `, ${report.missing.toLocaleString("en")} gone` : ""}, in ${duration(report.seconds)}.`;
    this.progress.replaceChildren(
      h("div", { class: "row" }, h("h2", {}, report?.interrupted ? "Indexing is paused" : "Indexing"), h("span", { class: "grow" }),
        button([icon("play"), report?.interrupted ? "Continue" : "Look again at all folders"], () => this.#start(), { disabled: this.status && !this.status.roots?.length })),
      h("p", { class: "muted", role: "status" }, words),
      problem ? h("p", { class: "notice bad", role: "alert" }, problem) : "");
  }

  async #loadUnreadable(status) {
    this.unreadable.hidden = !status.unreadable;
    if (!status.unreadable) return;
    const { total, files } = await get("/api/unreadable");
    this.unreadable.replaceChildren(h("h2", {}, `${plural(total, "file")} could not be read`),
      h("p", { class: "muted small" }, "Everything else is searchable. A file is tried again when it has changed."),
      h("ul", { class: "list" }, ...files.map((file) => h("li", {},
        h("div", { class: "grow small" }, h("b", { class: "path" }, fileName(file.path)), h("div", { class: "muted path" }, folderOf(file.path))),
        h("span", { class: "small path" }, file.reason)))));
  }

  async #pause() {
    await this.#ask("/api/index/stop", "Indexing stops after this batch");
  }

  async #start() {
    await this.#ask("/api/index", "Indexing has begun");
  }

  async #ask(address, words) {
    try {
      await post(address);
      announce(words);
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }
}

const rootRow = (root) => h("li", {}, icon("folder"),
  h("div", { class: "grow" }, h("a", { class: "path", href: `/${query({ folder: root.path })}` }, root.path),
    h("div", { class: "muted small number" }, [plural(root.files, "file"), root.missing ? `${root.missing.toLocaleString("en")} missing` : "", root.unreadable ? `${root.unreadable.toLocaleString("en")} unreadable` : ""].filter(Boolean).join(", "))),
  root.online ? null : h("span", { class: "tag warm" }, "not connected"));

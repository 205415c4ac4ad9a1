// The folders of the library: how indexing goes, which there are, what could not be read, and which model looks at them.

import { addFolderForm } from "./add_folder.js";
import { get, post, query } from "./api.js";
import { announce, button, bytes, confirmed, duration, fileName, h, icon, plural, toast } from "./dom.js";
import { modelCard } from "./models.js";
import { libraryStatus } from "./state.js";
import { showUnreadable } from "./unreadable.js";

export class FoldersView {
  title = "Folders";
  keyHelp = [["a", "Add a folder"], ["Space", "Pause or continue indexing"]];

  constructor() {
    this.progress = h("section", { class: "card stack", "aria-label": "Indexing" });
    this.figures = h("div", { class: "figures" });
    this.roots = h("ul", { class: "list" });
    this.unreadable = h("section", { class: "card stack", hidden: true });
    this.form = addFolderForm(() => this.#load());
    this.model = h("section", { class: "card stack", "aria-label": "Model" });
    this.watch = h("div", { class: "row" });
    const page = h("div", { class: "page" }, h("h1", {}, "Folders"), this.progress,
      h("section", { class: "card stack" }, h("h2", {}, "Folders of the library"), this.roots, this.watch, this.form), this.unreadable, this.model, this.figures);
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
      this.roots.replaceChildren(...(roots.length ? roots.map((root) => this.#root(root)) : [h("li", { class: "muted" }, "No folder yet: add one below.")]));
      this.model.replaceChildren(...modelCard(status));
      this.#paintWatch((await get("/api/watch")).on);
      await showUnreadable(this.unreadable, status);
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #paintFigures(status) {
    const figure = (value, words) => h("div", {}, h("b", {}, value), h("span", {}, words));
    this.figures.replaceChildren(
      figure(status.photos.toLocaleString("en"), status.photos === 1 ? "photo" : "photos"), figure(status.files.toLocaleString("en"), status.files === 1 ? "file" : "files"),
      figure(bytes(status.database_bytes + status.neighbours_bytes), "on disk"),
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
      : `${report.interrupted ? "Paused" : "Done"}: ${plural(report.embedded + report.arrived, "new photo")}, ${plural(report.unchanged, "file")} unchanged${report.missing ? `, ${report.missing.toLocaleString("en")} gone` : ""}, in ${duration(report.seconds)}.`;
    this.progress.replaceChildren(
      h("div", { class: "row" }, h("h2", {}, report?.interrupted ? "Indexing is paused" : "Indexing"), h("span", { class: "grow" }),
        button([icon("play"), report?.interrupted ? "Continue" : "Look again at all folders"], () => this.#start(), { disabled: this.status && !this.status.roots?.length })),
      h("p", { class: "muted", role: "status" }, words),
      problem ? h("p", { class: "notice bad", role: "alert" }, problem) : "");
  }

  async #pause() {
    await this.#ask("/api/index/stop", "Indexing stops after this batch");
  }

  async #start() {
    await this.#ask("/api/index", "Indexing has begun");
  }

  async #ask(address, words, order = {}) {
    try {
      await post(address, order);
      announce(words);
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #root(root) {
    const counts = [plural(root.files, "file"), root.missing ? `${root.missing.toLocaleString("en")} missing` : "", root.unreadable ? `${root.unreadable.toLocaleString("en")} unreadable` : ""];
    return h("li", {}, icon("folder"),
      h("div", { class: "grow" }, h("a", { class: "path", href: `/${query({ folder: root.path })}` }, root.path),
        h("div", { class: "muted small number" }, counts.filter(Boolean).join(", "))),
      root.online ? null : h("span", { class: "tag warm" }, root.empty ? "empty" : "not connected"),
      root.online ? button("Look again", () => this.#ask("/api/index", "Indexing has begun", { folders: [root.path] }), { kind: "quiet", "aria-label": `Look again at ${root.path}` }) : null,
      button("Forget …", () => this.#forget(root), { kind: "quiet danger", "aria-label": `Forget ${root.path}` }));
  }

  async #forget(root) {
    const sure = await confirmed(`Forget ${fileName(root.path)}?`, [
      `${root.path} leaves the library, with what is known of its ${plural(root.files, "file")}. The photos themselves are not touched.`,
      "Labels and decisions are kept: they count again if you add the folder again. Its photos would be looked at anew.",
    ], "Forget the folder");
    if (!sure) return;
    try {
      const { photos } = await post("/api/roots/forget", { folder: root.path });
      toast(`${plural(photos, "photo")} left the library; no file was touched`);
      this.#load();
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #paintWatch(on) {
    const box = h("input", {
      type: "checkbox", checked: on,
      onchange: async () => {
        try {
          const answer = await post("/api/watch", { on: box.checked });
          announce(answer.on ? "The folders are watched" : "The folders are not watched any more");
        } catch (error) {
          box.checked = !box.checked;
          toast(error.message, { bad: true });
        }
      },
    });
    this.watch.hidden = !this.status?.roots?.length;
    this.watch.replaceChildren(h("label", { class: "check" }, box, h("span", {}, h("b", {}, "Watch these folders"),
      h("span", { class: "muted small" }, "New, changed and moved photos are taken in at once, as long as vitsearch runs."))));
  }
}

// Labels: what a head says of the photos, put right by keyboard, what to label next, and training again.

import { get, picture, post, query, remove, thumbnail } from "./api.js";
import { remember } from "./captions.js";
import { announce, button, dialog, fileName, h, icon, percent, plural, segments, select, toast } from "./dom.js";
import { Grid } from "./grid.js";
import { go, openPhoto } from "./navigation.js";
import { libraryStatus } from "./state.js";

const PAGE = 1000;
const QUEUE = 30;

export class LabelsView {
  title = "Labels";
  keyHelp = [
    ["1 … 9", "Give the focused photo that label"], ["l", "Any label, or a new one, by name"], ["Enter", "Open the photo, or accept the label that is asked about"],
    ["s", "Skip, in what to label next"], ["u", "Take the last label back"], ["n", "What to label next"], ["r", "Retrain"],
  ];

  constructor() {
    this.done = [];
    this.list = h("div", { class: "head-list" });
    this.tools = h("div", { class: "tools" });
    this.legend = h("div", { class: "legend", role: "group", "aria-label": "Labels to give" });
    const row = (index) => this.rows[index];
    this.grid = new Grid({
      label: "Predictions", caption: 27, titles: false,
      onopen: (index) => openPhoto(this.grid.ids, index),
      decorate: (tile, index) => {
        const { labels, probability, corrected } = row(index);
        tile.classList.toggle("corrected", corrected);
        tile.append(h("div", { class: "caption" }, h("b", {}, labels.join(", ") || "none of these"), corrected ? h("span", { class: "tag good" }, "by you") : h("span", {}, percent(probability))));
      },
      keys: Object.fromEntries([..."0123456789"].map((digit) => [digit, (index) => this.#giveNumber(Number(digit), row(index))])),
    });
    this.teach = h("div", { class: "teach" });
    this.body = h("div", { class: "view-body" });
    this.main = h("div", { class: "compare" }, this.tools, this.legend, this.grid.element, this.teach);
    this.split = h("div", { class: "split" }, h("div", { class: "aside", role: "navigation", "aria-label": "Heads" }, this.list), this.main);
    this.element = h("div", {}, h("h1", { class: "out" }, "Labels"), this.split, this.body);
    this.press = {
      l: () => this.#name(), u: () => this.#undo(), r: () => this.#retrain(), s: () => this.#skip(),
      n: () => { if (this.head) this.#go({ next: this.next ? "" : "1", label: "" }); },
      Enter: () => { if (!this.next || !this.queue?.length) return false; this.#give(this.queue[0], this.queue[0].labels[0]); return true; },
      ArrowDown: () => (this.next ? false : this.grid.focus()),
      ArrowRight: () => (this.next ? this.#skip() : this.grid.focus()),
      ...Object.fromEntries([..."0123456789"].map((digit) => [digit, () => this.#giveNumber(Number(digit), this.next ? this.queue?.[0] : this.rows?.[this.grid.current])])),
    };
  }

  show(url) {
    this.parameters = Object.fromEntries(url.searchParams);
    this.#load();
  }

  changed() {
    this.isStale = true;
  }

  #go(changes) {
    go(`/labels${query({ ...this.parameters, ...changes })}`);
  }

  async #load() {
    const parameters = this.parameters;
    this.next = parameters.next === "1";
    this.legend.hidden = this.grid.element.hidden = this.teach.hidden = true;
    try {
      const status = await libraryStatus();
      if (!status.photos) {
        this.split.hidden = true;
        this.body.hidden = false;
        this.body.replaceChildren(h("div", { class: "empty" }, icon("label"), h("h2", {}, "Nothing to label yet"), h("p", {}, "Add a folder of photos first."), h("a", { href: "/indexing" }, "Add a folder")));
        return;
      }
      const { heads, damaged } = await get("/api/heads");
      if (parameters !== this.parameters) return;
      this.heads = heads;
      this.damaged = damaged;
      if (!heads.length) {
        await this.#invite();
        return;
      }
      this.body.replaceChildren();
      this.body.hidden = true;
      this.split.hidden = false;
      this.head = heads.find((head) => head.name === parameters.head) ?? heads[0];
      if (this.next) await this.#showNext();
      else await this.#showPredictions();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.tools.replaceChildren(h("p", { class: "notice bad", role: "alert" }, error.message));
      this.#paintList([]);
    }
  }

  async #invite() {
    this.split.hidden = true;
    this.body.hidden = false;
    const status = await libraryStatus().catch(() => null);
    this.body.replaceChildren(h("div", { class: "welcome" },
      h("h1", {}, "Teach your library words of your own"),
      h("p", { class: "muted" }, "A head is a small classifier on top of what the model has seen. It learns in seconds, from a few photos of each label."),
      h("div", { class: "card" }, h("h2", {}, "Make a head"), this.#makeForm(status)), ...this.#damaged()));
  }

  #makeForm(status, close = () => {}) {
    const name = h("input", { class: "field", type: "text", required: true, placeholder: "pets", "aria-label": "Name of the head", autocomplete: "off" });
    const source = h("input", { class: "field grow", type: "text", required: true, autocomplete: "off", spellcheck: "false" });
    const note = h("p", { class: "muted small" });
    const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
    let kind = "folder";
    const explain = () => {
      source.placeholder = kind === "folder" ? "/home/me/labelled" : "cat, dog, bird";
      source.setAttribute("aria-label", kind === "folder" ? "Folder of labelled photos" : "Labels, separated by commas");
      note.textContent = kind === "folder" ? "A folder with a subfolder a label, each with a few photos." : "The model is asked about each word: no example is needed.";
    };
    explain();
    const ways = status?.has_text ? segments("Made from", [["folder", "From photos"], ["labels", "From words"]], kind, (value) => { kind = value; explain(); }) : null;
    const send = button("Make the head", () => {}, { kind: "first", type: "submit" });
    return h("form", {
      class: "stack",
      onsubmit: async (event) => {
        event.preventDefault();
        problem.hidden = true;
        send.disabled = true;
        send.textContent = "Learning …";
        try {
          const given = kind === "folder" ? { folder: source.value.trim() } : { labels: source.value.split(",").map((one) => one.trim()).filter(Boolean) };
          await post("/api/heads", { name: name.value.trim(), ...given });
          close();
          go(`/labels${query({ head: name.value.trim() })}`);
        } catch (error) {
          problem.textContent = error.message;
          problem.hidden = false;
        } finally {
          send.disabled = false;
          send.textContent = "Make the head";
        }
      },
    }, ways, h("div", { class: "row" }, name, source, send), problem, note);
  }

  #paintList(labels) {
    const count = (label) => labels.find((one) => one.label === label)?.count ?? 0;
    this.list.replaceChildren(
      this.heads.length > 1
        ? select("Head", this.heads.map((head) => [head.name, head.name]), this.head.name, (head) => go(`/labels${query({ head })}`))
        : h("h2", {}, this.head.name),
      h("div", {}, this.#link({ label: "", next: "" }, "All photos", labels.reduce((sum, one) => sum + one.count, 0), !this.parameters.label && !this.next),
        this.#link({ label: "", next: "1" }, "What to label next", "", this.next),
        ...this.head.labels.map((label) => this.#link({ label, next: "" }, label, count(label), this.parameters.label === label && !this.next))),
      this.#accuracy(),
      h("div", { class: "row" }, button("New head", async () => {
        const status = await libraryStatus().catch(() => null);
        dialog("Make a head", (close) => h("div", { class: "inside" }, this.#makeForm(status, close)));
      }, { kind: "quiet" })),
      ...this.#damaged());
  }

  #damaged() {
    return (this.damaged ?? []).map((one) => h("p", { class: "notice bad small" }, one.error));
  }

  #link(changes, words, count, current) {
    return h("a", { href: `/labels${query({ ...this.parameters, head: this.head.name, ...changes })}`, "aria-current": current ? "true" : undefined },
      h("span", {}, words), h("span", { class: "muted number small" }, count === "" ? "" : count.toLocaleString("en")));
  }

  #accuracy() {
    const { accuracy, interval, corrections, examples, version } = this.head;
    return h("div", { class: "accuracy small" },
      accuracy == null ? h("p", { class: "muted" }, "Its accuracy is known after training.")
        : h("p", {}, h("b", { class: "number" }, percent(accuracy)), " right", interval ? h("span", { class: "muted number" }, ` (${percent(interval[0])} to ${percent(interval[1])})`) : ""),
      h("p", { class: "muted number" }, `Version ${version}, ${plural(examples, "example")}, ${plural(corrections, "label")} by you`),
      button("Retrain", () => this.#retrain(), { kind: corrections ? "first" : "", key: "r" }));
  }

  #paintLegend() {
    this.legend.hidden = false;
    this.legend.replaceChildren(...this.head.labels.slice(0, 9).map((label, at) =>
      button(label, () => this.#giveNumber(at + 1, this.next ? this.queue?.[0] : this.rows?.[this.grid.current]), { key: String(at + 1) })),
    button("None of these", () => this.#giveNumber(0, this.next ? this.queue?.[0] : this.rows?.[this.grid.current]), { key: "0", kind: "quiet" }),
    button(this.head.labels.length > 9 ? "Other label …" : "New label …", () => this.#name(), { key: "l", kind: "quiet" }),
    h("span", { class: "grow" }), button("Undo", () => this.#undo(), { key: "u", kind: "quiet", disabled: !this.done.length }));
  }

  async #showPredictions() {
    const { label, order = "doubt" } = this.parameters;
    this.tools.replaceChildren(h("p", { class: "muted" }, "Asking the head …"));
    const answer = await get(`/api/heads/${encodeURIComponent(this.head.name)}/predictions`, { label, order, offset: 0, limit: PAGE });
    if (label !== this.parameters.label) return;
    this.rows = answer.predictions;
    this.rows.forEach((one) => remember(one.photo, fileName(one.path)));
    this.tools.replaceChildren(h("h2", {}, label || "All photos"),
      h("span", { class: "muted small number", role: "status" }, answer.total > this.rows.length ? `the first ${this.rows.length.toLocaleString("en")} of ${plural(answer.total, "photo")}` : plural(answer.total, "photo")),
      h("span", { class: "grow" }),
      segments("Order", [["doubt", "Least sure first"], ["confidence", "Surest first"]], order, (value) => this.#go({ order: value })));
    this.#paintList(answer.labels);
    this.#paintLegend();
    this.grid.element.hidden = false;
    this.grid.show({
      ids: this.rows.map((one) => one.photo), ratios: this.rows.map((one) => one.width / one.height),
      sections: [{ key: "all", title: "Predictions", count: this.rows.length }],
    });
    announce(`${plural(answer.total, "photo")}${label ? ` labelled ${label}` : ""}`);
  }

  async #showNext() {
    this.tools.replaceChildren(h("p", { class: "muted" }, "Looking for the photos that teach most …"));
    const [{ photos }, { labels }] = await Promise.all([
      get(`/api/heads/${encodeURIComponent(this.head.name)}/next`, { n: QUEUE }),
      get(`/api/heads/${encodeURIComponent(this.head.name)}/predictions`, { limit: 1 }),
    ]);
    this.queue = photos;
    this.asked = photos.length;
    this.tools.replaceChildren(h("h2", {}, "What to label next"), h("span", { class: "muted small" }, "the photos from which the head learns most"));
    this.#paintList(labels);
    this.#paintLegend();
    this.teach.hidden = false;
    this.#paintQuestion();
  }

  #paintQuestion() {
    const [photo] = this.queue;
    if (!photo) {
      this.teach.replaceChildren(h("div", { class: "empty" }, icon("check"), h("h2", {}, this.asked ? "That was a good lesson" : "Every photo has a label from you"),
        h("p", {}, "Retrain, and see how the accuracy has changed."), button("Retrain", () => this.#retrain(), { kind: "first", key: "r" })));
      return;
    }
    const [label] = photo.labels;
    remember(photo.photo, fileName(photo.path));
    this.teach.replaceChildren(
      h("div", { class: "big" }, h("img", { src: picture(photo.photo), alt: fileName(photo.path) })),
      h("div", { class: "sheet" }, h("div", { class: "row" },
        h("p", {}, "Is this ", h("b", {}, label), "? ", h("span", { class: "muted number" }, `The head is ${percent(photo.probability)} sure.`)),
        h("span", { class: "grow" }), h("span", { class: "muted small number" }, `${this.asked - this.queue.length + 1} of ${this.asked}`),
        button(`Yes, ${label}`, () => this.#give(photo, label), { kind: "first", key: "Enter" }), button("Skip", () => this.#skip(), { key: "s" }))));
    if (this.queue[1]) new Image().src = picture(this.queue[1].photo);
    announce(`${fileName(photo.path)}: is this ${label}?`);
  }

  #skip() {
    if (!this.next || !this.queue?.length) return false;
    this.queue.shift();
    this.#paintQuestion();
    return true;
  }

  #giveNumber(number, row) {
    const label = number ? this.head?.labels[number - 1] : null;
    if (this.head && label !== undefined && row) this.#give(row, label);
  }

  /** The label (null: none of these) is shown, and the focus moves on, before the server has answered: hands are faster. */
  async #give(row, label) {
    const { head } = this;
    const step = { head: head.name, row, before: { labels: row.labels, probability: row.probability, corrected: row.corrected } };
    this.done.push(step);
    Object.assign(row, { labels: label === null ? [] : [label], corrected: true, probability: 1 });
    if (!step.before.corrected) head.corrections += 1;
    this.#afterChange(row);
    announce(`${fileName(row.path)}: ${label ?? "none of these"}`);
    step.sent = this.#send(head, row, label);
    try {
      const { new_labels: fresh } = await step.sent;
      if (fresh?.length) toast(`${fresh.join(", ")} is new: the head knows it after training`);
    } catch (error) {
      this.done = this.done.filter((one) => one !== step);
      Object.assign(row, step.before);
      if (!step.before.corrected) head.corrections -= 1;
      if (!this.next) this.grid.refresh();
      toast(error.message, { bad: true });
    }
  }

  #send = (head, row, label) => post(`/api/heads/${encodeURIComponent(head.name)}/corrections`, { photo: row.photo, labels: label === null ? [] : [label] });

  #afterChange(row) {
    this.list.querySelector(".accuracy")?.replaceWith(this.#accuracy());
    this.#paintLegend();
    if (this.next) {
      if (this.queue[0] === row) this.queue.shift();
      this.#paintQuestion();
    } else {
      const at = this.rows.indexOf(row);
      this.grid.refresh();
      this.grid.focus(Math.min(at + 1, this.rows.length - 1));
    }
  }

  async #undo() {
    const last = this.done.pop();
    if (!last) return;
    const corrections = `/api/heads/${encodeURIComponent(last.head)}/corrections`;
    try {
      await last.sent;
      if (last.before.corrected) await post(corrections, { photo: last.row.photo, labels: last.before.labels });
      else await remove(`${corrections}/${last.row.photo}`);
      Object.assign(last.row, last.before);
      if (!last.before.corrected) this.head.corrections = Math.max(0, this.head.corrections - 1);
      if (this.next) {
        this.queue.unshift(last.row);
        this.#paintQuestion();
      } else {
        this.grid.refresh();
        this.grid.focus(Math.max(0, this.rows.indexOf(last.row)));
      }
      this.list.querySelector(".accuracy")?.replaceWith(this.#accuracy());
      this.#paintLegend();
      announce("Label taken back");
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  /** A label by name, with type-ahead; a name that the head does not know makes a new label. */
  #name() {
    const row = this.next ? this.queue?.[0] : this.rows?.[this.grid.current];
    if (!row) return;
    dialog(`Label of ${fileName(row.path)}`, (close) => {
      const field = h("input", { class: "field", type: "text", list: "label-names", "aria-label": "Label", autocomplete: "off", autofocus: true });
      const names = h("datalist", { id: "label-names" }, ...this.head.labels.map((label) => h("option", { value: label })));
      return h("form", {
        class: "inside",
        onsubmit: (event) => {
          event.preventDefault();
          const typed = field.value.trim();
          if (!typed) return;
          const known = this.head.labels.filter((label) => label.toLowerCase().startsWith(typed.toLowerCase()));
          close();
          this.#give(row, this.head.labels.includes(typed) || known.length !== 1 ? typed : known[0]);
        },
      }, h("div", { class: "row" }, h("img", { src: thumbnail(row.photo, 64), alt: "", height: 64 }), field, names, button("Give", () => {}, { kind: "first", type: "submit" })),
      h("p", { class: "muted small" }, "The beginning is enough where only one label begins so. A new name makes a new label."));
    });
  }

  async #retrain() {
    if (!this.head || this.training) return;
    this.training = true;
    const before = this.head;
    await Promise.allSettled(this.done.map((step) => step.sent));
    const box = dialog(`Training ${this.head.name}`, () => h("div", { class: "inside" }, h("progress", { "aria-label": "Training" }), h("p", { class: "muted" }, "Each photo is judged by a head that has not seen it.")));
    const inside = box.querySelector(".inside");
    try {
      const report = await post(`/api/heads/${encodeURIComponent(before.name)}/train`);
      inside.replaceChildren(...this.#report(report), h("div", { class: "row" }, button("Close", () => box.close(), { kind: "first", autofocus: true })));
      inside.querySelector("button").focus();
      announce(`Accuracy ${report.before ? `${percent(report.before.accuracy, 1)} before, ` : ""}${percent(report.after.accuracy, 1)} now`);
      this.done = [];
    } catch (error) {
      inside.replaceChildren(h("p", { class: "notice bad", role: "alert" }, error.message));
    } finally {
      this.training = false;
    }
    box.addEventListener("close", () => this.#load());
  }

  #report({ before, after, photos, version }) {
    const change = before ? after.accuracy - before.accuracy : null;
    return [
      h("div", { class: "accuracy" },
        h("div", { class: "figure", data: { accuracy: after.accuracy } }, before ? [h("span", { class: "muted" }, percent(before.accuracy, 1)), icon("right")] : "", h("span", {}, percent(after.accuracy, 1)),
          change ? h("span", { class: `tag ${change > 0 ? "good" : "bad"}` }, `${change > 0 ? "+" : "−"}${(100 * Math.abs(change)).toFixed(1)} points`) : ""),
        h("p", { class: "muted small number" }, `Right for ${percent(after.interval[0])} to ${percent(after.interval[1])} of photos like these, with 95 % confidence. Version ${version}, from ${plural(photos, "photo")}.`)),
      h("div", { class: "bars", role: "group", "aria-label": "F1 of each label" }, ...(after.labels ?? []).slice(0, 12).flatMap((one) =>
        [h("span", {}, one.label), h("progress", { max: 1, value: one.f1, "aria-label": `${one.label}: F1 ${one.f1.toFixed(2)}` }), h("span", { class: "muted" }, `F1 ${one.f1.toFixed(2)}`)])),
    ];
  }
}

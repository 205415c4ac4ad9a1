// Labels: what is most worth naming, what a head says of the photos, put right by keyboard, and training again.

import { get, post, query, remove } from "./api.js";
import { remember } from "./captions.js";
import { announce, button, dialog, fileName, h, icon, percent, plural, segments, select, toast } from "./dom.js";
import { Grid } from "./grid.js";
import { chooseLabel } from "./label_dialog.js";
import { named, NewHead, stacks, suggestions } from "./label_stacks.js";
import { headForm, invitation, severalBox } from "./make_head.js";
import { go, openPhoto } from "./navigation.js";
import { libraryStatus } from "./state.js";
import { Teach } from "./teach.js";
import { accuracy, retrain } from "./training.js";

const PAGE = 1000;
const NEW = " ";  // no head is called this: what is suggested for it is what is suggested for a new one

export class LabelsView {
  title = "Labels";
  keyHelp = [
    ["1 … 9", "Give the focused photo that label"], ["0", "None of these"], ["l", "Any label, or a new one, by name"],
    ["Enter", "Open the photo, or accept the label that is asked about"], ["s", "Skip, one by one"], ["u", "Take the last label back"],
    ["n", "What is most worth asking, one by one"], ["r", "Retrain"],
  ];

  constructor() {
    this.done = [];
    this.rows = [];
    /** @type {any} */
    this.head = null;
    this.list = h("div", { class: "head-list" });
    this.tools = h("div", { class: "tools" });
    this.legend = h("div", { class: "legend", role: "group", "aria-label": "Labels to give" });
    this.grid = new Grid({
      label: "Predictions", caption: 27, titles: false,
      onopen: (index) => openPhoto(this.grid.ids, index),
      decorate: (tile, index) => {
        const { labels, probability, corrected } = this.rows[index];
        tile.classList.toggle("corrected", corrected);
        tile.append(h("div", { class: "caption" }, h("b", {}, labels.join(", ") || "none of these"), corrected ? h("span", { class: "tag good" }, "by you") : h("span", {}, percent(probability))));
      },
      keys: Object.fromEntries([..."0123456789"].map((digit) => [digit, (index) => this.#giveNumber(Number(digit), this.rows[index])])),
    });
    this.teach = new Teach({ onretrain: () => this.#retrain(), ongive: (row, labels) => this.#give(row, labels) });
    this.piles = h("div", { class: "scroll" });
    this.body = h("div", { class: "view-body" });
    this.main = h("div", { class: "compare" }, this.tools, this.legend, this.grid.element, this.teach.element, this.piles);
    this.split = h("div", { class: "split" }, h("div", { class: "aside", role: "navigation", "aria-label": "Heads" }, this.list), this.main);
    this.element = h("div", {}, h("h1", { class: "out" }, "Labels"), this.split, this.body);
    this.press = {
      l: () => this.#name(), u: () => this.#undo(), r: () => this.#retrain(), s: () => (this.mode === "next" ? this.teach.skip() : false),
      n: () => { if (this.head) this.#go({ next: this.mode === "next" ? "" : "1", label: "", all: "" }); },
      Enter: () => (this.mode === "next" ? this.teach.accept() : false),
      ArrowDown: () => (this.mode === "grid" ? this.grid.focus() : false),
      ArrowRight: () => (this.mode === "next" ? this.teach.skip() : this.mode === "grid" ? this.grid.focus() : false),
      ...Object.fromEntries([..."0123456789"].map((digit) => [digit, () => this.#giveNumber(Number(digit), this.#row())])),
    };
  }

  show(url) {
    this.parameters = Object.fromEntries(url.searchParams);
    this.selected = url.searchParams.getAll("photo").map(Number);
    this.#load();
  }

  changed() {
    this.isStale = true;
  }

  #go(changes) {
    go(`/labels${query({ ...this.parameters, ...changes })}`);
  }

  /** The photo that a key speaks of. */
  #row() {
    return this.mode === "next" ? this.teach.photo : this.mode === "grid" ? this.rows[this.grid.current] : undefined;
  }

  async #load() {
    const { parameters } = this;
    this.mode = parameters.new || this.selected.length ? "new" : parameters.next === "1" ? "next" : parameters.label || parameters.all ? "grid" : "groups";
    for (const part of [this.legend, this.grid.element, this.teach.element, this.piles]) part.hidden = true;
    try {
      const status = await libraryStatus();
      if (!status.photos) {
        this.#instead(h("div", { class: "empty" }, icon("label"), h("h2", {}, "Nothing to label yet"), h("p", {}, "Add a folder of photos first."), h("a", { href: "/indexing" }, "Add a folder")));
        return;
      }
      const { heads, damaged } = await get("/api/heads");
      if (parameters !== this.parameters) return;
      this.heads = heads;
      this.damaged = damaged;
      if (this.mode === "new") await this.#showNew();
      else if (!heads.length) this.#instead(invitation(status, ...this.#damaged()));
      else {
        this.body.replaceChildren();
        this.body.hidden = true;
        this.split.hidden = false;
        this.head = heads.find((head) => head.name === parameters.head) ?? heads[0];
        await { next: () => this.#showNext(), grid: () => this.#showPredictions(), groups: () => this.#showGroups() }[this.mode]();
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      this.tools.replaceChildren(h("p", { class: "notice bad", role: "alert" }, error.message));
      this.split.hidden = false;
      if (this.head) this.#paintList({});
    }
  }

  #instead(element) {
    this.split.hidden = true;
    this.body.hidden = false;
    this.body.replaceChildren(element);
  }

  #paintList({ labels = [], total = 0 }) {
    const count = (label) => labels.find((one) => one.label === label)?.count ?? 0;
    const { mode } = this;
    this.list.replaceChildren(
      this.heads.length > 1
        ? select("Head", this.heads.map((head) => [head.name, head.name]), this.head.name, (head) => go(`/labels${query({ head })}`))
        : h("h2", {}, this.head.name),
      h("div", { class: "head-views" }, this.#link({}, "Worth naming, in stacks", "", mode === "groups"), this.#link({ next: "1" }, "Worth asking, one by one", "", mode === "next"),
        this.#link({ all: "1" }, "All photos", total, mode === "grid" && !this.parameters.label),
        ...this.head.labels.map((label) => this.#link({ label }, label, count(label), this.parameters.label === label))),
      accuracy(this.head, () => this.#retrain()),
      h("div", { class: "row" }, h("a", { class: "button quiet", href: "/labels?new=groups" }, "New head"), button("From a folder …", async () => {
        const status = await libraryStatus().catch(() => null);
        dialog("Make a head", (close) => h("div", { class: "inside" }, headForm(status, close)));
      }, { kind: "quiet" })),
      ...this.#damaged());
    this.list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  #damaged() {
    return (this.damaged ?? []).map((one) => h("p", { class: "notice bad small" }, one.error));
  }

  #link(where, words, count, current) {
    return h("a", { href: `/labels${query({ head: this.head.name, ...where })}`, "aria-current": current ? "true" : undefined },
      h("span", {}, words), h("span", { class: "muted number small" }, count === "" ? "" : count.toLocaleString("en")));
  }

  get #multi() {
    return this.head?.kind === "sigmoid";
  }

  #paintLegend() {
    this.legend.hidden = false;
    const chosen = this.mode === "next" ? this.teach.photo?.chosen ?? [] : [];
    this.legend.replaceChildren(...this.head.labels.slice(0, 9).map((label, at) =>
      button(label, () => this.#giveNumber(at + 1, this.#row()), { key: String(at + 1), pressed: this.#multi && this.mode === "next" ? chosen.includes(label) : undefined })),
    button("None of these", () => this.#giveNumber(0, this.#row()), { key: "0", kind: "quiet" }),
    button(this.head.labels.length > 9 ? "Other label …" : "New label …", () => this.#name(), { key: "l", kind: "quiet" }),
    h("span", { class: "grow" }), button("Undo", () => this.#undo(), { key: "u", kind: "quiet", disabled: !this.done.length }));
  }

  async #counts() {
    return get(`/api/heads/${encodeURIComponent(this.head.name)}/predictions`, { limit: 1 });
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
    this.#paintList({ labels: answer.labels, total: this.parameters.label ? (await this.#counts()).total : answer.total });
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
    const [{ photos }, counts] = await Promise.all([suggestions(this.head.name), this.#counts()]);
    this.tools.replaceChildren(h("h2", {}, "Worth asking"), h("span", { class: "muted small" }, this.#multi ? "choose all labels that fit, then Enter" : "the photos from which the head learns most"));
    this.#paintList(counts);
    this.teach.element.hidden = false;
    this.teach.show(photos.map((photo) => ({ ...photo, labels: [], corrected: false })), { multi: this.#multi });
    this.#paintLegend();
  }

  /** Stacks of alike photos that have no label yet: a name for all of them at once. */
  async #showGroups() {
    this.tools.replaceChildren(h("p", { class: "muted" }, "Looking for photos that are alike …"));
    const [{ groups }, counts] = await Promise.all([suggestions(this.head.name), this.#counts()]);
    this.#paintList(counts);
    this.tools.replaceChildren(h("h2", {}, "Worth naming"), h("span", { class: "muted small" }, "stacks of alike photos without a label from you: one name for all of them"),
      h("span", { class: "grow" }), h("a", { class: "button", href: `/labels${query({ head: this.head.name, next: 1 })}` }, "One by one"));
    this.piles.hidden = false;
    this.piles.replaceChildren(groups.length ? stacks(groups, {
      labels: () => this.head.labels, onname: (photos, label) => this.#nameAll(photos, label),
    }) : h("div", { class: "empty" }, icon("check"), h("h2", {}, "No stacks are left"), h("p", {}, "What is alike has a label. Single photos can be asked about one by one."),
      h("a", { href: `/labels${query({ head: this.head.name, next: 1 })}` }, "One by one")));
  }

  async #nameAll(photos, label) {
    const { head } = this;
    const address = `/api/heads/${encodeURIComponent(head.name)}/corrections`;
    try {
      const { new_labels: fresh, corrections } = await post(`${address}/all`, { photos, labels: label === null ? [] : [label] });
      head.corrections = corrections;
      if (label !== null && !head.labels.includes(label)) head.labels = [...head.labels, label];
      this.list.querySelector(".accuracy")?.replaceWith(accuracy(head, () => this.#retrain()));
      toast(`${plural(photos.length, "photo")}: ${label ?? "none of these"}${fresh.length ? ". The head knows it after training" : ""}`, {
        action: ["Undo", async () => {
          await Promise.allSettled(photos.map((photo) => remove(`${address}/${photo}`)));
          this.#load();
        }],
      });
      return true;
    } catch (error) {
      toast(error.message, { bad: true });
      return false;
    }
  }

  /** A new head, of stacks that get names; the first one is of the photos in the address, if there are any. */
  async #showNew() {
    this.#instead(h("div", { class: "empty" }, icon("label"), h("h2", {}, "Looking for photos that are alike …"), h("progress", { "aria-label": "Looking" })));
    const [selected, { groups: alike }] = await Promise.all([named(this.selected), suggestions(NEW)]);
    const among = new Set(this.selected);
    const groups = [...(selected.length ? [selected] : []), ...alike.map((group) => group.filter((one) => !among.has(one.photo))).filter((group) => group.length > 1)];
    const made = new NewHead(async (order) => {
      await post("/api/heads", order);
      go(`/labels${query({ head: order.name })}`);
    });
    this.#instead(h("div", { class: "naming" }, h("div", { class: "tools" }, h("h2", {}, "Name what is alike"),
      h("span", { class: "muted small" }, `${selected.length ? "First the photos that you selected. " : ""}Two stacks or more with different names; leave out what you do not care about.`), h("span", { class: "grow" }), severalBox(made.several)),
    h("div", { class: "scroll" }, groups.length ? stacks(groups, { labels: () => made.labels(), onname: (photos, label) => { made.add(photos, label); return true; } })
      : h("div", { class: "empty" }, h("h2", {}, "Too few photos are alike"), h("p", {}, "Make a head from a folder of labelled photos."), h("a", { href: "/labels" }, "Back"))), made.element));
  }

  #giveNumber(number, row) {
    const label = number ? this.head?.labels[number - 1] : null;
    if (!this.head || label === undefined || !row) return;
    if (label === null) this.#give(row, []);
    else if (!this.#multi) this.#give(row, [label]);
    else if (this.mode === "next") {
      this.teach.toggle(label);
      this.#paintLegend();
    } else {
      const before = row.corrected ? row.labels : [];
      this.#give(row, before.includes(label) ? before.filter((one) => one !== label) : [...before, label], { stay: true });
    }
  }

  /** The labels (none: none of these) are shown, and the focus moves on, before the server has answered: hands are faster. */
  async #give(row, labels, { stay = false } = {}) {
    const { head } = this;
    const step = { head: head.name, row, before: { labels: row.labels, probability: row.probability, corrected: row.corrected } };
    this.done.push(step);
    Object.assign(row, { labels, corrected: true, probability: 1 });
    if (!step.before.corrected) head.corrections += 1;
    this.#afterChange(row, stay);
    announce(`${fileName(row.path)}: ${labels.join(", ") || "none of these"}`);
    step.sent = post(`/api/heads/${encodeURIComponent(head.name)}/corrections`, { photo: row.photo, labels });
    try {
      const { new_labels: fresh } = await step.sent;
      if (fresh?.length) toast(`${fresh.join(", ")} is new: the head knows it after training`);
    } catch (error) {
      this.done = this.done.filter((one) => one !== step);
      Object.assign(row, step.before);
      if (!step.before.corrected) head.corrections -= 1;
      if (this.mode === "grid") this.grid.refresh();
      toast(error.message, { bad: true });
    }
  }

  #afterChange(row, stay) {
    this.list.querySelector(".accuracy")?.replaceWith(accuracy(this.head, () => this.#retrain()));
    if (this.mode === "next") {
      if (this.teach.photo === row) this.teach.skip();
    } else {
      const at = this.rows.indexOf(row);
      this.grid.refresh();
      this.grid.focus(stay ? at : Math.min(at + 1, this.rows.length - 1));
    }
    this.#paintLegend();
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
      if (this.mode === "next") {
        this.teach.queue.unshift(last.row);
        this.teach.paint();
      } else if (this.mode === "grid") {
        this.grid.refresh();
        this.grid.focus(Math.max(0, this.rows.indexOf(last.row)));
      }
      this.list.querySelector(".accuracy")?.replaceWith(accuracy(this.head, () => this.#retrain()));
      if (this.mode !== "groups") this.#paintLegend();
      announce("Label taken back");
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #name() {
    const row = this.#row();
    if (!row) return;
    chooseLabel({
      title: `Label of ${fileName(row.path)}`, labels: this.head.labels, photos: [row.photo],
      onchoose: (label) => this.#give(row, label === null ? [] : this.#multi ? [...new Set([...(row.chosen ?? (row.corrected ? row.labels : [])), label])] : [label]),
    });
  }

  async #retrain() {
    if (!this.head || this.training) return;
    this.training = true;
    await Promise.allSettled(this.done.map((step) => step.sent));
    if (await retrain(this.head.name, () => this.#load())) this.done = [];
    this.training = false;
  }
}

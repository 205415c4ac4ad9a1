// All photos, by date, folder or label.

import { get, picturesAre, query } from "./api.js";
import { captionOf } from "./captions.js";
import { announce, h, icon, moment, plural, segments } from "./dom.js";
import { favourites } from "./favourites.js";
import { Filters, filtersOf } from "./filters.js";
import { welcome } from "./add_folder.js";
import { Grid } from "./grid.js";
import { findLike, go, openPhoto } from "./navigation.js";
import { favourite } from "./selection_actions.js";
import { SelectionBar } from "./selection_bar.js";
import { libraryFacets, libraryStatus } from "./state.js";

const SIZES = [0.5, 0.7, 1, 1.4, 2];

export class LibraryView {
  title = "Photos";
  keyHelp = [
    ["← ↑ ↓ →", "Move from photo to photo"], ["Enter", "Open the photo"], ["f", "Find photos like it"],
    ["Space", "Select the photo"], ["Shift →", "Select as far as there"], ["Ctrl a", "Select all"], ["Esc", "Select nothing"],
    ["s", "Favourite"], ["l", "Label what is selected"], ["Delete", "Plan to move what is selected to the trash"],
    ["Home End", "First and last photo"],
  ];

  constructor() {
    this.count = h("span", { class: "muted number small", role: "status" });
    this.filters = new Filters((values) => this.#go({ ...this.#kept(), ...values }));
    this.by = h("div", { class: "wide" });
    this.size = Math.max(0, SIZES.indexOf(Number(localStorage.getItem("photo-size") ?? 1)));
    const like = (index) => findLike(this.grid.ids[index]);
    const star = (index) => favourite([this.grid.ids[index]]);
    this.bar = new SelectionBar();
    const chosen = (act, alone) => (index) => (this.grid.selecting.isOn ? this.bar.keys[act]() : alone?.(index));
    this.grid = new Grid({
      label: "All photos", scrubber: true, flow: true, size: () => SIZES[this.size],
      onopen: (index) => openPhoto(this.grid.ids, index),
      onselect: (selection) => this.bar.show(selection),
      decorate: (tile, index) => this.#markLoved(tile, index),
      hint: (index) => {
        const caption = captionOf(this.grid.ids[index]);
        return caption ? [caption.name, caption.taken ? moment(caption.taken) : ""] : [];
      },
      actions: [["heart", "Favourite", star], ["like", "Find photos like this", like]],
      keys: { f: chosen("f", like), s: chosen("s", star), l: chosen("l"), c: chosen("c"), d: chosen("d"), Delete: chosen("Delete") },
    });
    favourites.follow(() => this.grid.each((tile, index) => this.#markLoved(tile, index)));
    this.body = h("div", { class: "view-body" });
    this.element = h("div", {},
      h("div", { class: "tools" }, h("h1", {}, "Photos"), this.count, h("span", { class: "grow" }), this.#sizeControl(), this.by, this.filters.button),
      h("div", { class: "filters-row" }, this.filters.panel),
      this.grid.element, this.body, this.bar.element);
    this.press = {
      ArrowDown: () => this.grid.focus(), ArrowRight: () => this.grid.focus(), Escape: () => this.#escape(), ...this.bar.keys,
    };
  }

  #markLoved(tile, index) {
    const mark = tile.querySelector(".loved");
    if (!favourites.has(this.grid.ids[index])) mark?.remove();
    else if (!mark) tile.append(h("span", { class: "loved", title: "Favourite" }, icon("heart-full")));
  }

  selectAll() {
    this.grid.selecting.selection.all();
  }

  /** What is open is closed first, then nothing is selected any more. */
  #escape() {
    if (this.filters.isOpen) this.filters.close();
    else if (this.grid.selecting.isOn) this.grid.selecting.selection.clear();
    else return false;
    return true;
  }

  #sizeControl() {
    const field = h("input", {
      type: "range", min: "0", max: String(SIZES.length - 1), step: "1", value: String(this.size), "aria-label": "Size of the photos",
      oninput: () => {
        this.size = Number(field.value);
        localStorage.setItem("photo-size", String(SIZES[this.size]));
        this.grid.resize();
      },
    });
    return h("label", { class: "size", title: "Size of the photos" }, icon("photos"), field, icon("photos"));
  }

  show(url) {
    const parameters = Object.fromEntries(url.searchParams);
    const asked = query(parameters);
    if (asked === this.asked && !this.isStale) return;
    this.#load(url, { keep: asked === this.asked });
  }

  focus() {
    if (!this.opened) return false;
    this.grid.focus(this.opened);
    return true;
  }

  hide() {
    this.opened = this.grid.current;
  }

  changed() {
    this.#load(new URL(location.href), { keep: true });
  }

  #kept() {
    const by = new URLSearchParams(location.search).get("by");
    return by ? { by } : {};
  }

  #go(parameters) {
    go(`/${query(parameters)}`);
  }

  async #load(url, { keep }) {
    const parameters = Object.fromEntries(url.searchParams);
    const by = parameters.by ?? "date";
    this.asked = query(parameters);
    this.isStale = false;
    if (!keep) this.opened = 0;
    this.by.replaceChildren(segments("Put together by", [["date", "Date"], ["folder", "Folder"], ["label", "Label"]], by,
      (value) => this.#go({ ...filtersOf(new URLSearchParams(location.search)), by: value === "date" ? "" : value })));
    this.filters.set(filtersOf(url.searchParams));
    const asked = this.asked;
    try {
      const answer = await get("/api/grid", { ...parameters, by, ...(await this.#headFor(by, parameters)) });
      if (asked !== this.asked) return;
      picturesAre(answer.images);
      favourites.load().catch(() => { /* the hearts stay away */ });
      if (!answer.ids.length) {
        await this.#explainEmpty(parameters, by);
        return;
      }
      this.body.replaceChildren();
      this.grid.element.hidden = false;
      for (const section of answer.sections) {
        if (by !== "date" || section.key) continue;
        Object.assign(section, { apart: true, note: `${section.count.toLocaleString("en")}, by the time of their files` });
      }
      this.count.textContent = plural(answer.ids.length, "photo");
      this.grid.show(answer, { keep });
      if (!keep) announce(plural(answer.ids.length, "photo"));
    } catch (error) {
      const status = error.status === 404 ? await libraryStatus({ fresh: true }).catch(() => null) : null;
      if (status && !status.photos) await this.#explainEmpty(parameters, by);
      else this.#instead(h("div", { class: "empty" }, icon("warning"), h("h2", {}, "The photos cannot be shown"), h("p", {}, error.message)));
    }
  }

  /**
   * Photos are put together by the labels of one head: the one that was chosen, or the first.
   * @param {string} by
   * @param {Record<string, string>} parameters
   */
  async #headFor(by, { head }) {
    if (by !== "label" || head) return {};
    return { head: (await libraryFacets()).heads[0]?.name };
  }

  async #explainEmpty(parameters, by) {
    const status = await libraryStatus({ fresh: true });
    this.count.textContent = "";
    if (!status.photos && !status.indexing) this.#instead(welcome());
    else if (!status.photos) {
      this.#instead(h("div", { class: "empty" }, icon("folder"), h("h2", {}, "The first photos are on their way"),
        h("p", {}, "They appear here as soon as they can be searched. "), h("a", { href: "/indexing" }, "Watch the progress")));
    } else if (by === "label" && !Object.keys(filtersOf(new URLSearchParams(parameters))).length) {
      this.#instead(h("div", { class: "empty" }, icon("label"), h("h2", {}, "No photo has a label yet"),
        h("p", {}, "Labels come from a head that has learnt from your examples."), h("a", { href: "/labels" }, "Make one")));
    } else {
      this.#instead(h("div", { class: "empty" }, icon("filter"), h("h2", {}, "No photo fits all filters"),
        h("p", {}, `The library has ${plural(status.photos, "photo")}.`), h("a", { href: "/" }, "Clear the filters")));
    }
  }

  #instead(element) {
    this.grid.element.hidden = true;
    this.grid.selecting.selection.clear();
    this.body.replaceChildren(element);
  }
}

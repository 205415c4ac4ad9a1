// Themes: the library as stacks of photos that are alike. A stack can be opened, searched, labelled and cleaned.

import { get, post, query, thumbnail } from "./api.js";
import { announce, button, h, icon, plural, toast } from "./dom.js";
import { Grid } from "./grid.js";
import { chooseLabel } from "./label_dialog.js";
import { go, openPhoto } from "./navigation.js";
import { libraryStatus } from "./state.js";

const EXAMPLES = 4;

export class ThemesView {
  title = "Themes";
  keyHelp = [["Enter", "Open the stack, or the photo"], ["f", "Search for more like an opened stack"], ["l", "Label an opened stack"], ["Escape", "Back to the stacks"]];

  constructor() {
    this.tools = h("div", { class: "tools" });
    this.piles = h("ul", { class: "stacks themes", "aria-label": "Themes" });
    this.scroller = h("div", { class: "scroll" }, this.piles);
    this.grid = new Grid({ label: "Photos of this theme", titles: false, onopen: (index) => openPhoto(this.grid.ids, index) });
    this.body = h("div", { class: "view-body" });
    this.element = h("div", {}, this.tools, this.scroller, this.grid.element, this.body);
    this.press = {
      Escape: () => (this.theme ? go("/themes") : false), f: () => (this.theme ? this.#search() : false), l: () => (this.theme ? this.#label() : false),
      ArrowDown: () => (this.theme ? this.grid.focus() : false), ArrowRight: () => (this.theme ? this.grid.focus() : false),
    };
  }

  show(url) {
    this.theme = Number(url.searchParams.get("theme")) || null;
    if (this.theme) this.#open();
    else this.#load();
  }

  hide() {
    clearTimeout(this.polling);
  }

  changed() {
    if (!this.theme) this.#load();
  }

  #only(part) {
    for (const one of [this.scroller, this.grid.element, this.body]) one.hidden = one !== part;
    this.tools.hidden = part === this.body;
  }

  #instead(sign, title, ...more) {
    this.#only(this.body);
    this.body.replaceChildren(h("div", { class: "empty" }, icon(sign), h("h2", {}, title), ...more));
  }

  async #load({ again = false } = {}) {
    clearTimeout(this.polling);
    try {
      const status = await libraryStatus();
      if (!status.photos) {
        this.#instead("photos", "No photos to put together yet", h("p", {}, "Add a folder of photos first."), h("a", { href: "/indexing" }, "Add a folder"));
        return;
      }
      let answer = await get("/api/themes");
      if (again || answer.state === "none" || (answer.state === "done" && answer.stale && !status.indexing)) {
        await post("/api/themes/find");
        answer = { ...answer, state: "running" };
      }
      if (this.theme) return;
      if (answer.state === "running") this.polling = setTimeout(() => this.#load(), 800);
      if (answer.themes.length) this.#paint(answer);
      else if (answer.state === "running") this.#instead("photos", "Putting photos together that are alike", h("progress", { "aria-label": "Looking for themes" }), h("p", {}, "This goes on in the background: you can go elsewhere meanwhile."));
      else if (answer.state === "failed") this.#instead("warning", "The themes could not be found", h("p", {}, answer.error ?? ""), button("Try again", () => this.#load({ again: true }), { kind: "first" }));
      else this.#instead("photos", "Too few photos are alike", h("p", {}, "A theme is five photos or more that show the same kind of thing."));
    } catch (error) {
      this.#instead("warning", "The themes cannot be shown", h("p", {}, error.message));
    }
  }

  #paint({ themes, rest, state }) {
    this.#only(this.scroller);
    this.tools.replaceChildren(h("h1", {}, "Themes"),
      h("span", { class: "muted small number", role: "status" }, state === "running" ? "being brought up to date" : `${plural(themes.length, "stack")} of alike photos${rest ? `, ${plural(rest, "photo")} in none` : ""}`),
      h("span", { class: "grow" }), button("Look again", () => this.#load({ again: true }), { kind: "quiet", disabled: state === "running" }));
    const now = JSON.stringify(themes);
    if (now === this.painted) return;
    this.painted = now;
    this.piles.replaceChildren(...themes.map((theme) => {
      const [first, ...others] = theme.typical;
      return h("li", {}, h("a", { class: "theme", href: `/themes${query({ theme: theme.id })}`, "aria-label": `${plural(theme.count, "photo")} that are alike` },
        h("span", { class: "pile" }, h("img", { class: "typical", src: thumbnail(first.photo, 320), alt: "", loading: "lazy", decoding: "async" }),
          ...others.map((one) => h("img", { src: thumbnail(one.photo, 120), alt: "", loading: "lazy", decoding: "async" }))),
        h("span", { class: "muted small number" }, plural(theme.count, "photo"))));
    }));
  }

  async #open() {
    try {
      const { photos } = await get(`/api/themes/${this.theme}`);
      this.photos = photos.map((one) => one.photo);
      this.#only(this.grid.element);
      this.tools.replaceChildren(h("a", { href: "/themes", class: "button quiet" }, icon("left"), "Themes"), h("h1", {}, plural(photos.length, "photo")),
        h("span", { class: "muted small" }, "the most typical first"), h("span", { class: "grow" }),
        button([icon("like"), "Find more"], () => this.#search(), { key: "f" }), button([icon("label"), "Label …"], () => this.#label(), { key: "l" }),
        button([icon("copies"), "Clean up"], () => go(`/duplicates${query({ theme: this.theme })}`)));
      this.grid.show({ ids: this.photos, ratios: photos.map((one) => one.width / one.height), sections: [{ key: "all", title: "Theme", count: photos.length }] });
      announce(plural(photos.length, "photo"));
    } catch (error) {
      this.#instead("warning", "This theme cannot be shown", h("p", {}, error.message), h("a", { href: "/themes" }, "All themes"));
    }
  }

  /** By the most typical photos: their mean is what the theme is about. */
  #search() {
    go(`/search${query({ photo: this.photos.slice(0, EXAMPLES) })}`);
  }

  async #label() {
    try {
      const { heads } = await get("/api/heads");
      if (!heads.length) {
        toast("There is no head yet: begin with stacks that get names", { action: ["Show them", () => go("/labels?new=groups")] });
        return;
      }
      // A label belongs to a head: they are offered together.
      const known = heads.flatMap((head) => head.labels.map((label) => ({ head: head.name, label, words: heads.length > 1 ? `${label} (${head.name})` : label })));
      chooseLabel({
        title: `Label ${plural(this.photos.length, "photo")}`, labels: known.map((one) => one.words), photos: this.photos,
        onchoose: (words) => this.#give(known.find((one) => one.words === words) ?? { head: heads[0].name, label: words }),
      });
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  async #give({ head, label }) {
    const { photos } = this;
    try {
      await post(`/api/heads/${encodeURIComponent(head)}/corrections/all`, { photos, labels: label === null ? [] : [label] });
      toast(`${plural(photos.length, "photo")}: ${label ?? "none of these"}`, { action: ["Train now", () => go(`/labels${query({ head })}`)] });
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }
}

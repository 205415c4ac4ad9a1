// The answer to a search: by words, by example, by counter-example, by a part, within filters. The address holds all of it.

import { get, query } from "./api.js";
import { remember } from "./captions.js";
import { announce, button, day, fileName, folderOf, h, icon, plural, toggle } from "./dom.js";
import { Examples } from "./examples.js";
import { fieldSays, ownPhoto, searchPictures } from "./field.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { findLike, go, openPhoto } from "./navigation.js";
import { isByLabel, isEmpty, MOST, PAGE, readQuery, writeQuery } from "./search_query.js";
import { SelectionBar } from "./selection_bar.js";
import { libraryStatus } from "./state.js";
import { wordsStep } from "./words_step.js";

export class SearchView {
  title = "Search";
  keyHelp = [
    ["b", "Draw a box on the example"], ["+", "Add the focused photo as an example"],
    ["-", "Search away from the focused photo"], ["f", "Find photos like the focused one"], ["Enter", "Open the photo"],
    ["Space", "Select the photo"], ["Ctrl a", "Select all"], ["Esc", "Select nothing"],
  ];

  constructor() {
    this.asked = readQuery(new URLSearchParams());
    this.matches = [];
    this.examples = new Examples((changes) => this.#go({ ...changes, k: PAGE }));
    this.filters = new Filters((filters) => this.#go({ filters, k: PAGE }));
    this.distinct = toggle("Without near copies", false, (distinct) => this.#go({ distinct }));
    this.more = button("Show more", () => this.#go({ k: Math.min(MOST, this.asked.k * 2) }), { kind: "quiet", hidden: true });
    this.line = h("p", { class: "muted small", role: "status" });
    this.ask = h("div", { class: "ask" },
      this.examples.element, this.line,
      h("div", { class: "ask-line" }, this.more, this.distinct, this.filters.button),
      this.filters.panel);
    this.ask.addEventListener("drop", (event) => this.#dropped(event));
    const of = (index) => this.grid.ids[index];
    const add = (against) => (index) => this.examples.add({ kind: "photo", id: String(of(index)), against });
    this.bar = new SelectionBar();
    this.grid = new Grid({
      label: "Photos found", caption: 42,
      onselect: (selection) => this.bar.show(selection),
      onopen: (index) => openPhoto(this.grid.ids, index),
      decorate: (tile, index) => tile.append(this.#caption(this.matches[index])),
      hint: (index) => this.#hint(this.matches[index]),
      actions: [
        ["like", "Find photos like this", (at) => findLike(of(at))], ["plus", "Add as an example", add(false)],
        ["minus", "Search away from this", add(true)],
      ],
      keys: { f: (index) => findLike(of(index)), "+": add(false), "=": add(false), "-": add(true) },
    });
    this.body = h("div", { class: "view-body" });
    this.element = h("div", {}, h("h1", { class: "out" }, "Search"), this.ask, this.grid.element, this.body, this.bar.element);
    this.press = {
      ...this.bar.keys, Escape: () => this.#escape(),
      b: () => this.examples.box(), ArrowDown: () => this.grid.focus(), ArrowRight: () => this.grid.focus(),
    };
  }

  show(url) {
    if (url.search === this.shown && !this.isStale) return;
    this.shown = url.search;
    this.isStale = false;
    this.asked = readQuery(url.searchParams);
    this.#search();
  }

  selectAll() {
    this.grid.selecting.selection.all();
  }

  #escape() {
    if (this.filters.isOpen) this.filters.close();
    else if (this.grid.selecting.isOn) this.grid.selecting.selection.clear();
    else return false;
    return true;
  }

  changed() {
    this.#search({ keep: true });
  }

  #go(changes) {
    go(`/search${query(writeQuery({ ...this.asked, ...changes }))}`);
  }

  /** What is dropped here joins the examples; dropped anywhere else it begins a new search. */
  #dropped(event) {
    const own = ownPhoto(event.dataTransfer);
    if (!own && !event.dataTransfer.files.length) return;
    event.preventDefault();
    if (own) this.examples.add({ kind: "photo", id: own, against: false });
    else searchPictures([...event.dataTransfer.files], { join: true });
  }

  async #search({ keep = false } = {}) {
    const { asked } = this;
    this.running?.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    fieldSays(asked.text);
    this.filters.set(asked.filters);
    const distinct = asked.distinct && !isByLabel(asked);
    this.distinct.hidden = isByLabel(asked) || isEmpty(asked);
    this.distinct.setAttribute("aria-checked", String(distinct));
    this.examples.show(asked);
    this.more.hidden = true;
    if (!keep) this.body.replaceChildren();
    if (isEmpty(asked)) {
      this.#invite();
      return;
    }
    this.line.textContent = "Searching …";
    const status = asked.text ? await libraryStatus().catch(() => null) : null;
    if (signal.aborted) return;
    if (status?.photos && !(status.reads_text ?? status.has_text)) {
      this.line.textContent = "";
      this.#instead(wordsStep(status));
      return;
    }
    try {
      this.#answer(await get("/api/search", { ...writeQuery({ ...asked, distinct }), k: asked.k }, signal), keep);
    } catch (error) {
      if (error.name !== "AbortError") await this.#fail(error, signal);
    }
  }

  async #fail(error, signal) {
    const status = await libraryStatus({ fresh: true }).catch(() => null);
    if (signal.aborted) return;
    const { asked } = this;
    this.line.textContent = "";
    announce(error.message);
    if (status && !status.photos) {
      this.#instead(h("div", { class: "empty" }, icon("search"), h("h2", {}, "Nothing to search in yet"), h("p", {}, "Add a folder of photos first."), h("a", { class: "button first", href: "/indexing" }, "Add a folder")));
    } else {
      const lost = error.status === 404 && asked.examples.some((one) => one.kind === "upload");
      this.#instead(h("div", { class: "empty" }, icon("warning"), h("h2", {}, "This search has no answer"), h("p", {}, error.message),
        lost ? h("p", {}, "Dropped pictures are kept only while vitsearch runs: drop it again.") : null));
    }
  }

  #answer({ results, matches_above: above }, keep) {
    const { asked } = this;
    const byLabel = isByLabel(asked);
    this.matches = results;
    for (const match of results) remember(match.photo, fileName(match.path), match.taken);
    const good = above == null || byLabel ? results.length : results.filter((match) => match.score >= above).length;
    const sections = [];
    if (byLabel) sections.push({ key: "all", title: `Labelled ${asked.filters.label}`, count: results.length });
    else if (above == null) sections.push({ key: "all", title: "Most alike first", count: results.length });
    else {
      if (good) sections.push({ key: "good", title: "Good matches", count: good });
      if (good < results.length) sections.push({ key: "rest", title: "Less alike", count: results.length - good });
    }
    this.body.replaceChildren();
    if (!results.length) {
      this.line.textContent = "";
      this.#instead(h("div", { class: "empty" }, icon("search"), h("h2", {}, "No photo matches"), h("p", {}, "Loosen the filters, or try another example.")));
      return;
    }
    // The titles of the sections say the rest.
    this.line.textContent = good ? "" : "No good match in your library: these are the nearest.";
    this.grid.element.hidden = false;
    this.more.hidden = results.length < asked.k || asked.k >= MOST;
    this.grid.show({ ids: results.map((match) => match.photo), ratios: results.map((match) => match.width / match.height), sections }, { keep });
    announce(`${plural(results.length, "photo")}${above == null || byLabel ? "" : `, ${good} of them good matches`}. The first is ${fileName(results[0].path)}.`);
  }

  #caption(match) {
    const folder = fileName(folderOf(match.path));
    return h("div", { class: "caption" }, match.taken ? h("b", {}, day(match.taken)) : null, match.present === false ? h("b", {}, "Not there now") : null, h("span", { title: folderOf(match.path) }, folder));
  }

  #hint(match) {
    const scale = isByLabel(this.asked) ? `Probability ${match.score.toFixed(2)}` : `Similarity ${match.score.toFixed(3)}`;
    const name = match.present === false ? `${fileName(match.path)}, which is not there now` : fileName(match.path);
    return [name, isByLabel(this.asked) || match.percentile == null ? scale : `${scale}, above ${match.percentile.toFixed(1)} % of your photos`];
  }

  #instead(element) {
    this.grid.element.hidden = true;
    this.grid.selecting.selection.clear();
    this.body.replaceChildren(element);
  }

  #invite() {
    this.line.textContent = "";
    this.matches = [];
    this.#instead(h("div", { class: "page" },
      h("div", { class: "dropzone" }, icon("image"),
        h("h2", {}, "Search with a picture or with words"),
        h("p", { class: "muted" }, "Drop a picture anywhere on this page, paste one, or choose one. It is looked at on this machine and forgotten when vitsearch ends."),
        h("div", { class: "row" }, button("Choose a picture", () => document.getElementById("find-choose").click(), { kind: "first" }))),
      h("p", { class: "muted" }, "Or begin with one of ", h("a", { href: "/" }, "your photos"), ": open it to find similar ones, or to search for a part of it.")));
  }
}

// Search by example, by counter-example, by a part, by words, within filters. The address holds all of it.

import { get, picture, query, thumbnail, upload, uploaded } from "./api.js";
import { drawBox } from "./boxes.js";
import { alternative, learn, remember } from "./captions.js";
import { announce, button, fileName, h, icon, iconButton, plural, toast } from "./dom.js";
import { FILTERS, Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { findLike, go, openPhoto } from "./navigation.js";
import { libraryStatus } from "./state.js";

const PAGE = 60;
const MOST = 1000;

/** What an address asks for. Examples: {kind: "photo" | "upload", id, against}. */
function readQuery(parameters) {
  const example = (kind, against) => (id) => ({ kind, id, against });
  const examples = [
    ...parameters.getAll("photo").map(example("photo", false)),
    ...parameters.getAll("upload").map(example("upload", false)),
    ...parameters.getAll("not").map((one) => {
      const [kind, id] = one.split(/:(.*)/);
      return { kind, id, against: true };
    }),
  ];
  return {
    examples,
    crop: parameters.get("crop")?.split(",").map(Number) ?? null,
    text: parameters.get("text") ?? "",
    k: Math.min(MOST, Number(parameters.get("k")) || PAGE),
    distinct: parameters.get("distinct") === "true",
    filters: Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name)]).filter(([, value]) => value)),
  };
}

function writeQuery({ examples, crop, text, k, distinct, filters }) {
  const ids = (kind) => examples.filter((one) => !one.against && one.kind === kind).map((one) => one.id);
  return {
    photo: ids("photo"), upload: ids("upload"), not: examples.filter((one) => one.against).map((one) => `${one.kind}:${one.id}`),
    crop: crop?.join(","), text, k: k === PAGE ? "" : k, distinct, ...filters,
  };
}

export class SearchView {
  title = "Search";
  keyHelp = [
    ["/", "Words to search for"], ["b", "Draw a box on the example"], ["+", "Add the focused photo as an example"],
    ["-", "Search away from the focused photo"], ["f", "Find photos like the focused one"], ["Enter", "Open the photo"],
    ["Ctrl v", "Search for a copied picture"],
  ];

  constructor() {
    this.asked = readQuery(new URLSearchParams());
    this.text = h("input", { class: "field", type: "search", name: "text", placeholder: "Words", autocomplete: "off", "aria-label": "Search by words", "aria-describedby": "text-note" });
    this.file = h("input", { type: "file", accept: "image/*,.heic,.heif,.avif", multiple: true, hidden: true, "aria-label": "Choose a picture", onchange: () => this.#take([...this.file.files]) });
    this.note = h("p", { class: "muted small", id: "text-note" });
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Examples" });
    this.filters = new Filters((filters) => this.#go({ filters, k: PAGE }));
    this.distinct = button("Without near copies", () => this.#go({ distinct: !this.asked.distinct }), { kind: "quiet", pressed: false });
    this.ask = h("div", { class: "ask" },
      h("form", { role: "search", onsubmit: (event) => { event.preventDefault(); this.#go({ text: this.text.value.trim(), k: PAGE }); } },
        this.text, button([icon("upload"), "Choose a picture"], () => this.file.click()), this.filters.button, this.distinct, this.file),
      this.note, this.chips, this.filters.panel);
    this.ask.addEventListener("drop", (event) => this.#dropped(event));
    this.line = h("div", { class: "answer-line", role: "status" });
    const of = (index) => this.grid.ids[index];
    const add = (against) => (index) => this.#add({ kind: "photo", id: String(of(index)), against });
    this.grid = new Grid({
      label: "Photos found", caption: 27,
      onopen: (index) => openPhoto(this.grid.ids, index),
      decorate: (tile, index) => {
        const match = this.matches[index];
        tile.append(h("div", { class: "caption", title: `${fileName(match.path)}: cosine similarity ${match.score.toFixed(4)}` },
          h("b", {}, match.score.toFixed(3)), h("span", {}, this.asked.filters.label && !this.asked.examples.length ? "probability" : `above ${match.percentile.toFixed(1)} %`)));
      },
      actions: [
        ["like", "Find photos like this", (at) => findLike(of(at))], ["plus", "Add as an example", add(false)],
        ["minus", "Search away from this", add(true)],
      ],
      keys: { f: (index) => findLike(of(index)), "+": add(false), "=": add(false), "-": add(true) },
    });
    this.body = h("div", { class: "view-body" });
    this.element = h("div", {}, h("h1", { class: "out" }, "Search"), this.ask, this.line, this.grid.element, this.body);
    this.press = { b: () => this.#box(), ArrowDown: () => this.grid.focus(), ArrowRight: () => this.grid.focus() };
  }

  show(url) {
    if (url.search === this.shown && !this.isStale) return;
    this.shown = url.search;
    this.isStale = false;
    this.asked = readQuery(url.searchParams);
    this.#search();
  }

  focusText() {
    (this.text.disabled ? this.ask.querySelector("button") : this.text).focus();
  }

  changed() {
    this.#search({ keep: true });
  }

  #go(changes) {
    go(`/search${query(writeQuery({ ...this.asked, ...changes }))}`);
  }

  #add(example) {
    const same = (one) => one.kind === example.kind && one.id === example.id;
    const examples = [...this.asked.examples.filter((one) => !same(one)), example];
    if (!examples.some((one) => !one.against) && !this.asked.text) toast("Add an example too: away from this photo alone says nothing", { bad: true });
    else this.#go({ examples, crop: null });
  }

  async #take(files, { further = false } = {}) {
    const found = [];
    for (const file of files) {
      try {
        found.push({ kind: "upload", id: (await upload(file)).token, against: false });
      } catch (error) {
        toast(`${file.name || "The picture"}: ${error.message}`, { bad: true });
      }
    }
    this.file.value = "";
    if (found.length) this.#go({ examples: further ? [...this.asked.examples, ...found] : found, crop: null, k: PAGE });
  }

  /** What is dropped here joins the examples; dropped anywhere else it begins a new search. */
  #dropped(event) {
    const own = /\/photo\/(\d+)|\/api\/photos\/(\d+)/.exec(event.dataTransfer.getData("text/uri-list"));
    if (!own && !event.dataTransfer.files.length) return;
    event.preventDefault();
    if (own) this.#add({ kind: "photo", id: own[1] ?? own[2], against: false });
    else this.#take([...event.dataTransfer.files], { further: true });
  }

  async #search({ keep = false } = {}) {
    const { asked } = this;
    this.running?.abort();
    this.running = new AbortController();
    const { signal } = this.running;
    this.text.value = asked.text;
    this.filters.set(asked.filters);
    const byLabel = asked.filters.label && !asked.examples.length && !asked.text;
    const distinct = asked.distinct && !byLabel;
    this.distinct.disabled = Boolean(byLabel);
    this.distinct.setAttribute("aria-pressed", String(distinct));
    this.#showText();
    this.#showChips();
    if (!asked.examples.length && !asked.text && !asked.filters.label) {
      this.#invite();
      return;
    }
    this.line.textContent = "Searching …";
    const started = performance.now();
    try {
      const answer = await get("/api/search", { ...writeQuery({ ...asked, distinct }), k: asked.k }, signal);
      this.#answer(answer, (performance.now() - started) / 1000, keep);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.line.textContent = "";
      const status = await libraryStatus({ fresh: true }).catch(() => null);
      if (status && !status.photos) {
        this.#instead(h("div", { class: "empty" }, icon("search"), h("h2", {}, "Nothing to search in yet"), h("p", {}, "Add a folder of photos first."), h("a", { href: "/indexing" }, "Add a folder")));
        return;
      }
      const lost = error.status === 404 && asked.examples.some((one) => one.kind === "upload");
      this.#instead(h("div", { class: "empty" }, icon("warning"), h("h2", {}, "This search has no answer"), h("p", {}, error.message),
        lost ? h("p", {}, "Dropped pictures are kept only while vitsearch runs: drop it again.") : null));
      announce(error.message);
    }
  }

  #answer({ results, matches_above: above, model }, seconds, keep) {
    const { asked } = this;
    this.matches = results;
    for (const match of results) remember(match.photo, fileName(match.path), match.taken);
    const apart = above == null ? results.length : results.filter((match) => match.score >= above).length;
    const byLabel = asked.filters.label && !asked.examples.length && !asked.text;
    const sections = [];
    if (above == null || byLabel) sections.push({ key: "all", title: byLabel ? `Labelled ${asked.filters.label}` : "Most alike first", count: results.length });
    else {
      if (apart) sections.push({ key: "apart", title: "Stands out from your library", count: apart });
      if (apart < results.length) {
        sections.push({ key: "rest", title: apart ? "Does not stand out" : "Nothing stands out: these are merely the nearest", count: results.length - apart });
      }
    }
    this.body.replaceChildren();
    this.grid.element.hidden = false;
    const more = results.length >= asked.k && asked.k < MOST;
    this.line.replaceChildren(
      h("span", { class: "number" }, `${plural(results.length, "photo")} in ${seconds < 0.995 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`}`),
      above == null ? "" : h("span", { class: "number" }, `stands out above ${above.toFixed(3)}`),
      h("span", {}, model), h("span", { class: "grow" }),
      more ? button("Show more", () => this.#go({ k: Math.min(MOST, asked.k * 2) }), { kind: "quiet" }) : "");
    if (!results.length) {
      this.#instead(h("div", { class: "empty" }, icon("search"), h("h2", {}, "No photo matches"), h("p", {}, "Loosen the filters, or try another example.")));
      return;
    }
    this.grid.show({ ids: results.map((match) => match.photo), ratios: results.map((match) => match.width / match.height), sections }, { keep });
    announce(`${plural(results.length, "photo")} found, ${above == null ? "most alike first" : `${apart} stand out`}. The first is ${fileName(results[0].path)}.`);
  }

  #instead(element) {
    this.grid.element.hidden = true;
    this.body.replaceChildren(element);
  }

  async #showText() {
    const status = await libraryStatus().catch(() => null);
    if (!status) return;
    this.text.disabled = !status.has_text;
    this.text.placeholder = status.has_text ? "Words, as in: a red bicycle" : "Words need another model";
    const models = status.text_models?.slice(0, 3).join(", ");
    this.note.textContent = status.has_text || !status.model ? "" : `${status.model} sees images only. To search by words too, index with one that reads text${models ? `: ${models}` : ""}.`;
    this.note.hidden = !this.note.textContent;
  }

  #showChips() {
    const { examples, crop } = this.asked;
    this.chips.hidden = !examples.length;
    this.chips.replaceChildren(...examples.map((example, at) => this.#chip(example, at, crop)));
    const photos = examples.filter((one) => one.kind === "photo").map((one) => Number(one.id));
    learn(photos).then((any) => { if (any) this.#showChips(); });
  }

  #chip(example, at, crop) {
    const source = example.kind === "photo" ? thumbnail(example.id, 56) : uploaded(example.id);
    const name = example.kind === "photo" ? alternative(Number(example.id)) : "Your picture";
    const thumb = h("div", { class: "thumb" }, h("img", { src: source, alt: name }));
    const positive = this.asked.examples.filter((one) => !one.against);
    const alone = !example.against && positive.length === 1;
    if (crop && alone) this.#mark(thumb, example, crop);
    const without = this.asked.examples.filter((_, other) => other !== at);
    return h("div", { class: `chip ${example.against ? "against" : ""}`, role: "group", "aria-label": `${example.against ? "Counter-example" : "Example"}: ${name}` },
      thumb,
      h("div", { class: "word" }, h("b", {}, example.against ? "Away from" : crop && alone ? "A part of" : "Like"), h("span", {}, name.split(",")[0])),
      alone ? iconButton("box", "Draw a box (b)", () => this.#box()) : null,
      iconButton(example.against ? "plus" : "minus", example.against ? "Make it an example" : "Make it a counter-example",
        () => this.#go({ examples: this.asked.examples.map((one, other) => (other === at ? { ...one, against: !one.against } : one)), crop: null }),
        { disabled: alone && !this.asked.text }),
      iconButton("close", `Take ${name} out`, () => this.#go({ examples: without, crop: null })));
  }

  async #sizeOf(example) {
    if (example.kind === "photo") return get(`/api/photos/${example.id}`);
    return get(`/api/uploads/${encodeURIComponent(example.id)}`);
  }

  async #mark(thumb, example, [x, y, w, h_]) {
    try {
      const { width, height } = await this.#sizeOf(example);
      const cut = h("div", { class: "cut" });
      Object.assign(cut.style, { left: `${(100 * x) / width}%`, top: `${(100 * y) / height}%`, width: `${(100 * w) / width}%`, height: `${(100 * h_) / height}%` });
      thumb.append(cut);
    } catch { /* the mark is an ornament */ }
  }

  async #box() {
    const positive = this.asked.examples.filter((one) => !one.against);
    if (positive.length !== 1) {
      toast("A box is drawn on one example: take the others out first");
      return;
    }
    const [example] = positive;
    try {
      const { width, height } = await this.#sizeOf(example);
      const source = example.kind === "photo" ? picture(example.id) : uploaded(example.id);
      const name = example.kind === "photo" ? alternative(Number(example.id)) : "Your picture";
      drawBox({ source, width, height, name, chosen: this.asked.crop }, (crop) => this.#go({ crop, k: PAGE }));
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #invite() {
    this.line.textContent = "";
    this.matches = [];
    this.#instead(h("div", { class: "page" },
      h("div", { class: "dropzone" }, icon("upload"),
        h("h2", {}, "Drop a picture here, or paste one"),
        h("p", { class: "muted" }, "From a folder, or copied in another program. It is looked at on this machine and forgotten when vitsearch ends."),
        h("div", { class: "row" }, button("Choose a picture", () => this.file.click(), { kind: "first" }))),
      h("p", { class: "muted" }, "Or go to ", h("a", { href: "/" }, "your photos"), " and press ", h("kbd", {}, "f"), " on one that is like what you look for. Open a photo and press ", h("kbd", {}, "b"), " to search for a part of it.")));
  }
}

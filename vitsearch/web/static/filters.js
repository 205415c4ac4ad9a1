// Narrowing down: folder, dates, camera, place, rating, keyword, label, favourites. The same controls over the library and over an answer.

import { post } from "./api.js";
import { button, h, icon, placeName, plural, select, toast, toggle } from "./dom.js";
import { libraryFacets } from "./state.js";

export const FILTERS = ["folder", "after", "before", "camera", "place", "rating", "keyword", "head", "label", "favourite"];

/** @returns {Record<string, string>} */
export const filtersOf = (parameters) =>
  Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name)]).filter(([, value]) => value));

/** A button that opens a row of controls; `onchange(values)` hears of every choice. */
export class Filters {
  constructor(onchange, { labels = true } = {}) {
    this.onchange = onchange;
    this.labels = labels;
    this.values = {};
    this.panel = h("div", { class: "filters", hidden: true, role: "group", "aria-label": "Filters" });
    this.panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      this.close();
      this.button.focus();
    });
    this.button = h("button", { type: "button", class: "button quiet", "aria-expanded": "false", onclick: () => this.#toggle() });
    this.#name();
  }

  async set(values) {
    this.values = values;
    this.#name();
    if (!this.panel.hidden) await this.#fill();
  }

  get isOpen() {
    return !this.panel.hidden;
  }

  close() {
    this.#open(false);
  }

  #toggle() {
    this.#open(this.panel.hidden);
    if (!this.panel.hidden) this.#fill().then(() => this.panel.querySelector("select, input")?.focus());
  }

  #open(open) {
    this.panel.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
  }

  #name() {
    const count = Object.keys(this.values).length - ("head" in this.values ? 1 : 0);
    this.button.replaceChildren(icon("filter"), count ? plural(count, "filter") : "Filter");
    this.button.setAttribute("aria-pressed", String(count > 0));
  }

  #choose(changes) {
    const next = { ...this.values, ...changes };
    for (const [name, value] of Object.entries(next)) if (!value) delete next[name];
    this.onchange(next);
  }

  async #fill() {
    let facets;
    try {
      facets = await libraryFacets();
    } catch (error) {
      this.panel.replaceChildren(h("p", { class: "notice bad" }, error.message));
      return;
    }
    const focused = document.activeElement?.getAttribute("aria-label");
    const count = (words, of) => `${words} (${of.toLocaleString("en")})`;
    const date = (label, name) => {
      const field = h("input", {
        class: "field", type: "date", value: this.values[name]?.padEnd(10, "-01").slice(0, 10) ?? "",
        onchange: () => this.#choose({ [name]: field.value }), "aria-label": label,
      });
      return h("label", {}, label, field);
    };
    const tails = shortest(facets.folders.map((folder) => folder.path));
    const choice = (label, name, all, options) =>
      (options.length ? select(label, [["", all], ...options], this.values[name] ?? "", (value) => this.#choose({ [name]: value })) : null);
    const counted = (values, words = (value) => value) => values.map((one) => [one.value, count(words(one.value), one.count)]);
    const controls = [
      choice("Folder", "folder", "All folders", facets.folders.map((one, at) => [one.path, count(tails[at], one.count)])),
      date("Taken from", "after"),
      date("before", "before"),
      choice("Camera", "camera", "All cameras", facets.cameras.map((one) => [one.camera, count(one.camera, one.count)])),
      choice("Place", "place", "All places", counted(facets.places, placeName)),
      choice("Rating", "rating", "Any rating", counted(facets.ratings, (stars) => (stars === "5" ? "★★★★★" : `${"★".repeat(Number(stars))} or more`))),
      choice("Keyword", "keyword", "All keywords", counted(facets.keywords)),
    ];
    if (this.labels && facets.heads.some((head) => head.labels.length)) {
      const field = h("select", {
        class: "field", "aria-label": "Label",
        onchange: () => {
          const [head, label] = field.value ? JSON.parse(field.value) : ["", ""];
          this.#choose({ head, label });
        },
      }, h("option", { value: "" }, "All labels"));
      for (const head of facets.heads) {
        field.append(h("optgroup", { label: head.name },
          ...head.labels.map((one) => h("option", { value: JSON.stringify([head.name, one.label]) }, count(one.label, one.count)))));
      }
      field.value = this.values.label ? JSON.stringify([this.values.head, this.values.label]) : "";
      controls.push(field);
    }
    if (facets.favourites || this.values.favourite) {
      if (this.values.favourite) controls.push(button("Write as ratings", writeRatings, { kind: "quiet", title: "Five stars in an XMP file beside each favourite, for other programs" }));
      controls.push(toggle("Favourites only", Boolean(this.values.favourite), (on) => this.#choose({ favourite: on ? "true" : "" })));
    }
    if (Object.keys(this.values).length) controls.push(button("Clear", () => this.onchange({}), { kind: "quiet" }));
    this.panel.replaceChildren(...controls.filter(Boolean));
    if (focused) [...this.panel.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
  }
}

async function writeRatings() {
  try {
    const { changed, unchanged, failed } = await post("/api/selection/favourites/ratings");
    const rest = failed.length ? `; ${plural(failed.length, "file")} not: ${failed[0].reason}` : "";
    toast(`Five stars in ${plural(changed + unchanged, "XMP file")}, ${changed.toLocaleString("en")} of them new${rest}`, { bad: failed.length > 0 });
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

/** Folders without what all of them begin with. */
export function shortest(paths) {
  if (paths.length < 2) return paths.map((path) => path.split(/[\\/]/).pop());
  const parts = paths.map((path) => path.split(/[\\/]/));
  let common = 0;
  while (parts.every((one) => one.length > common + 1 && one[common] === parts[0][common])) common += 1;
  return parts.map((one) => one.slice(common).join("/"));
}

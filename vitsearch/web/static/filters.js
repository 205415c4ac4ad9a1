// Narrowing down: the controls that the server names, and labels. The same over the library and over an answer.

import { post } from "./api.js";
import { button, h, icon, plural, select, toast, toggle } from "./dom.js";
import { libraryFacets } from "./state.js";

export const FILTERS = document.body.dataset.filters.split(" ");

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
    const controls = facets.filters.filter(({ kind }) => kind !== "switch").map((one) => this.#control(one, facets));
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
          ...head.labels.map((one) => h("option", { value: JSON.stringify([head.name, one.label]) }, counted(one.label, one.count)))));
      }
      field.value = this.values.label ? JSON.stringify([this.values.head, this.values.label]) : "";
      controls.push(field);
    }
    if (this.values.favourite) controls.push(button("Write as ratings", writeRatings, { kind: "quiet", title: "Five stars in an XMP file beside each favourite, for other programs" }));
    controls.push(...facets.filters.filter(({ kind }) => kind === "switch").map((one) => this.#control(one, facets)));
    if (Object.keys(this.values).length) controls.push(button("Clear", () => this.onchange({}), { kind: "quiet" }));
    this.panel.replaceChildren(...controls.filter(Boolean));
    if (focused) [...this.panel.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
  }

  /** One control, or null where there is nothing to choose. */
  #control({ name, kind, label, all, choices }, { folders }) {
    const value = this.values[name] ?? "";
    const choose = (chosen) => this.#choose({ [name]: chosen });
    const list = (options) => (options.length ? select(label, [["", all], ...options], value, choose) : null);
    if (kind === "switch") return choices.length || value ? toggle(label, Boolean(value), (on) => choose(on ? "true" : "")) : null;
    if (kind === "folder") {
      const tails = shortest(folders.map((folder) => folder.path));
      return list(folders.map((one, at) => [one.path, counted(tails[at], one.count)]));
    }
    if (kind === "list") return list(choices.map((one) => [one.value, counted(one.words, one.count)]));
    const field = h("input", {
      class: "field", type: "date", value: value && value.padEnd(10, "-01").slice(0, 10), onchange: () => choose(field.value), "aria-label": label,
    });
    return h("label", {}, label, field);
  }
}

const counted = (words, count) => `${words} (${count.toLocaleString("en")})`;

async function writeRatings() {
  try {
    const { changed, unchanged, failed, taken_back: back } = await post("/api/selection/favourites/ratings");
    const former = back ? `; ${plural(back, "file")} of former favourites with the former rating` : "";
    const rest = failed.length ? `; ${plural(failed.length, "file")} not: ${failed[0].reason}` : "";
    toast(`Five stars in ${plural(changed + unchanged, "XMP file")}, ${changed.toLocaleString("en")} of them new${former}${rest}`, { bad: failed.length > 0 });
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

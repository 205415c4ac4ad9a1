// Groups of alike photos as stacks, to be named at once; photos that do not belong can be taken out first.

import { get, thumbnail } from "./api.js";
import { button, dialog, fileName, h, plural } from "./dom.js";

const BESIDE = 4;

/** The stacks to name for a head (which need not exist yet), and single photos: [{photo, path, width, height}, …]. */
export const suggestions = (head) => get(`/api/heads/${encodeURIComponent(head)}/suggestions`, { groups: 12, n: 30 });

/** Photos by their ids as a stack, in the same order: those that are in the library. */
export async function named(ids) {
  if (!ids.length) return [];
  const { captions } = await get("/api/captions", { ids: ids.join(",") });
  return ids.filter((photo) => captions[photo]).map((photo) => ({ photo, path: captions[photo].name }));
}

/**
 * `labels()`: the names so far, for the type-ahead. `onname(photos, label)`: the ids got a name, or null for none of
 * these; answers whether that worked.
 */
export function stacks(groups, { labels, onname }) {
  const names = h("datalist", { id: "stack-names" });
  const refresh = () => names.replaceChildren(...labels().map((label) => h("option", { value: label })));
  refresh();
  const list = h("ul", { class: "stacks" });
  list.append(...groups.map((group, number) => stack(group, number, async (card, photos, label) => {
    if (!await onname(photos, label)) return;
    refresh();
    const next = card.nextElementSibling ?? card.previousElementSibling;
    card.remove();
    next?.querySelector("input")?.focus();
  })));
  return h("div", {}, names, list);
}

function stack(group, number, name) {
  const left = new Set(group.map((one) => one.photo));
  const field = h("input", { class: "field grow", type: "text", list: "stack-names", placeholder: "Their name", "aria-label": `Name of stack ${number + 1}, ${plural(group.length, "photo")}`, autocomplete: "off" });
  const count = h("span", { class: "muted small number" });
  const pictures = h("button", { type: "button", class: "pile", "aria-label": `Look at all photos of stack ${number + 1}`, onclick: () => pick(group, left, paint) });
  const paint = () => {
    const [first, ...rest] = group.filter((one) => left.has(one.photo));
    count.textContent = plural(left.size, "photo");
    pictures.replaceChildren(...(first ? [h("img", { class: "typical", src: thumbnail(first.photo, 320), alt: fileName(first.path) }),
      ...rest.slice(0, BESIDE).map((one) => h("img", { src: thumbnail(one.photo, 120), alt: "" }))] : []));
  };
  paint();
  const card = h("li", {
    class: "stack-card",
    // As for single photos; in the field a digit is part of a name.
    onkeydown: (event) => {
      if (event.key === "0" && event.target !== field && left.size) {
        event.preventDefault();
        event.stopPropagation();
        name(card, [...left], null);
      }
    },
  }, pictures,
    h("form", {
      class: "row",
      onsubmit: (event) => {
        event.preventDefault();
        if (field.value.trim() && left.size) name(card, [...left], field.value.trim());
      },
    }, field, button("Name", () => {}, { type: "submit", "aria-label": `Name stack ${number + 1}` })),
    h("div", { class: "row" }, count, h("span", { class: "grow" }), button("None of these", () => name(card, [...left], null), { kind: "quiet", "aria-label": `None of these: stack ${number + 1}` })));
  return card;
}

/** All photos of a stack, each of which can be taken out. */
function pick(group, left, onchange) {
  dialog(`${plural(group.length, "photo")} that are alike`, (close) => [
    h("div", { class: "inside" }, h("p", { class: "muted small" }, "Take out what does not belong."),
      h("div", { class: "picks" }, ...group.map((one) => {
        const tile = h("button", {
          type: "button", class: "pick", "aria-pressed": String(left.has(one.photo)), "aria-label": fileName(one.path),
          onclick: () => {
            if (!left.delete(one.photo)) left.add(one.photo);
            tile.setAttribute("aria-pressed", String(left.has(one.photo)));
            onchange();
          },
        }, h("img", { src: thumbnail(one.photo, 160), alt: "", loading: "lazy" }));
        return tile;
      }))),
    h("div", { class: "foot" }, button("Done", close, { kind: "first", autofocus: true })),
  ], { kind: "wide-dialog" });
}

/** A new head in the making: what was named so far, and the button that makes it of that. */
export class NewHead {
  constructor(onmake) {
    /** @type {Map<number, string[]>} the labels of photos by id; none of them for "none of these" */
    this.given = new Map();
    this.several = h("input", { type: "checkbox" });
    this.name = h("input", { class: "field", type: "text", placeholder: "What are these names? pets, places …", "aria-label": "Name of the head", autocomplete: "off" });
    this.said = h("p", { class: "grow", role: "status" });
    this.problem = h("p", { class: "notice bad", role: "alert", hidden: true });
    this.make = button("Learn these names", async () => {
      this.problem.hidden = true;
      this.make.disabled = true;
      try {
        await onmake({ name: this.name.value.trim(), multi: this.several.checked, photos: [...this.given].map(([photo, labels]) => ({ photo, labels })) });
      } catch (error) {
        this.problem.textContent = error.message;
        this.problem.hidden = false;
      } finally {
        this.make.disabled = false;
      }
    }, { kind: "first" });
    this.element = h("div", { class: "making" }, this.said, this.name, this.make, this.problem);
    this.paint();
  }

  labels() {
    return [...new Set([...this.given.values()].flat())].sort();
  }

  add(photos, label) {
    for (const photo of photos) this.given.set(photo, label === null ? [] : [label]);
    this.paint();
  }

  paint() {
    const counts = new Map();
    for (const labels of this.given.values()) for (const label of labels.length ? labels : ["none of these"]) counts.set(label, (counts.get(label) ?? 0) + 1);
    this.said.replaceChildren(...(counts.size ? [...counts].map(([label, count]) => h("span", { class: "tag accent" }, `${label} ${count}`))
      : [h("span", { class: "muted" }, "Name two stacks or more; one may be none of these.")]));
    this.make.disabled = !this.labels().length;
  }
}


// Choosing a label by name, with type-ahead: the beginning is enough, and a new name makes a new label.

import { thumbnail } from "./api.js";
import { button, dialog, h } from "./dom.js";

const SHOWN = 12;

/** `onchoose(label)`; null is "none of these". `photos`: ids, of which a few are shown. */
export function chooseLabel({ title, labels, photos = [], onchoose }) {
  dialog(title, (close) => {
    let at = 0;
    let found = [];
    const field = h("input", {
      class: "field", type: "text", role: "combobox", "aria-label": "Label", "aria-controls": "label-names", "aria-expanded": "true", "aria-autocomplete": "list",
      autocomplete: "off", autofocus: true, placeholder: "Type a label",
      oninput: () => { at = 0; paint(); },
      onkeydown: (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!step || !found.length) return;
        event.preventDefault();
        at = (at + step + found.length) % found.length;
        paint();
      },
    });
    const list = h("div", { class: "label-names", id: "label-names", role: "listbox", "aria-label": "Labels" });
    const give = (label) => { close(); onchoose(label); };
    const paint = () => {
      const typed = field.value.trim();
      const small = typed.toLowerCase();
      const begins = labels.filter((label) => label.toLowerCase().startsWith(small));
      const contains = labels.filter((label) => !begins.includes(label) && label.toLowerCase().includes(small));
      const isNew = typed && !labels.some((label) => label.toLowerCase() === small);
      found = [...[...begins, ...contains].slice(0, SHOWN).map((label) => ({ label, words: label })), ...(isNew ? [{ label: typed, words: `New label: ${typed}` }] : [])];
      list.replaceChildren(...found.map((one, place) => h("div", {
        role: "option", id: `label-name-${place}`, "aria-selected": String(place === at), onclick: () => give(one.label),
      }, one.words)));
      field.setAttribute("aria-activedescendant", found.length ? `label-name-${at}` : "");
    };
    paint();
    return h("form", {
      class: "inside",
      onsubmit: (event) => {
        event.preventDefault();
        if (found[at]) give(found[at].label);
      },
    }, photos.length ? h("div", { class: "row few" }, ...photos.slice(0, 6).map((photo) => h("img", { src: thumbnail(photo, 64), alt: "", height: 64 }))) : null,
    field, list, h("div", { class: "row" }, button("Give", () => {}, { kind: "first", type: "submit" }), button("None of these", () => give(null))),
    h("p", { class: "muted small" }, "Arrow keys choose, Enter gives. A new name makes a new label."));
  });
}

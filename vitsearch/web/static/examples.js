// The examples and counter-examples of a search, as chips that can be turned round, narrowed to a part, and taken out.

import { get, picture, thumbnail, uploaded } from "./api.js";
import { drawBox } from "./boxes.js";
import { alternative, learn } from "./captions.js";
import { h, iconButton, toast } from "./dom.js";

const MOST_CHIPS = 12;

export class Examples {
  /** @param {(changes: Record<string, any>) => void} onchange hears of other examples, or another region */
  constructor(onchange) {
    this.onchange = onchange;
    this.element = h("div", { class: "chips", role: "group", "aria-label": "Examples" });
    this.examples = [];
    this.crop = null;
    this.text = "";
  }

  show({ examples, crop, text }) {
    Object.assign(this, { examples, crop, text });
    this.element.hidden = !examples.length;
    const shown = examples.slice(0, MOST_CHIPS);
    this.element.replaceChildren(...shown.map((example, at) => this.#chip(example, at)),
      examples.length > shown.length ? h("span", { class: "muted small" }, `and ${examples.length - shown.length} more`) : "");
    const photos = shown.filter((one) => one.kind === "photo").map((one) => Number(one.id));
    learn(photos).then((any) => { if (any && this.examples === examples) this.show({ examples, crop, text }); });
  }

  add(example) {
    const same = (one) => one.kind === example.kind && one.id === example.id;
    const examples = [...this.examples.filter((one) => !same(one)), example];
    if (!examples.some((one) => !one.against) && !this.text) toast("Add an example too: away from this photo alone says nothing", { bad: true });
    else this.onchange({ examples, crop: null });
  }

  /** Ask for a region of the only example. */
  async box() {
    const positive = this.examples.filter((one) => !one.against);
    if (positive.length !== 1) {
      toast("A box is drawn on one example: take the others out first");
      return;
    }
    const [example] = positive;
    try {
      const { width, height } = await this.#sizeOf(example);
      const source = example.kind === "photo" ? picture(example.id) : uploaded(example.id);
      drawBox({ source, width, height, name: this.#name(example), chosen: this.crop }, (crop) => this.onchange({ crop }));
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #name = (example) => (example.kind === "photo" ? alternative(Number(example.id)) : "Your picture");

  #chip(example, at) {
    const source = example.kind === "photo" ? thumbnail(example.id, 56) : uploaded(example.id);
    const name = this.#name(example);
    const thumb = h("div", { class: "thumb" }, h("img", { src: source, alt: name }));
    const alone = !example.against && this.examples.filter((one) => !one.against).length === 1;
    if (this.crop && alone) this.#mark(thumb, example, this.crop);
    const without = this.examples.filter((_, other) => other !== at);
    const turned = this.examples.map((one, other) => (other === at ? { ...one, against: !one.against } : one));
    return h("div", { class: `chip ${example.against ? "against" : ""}`, role: "group", "aria-label": `${example.against ? "Counter-example" : "Example"}: ${name}` },
      thumb,
      h("div", { class: "word" }, h("b", {}, example.against ? "Away from" : this.crop && alone ? "A part of" : "Like"), h("span", {}, name.split(",")[0])),
      alone ? iconButton("box", "Draw a box (b)", () => this.box()) : null,
      iconButton(example.against ? "plus" : "minus", example.against ? "Make it an example" : "Make it a counter-example",
        () => this.onchange({ examples: turned, crop: null }), { disabled: alone && !this.text }),
      iconButton("close", `Take ${name} out`, () => this.onchange({ examples: without, crop: null })));
  }

  #sizeOf(example) {
    return get(example.kind === "photo" ? `/api/photos/${example.id}` : `/api/uploads/${encodeURIComponent(example.id)}`);
  }

  async #mark(thumb, example, [x, y, w, h_]) {
    try {
      const { width, height } = await this.#sizeOf(example);
      const cut = h("div", { class: "cut" });
      Object.assign(cut.style, { left: `${(100 * x) / width}%`, top: `${(100 * y) / height}%`, width: `${(100 * w) / width}%`, height: `${(100 * h_) / height}%` });
      thumb.append(cut);
    } catch { /* the mark is an ornament */ }
  }
}

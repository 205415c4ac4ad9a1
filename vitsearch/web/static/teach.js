// One photo after another that is worth asking about, answered with one key.

import { picture } from "./api.js";
import { remember } from "./captions.js";
import { announce, button, fileName, h, icon, percent } from "./dom.js";

/** `multi`: a photo may have several labels, which are chosen first and given with Enter. */
export class Teach {
  constructor({ onretrain, ongive }) {
    this.onretrain = onretrain;
    this.ongive = ongive;
    this.queue = [];
    this.asked = 0;
    this.multi = false;
    this.element = h("div", { class: "teach" });
  }

  show(photos, { multi }) {
    this.queue = photos;
    this.asked = photos.length;
    this.multi = multi;
    this.paint();
  }

  get photo() {
    return this.queue[0];
  }

  paint() {
    const [photo] = this.queue;
    if (!photo) {
      this.element.replaceChildren(h("div", { class: "empty" }, icon("check"), h("h2", {}, this.asked ? "That was a good lesson" : "Every photo has a label from you"),
        h("p", {}, "Retrain, and see how the accuracy has changed."), button("Retrain", this.onretrain, { kind: "first", key: "r" })));
      return;
    }
    photo.chosen ??= [];
    const label = photo.label ?? null;
    remember(photo.photo, fileName(photo.path));
    const question = label === null ? [h("p", {}, "What is this?")]
      : [h("p", {}, "Is this ", h("b", {}, label), "? ", h("span", { class: "muted" }, sureness(photo.probability)))];
    const yes = this.multi && photo.chosen.length ? `Give ${photo.chosen.join(", ")}` : label === null ? null : `Yes, ${label}`;
    this.element.replaceChildren(
      h("div", { class: "big" }, h("img", { src: picture(photo.photo), alt: fileName(photo.path) })),
      h("div", { class: "sheet" }, h("div", { class: "row" }, ...question, h("span", { class: "grow" }),
        h("span", { class: "muted small number" }, `${this.asked - this.queue.length + 1} of ${this.asked}`),
        yes ? button(yes, () => this.accept(), { kind: "first", key: "Enter" }) : null, button("Skip", () => this.skip(), { key: "s" }))));
    if (this.queue[1]) new Image().src = picture(this.queue[1].photo);
    announce(`${fileName(photo.path)}: ${label === null ? "what is this?" : `is this ${label}?`}`);
  }

  /** What was chosen, or what the head would have said. */
  accept() {
    const { photo } = this;
    if (!photo || (!photo.chosen.length && photo.label == null)) return false;
    this.ongive(photo, photo.chosen.length ? photo.chosen : [photo.label]);
    return true;
  }

  toggle(label) {
    const { chosen } = this.photo;
    this.photo.chosen = chosen.includes(label) ? chosen.filter((one) => one !== label) : [...chosen, label];
    this.paint();
  }

  skip() {
    if (!this.queue.length) return false;
    this.queue.shift();
    this.paint();
    return true;
  }
}

const sureness = (probability) => (probability == null ? "" : probability > 0.9 ? `The head is sure (${percent(probability)}).` : probability > 0.5 ? `The head thinks so (${percent(probability)}).` : `The head is not sure (${percent(probability)}).`);

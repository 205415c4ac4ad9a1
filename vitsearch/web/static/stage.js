// The stage on which copies are compared: side by side, flipped in place, or as a difference; one zoom for all.

import { h } from "./dom.js";

const MOST = 24;

/** `show(first, second, mode)` with {source, width, height, plate: [nodes], name}; `mode`: "side" | "flip" | "difference". */
export class Stage {
  constructor() {
    this.element = h("div", { class: "panes" });
    /** @type {any} */
    this.first = null;
    /** @type {any} */
    this.second = null;
    this.mode = "side";
    /** @type {Map<number, PointerEvent> | null} */
    this.held = null;
    this.zoom = 1;
    this.middle = [0.5, 0.5];
    this.flipped = true;
    new ResizeObserver(() => this.#place()).observe(this.element);
  }

  show(first, second, mode) {
    if (first.source !== this.first?.source || second.source !== this.second?.source) this.fit({ quiet: true });
    Object.assign(this, { first, second, mode });
    this.element.classList.toggle("one", mode !== "side");
    if (mode === "side") this.panes = [this.#pane([first], first), this.#pane([second], second)];
    else if (mode === "flip") {
      this.flipped = true;
      this.panes = [this.#pane([first, second], second)];
    } else this.panes = [this.#differencePane()];
    this.element.replaceChildren(...this.panes.map((pane) => pane.element));
    if (mode === "flip") this.flip(this.flipped);
    this.#place();
  }

  /** Show the other photo in the same place. */
  flip(second = !this.flipped) {
    this.flipped = second;
    const [pane] = this.panes;
    if (this.mode !== "flip") return null;
    pane.images.forEach((image, at) => { image.style.visibility = (at === 1) === second ? "visible" : "hidden"; });
    const shown = second ? this.second : this.first;
    pane.plate.replaceChildren(...shown.plate());
    return shown.name;
  }

  fit({ quiet = false } = {}) {
    this.zoom = 1;
    this.middle = [0.5, 0.5];
    if (!quiet) this.#place();
  }

  zoomBy(factor, at = this.middle) {
    const next = Math.max(1, Math.min(MOST, this.zoom * factor));
    const kept = 1 - this.zoom / next;
    this.middle = [0, 1].map((axis) => this.middle[axis] + (at[axis] - this.middle[axis]) * kept);
    this.zoom = next;
    this.#place();
  }

  panBy(dx, dy) {
    this.middle = [this.middle[0] + dx / this.zoom, this.middle[1] + dy / this.zoom];
    this.#place();
  }

  #pane(shown, named) {
    const images = shown.map((one) => h("img", { src: one.source, alt: one.name, draggable: false, decoding: "async" }));
    return this.#framed(images, shown, named.plate());
  }

  #framed(images, shown, plates) {
    const inner = h("div", { class: "inner" }, ...images);
    const plate = h("div", { class: "plate" }, ...plates);
    const element = h("div", { class: "pane" }, inner, plate);
    const pane = { element, inner, images, plate, shown };
    element.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 400), this.#point(event, pane));
    }, { passive: false });
    element.addEventListener("dblclick", (event) => (this.zoom > 1 ? this.fit() : this.zoomBy(4, this.#point(event, pane))));
    element.addEventListener("pointerdown", (event) => this.#hold(event, pane));
    return pane;
  }

  #hold(event, pane) {
    if (event.button) return;
    const { element } = pane;
    element.setPointerCapture(event.pointerId);
    element.classList.add("held");
    const held = (this.held ??= new Map());
    held.set(event.pointerId, event);
    const move = (moved) => {
      const before = held.get(moved.pointerId);
      held.set(moved.pointerId, moved);
      if (held.size === 2) {
        const [other] = [...held.values()].filter((one) => one.pointerId !== moved.pointerId);
        const spread = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
        this.zoomBy(spread(moved) / spread(before), this.#point(moved, pane));
      } else this.panBy((before.clientX - moved.clientX) / pane.width, (before.clientY - moved.clientY) / pane.height);
    };
    const end = (ended) => {
      held.delete(ended.pointerId);
      element.classList.remove("held");
      for (const [name, listener] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) element.removeEventListener(name, listener);
    };
    for (const [name, listener] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) element.addEventListener(name, listener);
  }

  #point(event, pane) {
    const box = pane.element.getBoundingClientRect();
    return [
      this.middle[0] + (event.clientX - box.left - box.width / 2) / (pane.width * this.zoom),
      this.middle[1] + (event.clientY - box.top - box.height / 2) / (pane.height * this.zoom),
    ];
  }

  /** Each picture is fitted into its pane; zoom and middle are shares of the picture, and so the same for all. */
  #place() {
    const margin = 0.5 / this.zoom;
    this.middle = this.middle.map((value) => Math.max(Math.min(margin, 0.5), Math.min(Math.max(1 - margin, 0.5), value)));
    for (const pane of this.panes ?? []) {
      const { clientWidth, clientHeight } = pane.element;
      const lead = pane.shown[0];
      const scale = Math.min(clientWidth / lead.width, clientHeight / lead.height);
      pane.width = lead.width * scale;
      pane.height = lead.height * scale;
      pane.images.forEach((image, at) => {
        const { width, height } = pane.shown[at] ?? lead;
        const own = Math.min(clientWidth / width, clientHeight / height);
        image.style.width = `${width * own}px`;
        image.style.height = `${height * own}px`;
        // Flipped pictures of other proportions share their middle.
        image.style.left = `${(pane.width - width * own) / 2}px`;
        image.style.top = `${(pane.height - height * own) / 2}px`;
        image.style.imageRendering = this.zoom > 6 ? "pixelated" : "auto";
      });
      const left = clientWidth / 2 - this.middle[0] * pane.width * this.zoom;
      const top = clientHeight / 2 - this.middle[1] * pane.height * this.zoom;
      pane.inner.style.transform = `translate(${left}px, ${top}px) scale(${this.zoom})`;
    }
  }

  #differencePane() {
    const { first, second } = this;
    const canvas = h("canvas", { role: "img", "aria-label": `Where ${first.name} and ${second.name} differ, bright` });
    const pane = this.#framed([canvas], [first], [h("b", {}, "Difference"), h("span", {}, "being worked out")]);
    difference(first, second, canvas).then((words) => pane.plate.replaceChildren(h("b", {}, "Difference"), h("span", {}, words)), () => {
      pane.plate.replaceChildren(h("span", {}, "One of the two pictures cannot be shown"));
    });
    return pane;
  }
}

/** Draw |first - second| three times as bright; says how much of the picture differs. */
async function difference(first, second, canvas) {
  const [one, two] = await Promise.all([first, second].map(async ({ source }) => {
    const image = new Image();
    image.src = source;
    await image.decode();
    return image;
  }));
  const scale = Math.min(1, 1400 / Math.max(first.width, first.height));
  canvas.width = Math.max(1, Math.round(first.width * scale));
  canvas.height = Math.max(1, Math.round(first.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(one, 0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "difference";
  context.drawImage(two, 0, 0, canvas.width, canvas.height);
  const picture = context.getImageData(0, 0, canvas.width, canvas.height);
  const { data } = picture;
  let apart = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (Math.max(data[at], data[at + 1], data[at + 2]) > 24) apart += 1;
    for (let colour = at; colour < at + 3; colour += 1) data[colour] = Math.min(255, data[colour] * 3);
  }
  context.putImageData(picture, 0, 0);
  const share = (400 * apart) / data.length;
  const proportions = Math.abs(first.width / first.height / (second.width / second.height) - 1) > 0.02 ? "; their proportions differ, one is stretched" : "";
  return `${share < 0.05 ? "almost nothing" : `${share.toFixed(1)} % of the picture`} differs clearly${proportions}`;
}

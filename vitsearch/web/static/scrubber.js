// The strip at the right of a grid: where the sections are, where one is, and a hand to drag.

import { h } from "./dom.js";
import { lastAtMost } from "./layout.js";

export class Scrubber {
  constructor(scroller) {
    this.scroller = scroller;
    this.hand = h("div", { class: "hand" });
    this.bubble = h("div", { class: "bubble" });
    this.ticks = h("div", { "aria-hidden": "true" });
    this.element = h("div", {
      class: "scrubber", role: "slider", tabindex: "0", "aria-label": "Go to", "aria-orientation": "vertical",
      "aria-valuemin": "0", "aria-valuenow": "0", "aria-valuemax": "0", hidden: true,
    }, this.ticks, this.hand, this.bubble);
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      this.element.classList.add("held");
      this.#go(event);
    });
    this.element.addEventListener("pointermove", (event) => { if (event.buttons) this.#go(event); });
    for (const end of ["pointerup", "pointercancel"]) {
      this.element.addEventListener(end, () => this.element.classList.remove("held"));
    }
    this.element.addEventListener("keydown", (event) => this.#pressed(event));
  }

  /** Show the sections of a layout of this height; whether the rail is shown at all is the grid's to say. */
  mark(sections, height) {
    this.sections = sections;
    this.tops = sections.map((section) => section.top);
    this.height = height;
    this.element.setAttribute("aria-valuemax", String(sections.length - 1));
    this.ticks.replaceChildren();
    if (this.element.hidden) return;
    const room = this.scroller.clientHeight;
    let label = "";
    let free = 0;
    for (const section of sections) {
      const place = 8 + (section.top / height) * (room - 16);
      const year = /^\d{4}/.exec(section.key)?.[0] ?? (section.title === "No date" ? "–" : (section.title ?? "").replace(/^.*[\\/]/, ""));
      const isNew = year !== label;
      if (place < free) continue;
      const tick = h("div", { class: isNew ? "tick" : "dot" }, isNew ? year : "");
      tick.style.top = `${place}px`;
      this.ticks.append(tick);
      label = year;
      free = place + (isNew ? 20 : 9);
    }
  }

  /** Follow the grid, which is scrolled to `top` and shows `height` pixels of its own. */
  follow(top, height) {
    if (this.element.hidden) return;
    const share = top / Math.max(1, this.height - height);
    // Moved, not placed: nothing has to be laid out again.
    const place = `0 ${8 + Math.min(1, share) * (height - 16)}px`;
    this.hand.style.translate = place;
    this.bubble.style.translate = place;
    const number = lastAtMost(this.tops, top + 8);
    if (number !== this.number) {
      this.number = number;
      this.bubble.textContent = this.sections[number]?.title ?? "";
      this.element.setAttribute("aria-valuenow", String(number));
      this.element.setAttribute("aria-valuetext", this.bubble.textContent);
    }
  }

  #go(event) {
    const box = this.element.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (event.clientY - box.top - 8) / (box.height - 16)));
    this.scroller.scrollTop = share * (this.height - this.scroller.clientHeight);
  }

  #pressed(event) {
    const moves = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, PageUp: -6, PageDown: 6, Home: -1e9, End: 1e9 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(this.sections.length - 1, (this.number ?? 0) + moves[event.key]));
    this.scroller.scrollTop = this.tops[next];
  }
}

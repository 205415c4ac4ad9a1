// Selecting in a grid with the pointer and the keyboard: click, Shift, drag, long press, Space, Shift and arrows.

import { announce, h, icon, plural } from "./dom.js";
import { Selection } from "./selection.js";

const HOLD = 450;
const EDGE = 56;

export class Selecting {
  /**
   * @param {any} grid the Grid
   * @param {(selection: Selection) => void} onchange
   */
  constructor(grid, onchange) {
    this.grid = grid;
    // Drawn once, after everything that one key or one move of the pointer brings: also the tiles that come into sight.
    this.selection = new Selection(() => {
      if (this.isDue) return;
      this.isDue = true;
      queueMicrotask(() => {
        this.isDue = false;
        this.paint();
        onchange(this.selection);
      });
    });
    const { scroller } = grid;
    scroller.addEventListener("pointerdown", (event) => this.#down(event));
    scroller.addEventListener("contextmenu", (event) => { if (this.held) event.preventDefault(); });
    // A drag that selects must not become one of the picture.
    scroller.addEventListener("dragstart", (event) => { if (this.drawing || this.selection.count) event.preventDefault(); });
  }

  get isOn() {
    return this.selection.count > 0;
  }

  /** Bring what is on the screen in step with the selection. */
  paint() {
    const { selection } = this;
    this.grid.scroller.classList.toggle("selecting", selection.count > 0);
    this.grid.each((tile) => this.dress(tile));
    for (const button of this.grid.all.querySelectorAll(".section-check")) this.#dressTitle(button);
  }

  dress(tile) {
    const on = this.selection.has(Number(tile.firstChild.dataset.index));
    if (tile.classList.contains("selected") === on) return;
    tile.classList.toggle("selected", on);
    if (on) tile.firstChild.setAttribute("aria-description", "selected");
    else tile.firstChild.removeAttribute("aria-description");
    tile.querySelector(".check")?.setAttribute("aria-pressed", String(on));
  }

  check(index) {
    return h("button", {
      type: "button", class: "check", tabindex: "-1", "aria-label": "Select", "aria-pressed": String(this.selection.has(index)),
    }, icon("check"));
  }

  /** A button beside the title of a section, for all of its photos. */
  sectionCheck({ title, first, count }) {
    const button = h("button", {
      type: "button", class: "section-check", tabindex: "-1", data: { first, end: first + count }, "aria-label": `Select all of ${title}`,
      onclick: () => { this.selection.span(first, first + count); this.#say(); },
    }, icon("check"));
    this.#dressTitle(button);
    return button;
  }

  #dressTitle(button) {
    const none = this.isOn ? this.selection.marks.indexOf(0, Number(button.dataset.first)) : Number(button.dataset.first);
    const all = none < 0 || none >= Number(button.dataset.end);
    if (button.getAttribute("aria-pressed") !== String(all)) button.setAttribute("aria-pressed", String(all));
  }

  /** Whether a click on a tile was about selecting. */
  clicked(event) {
    if (this.ignore) {
      this.ignore = false;
      event.preventDefault();
      return true;
    }
    const tile = event.target.closest(".tile");
    if (!tile) return false;
    const index = Number(tile.firstChild.dataset.index);
    const onCheck = event.target.closest(".check");
    if (!onCheck && !this.isOn && !event.shiftKey) return false;
    if (!onCheck && event.target.closest(".acts")) return false;
    event.preventDefault();
    if (event.shiftKey) {
      if (!this.isOn) this.selection.anchor = this.grid.current;
      this.selection.reach(index);
      getSelection()?.removeAllRanges();
    } else this.selection.toggle(index);
    this.#say();
    return true;
  }

  /** Whether a key on the focused photo was about selecting; `next` is where an arrow leads. */
  pressed(event, next) {
    const { current } = this.grid;
    if (event.key === "x" || (event.key === " " && !event.shiftKey)) this.selection.toggle(current);
    else if (event.key === " ") this.selection.reach(current);
    else if (event.shiftKey && next !== null) {
      if (!this.isOn) this.selection.anchor = current;
      this.selection.reach(next);
      this.grid.focus(next);
    } else return false;
    event.preventDefault();
    event.stopPropagation();
    this.#say();
    return true;
  }

  #say() {
    announce(this.isOn ? `${plural(this.selection.count, "photo")} selected` : "Nothing is selected");
  }

  #down(event) {
    if (event.button || event.target.closest(".acts, .section-check")) return;
    const { scroller } = this.grid;
    const touch = event.pointerType !== "mouse";
    const tile = event.target.closest(".tile");
    const begins = event.target.closest(".check") || this.isOn || !tile;
    if (touch && !this.isOn) this.#hold(event, tile);
    if (touch || !begins || event.shiftKey) return;
    const from = [event.clientX, event.clientY];
    const start = this.grid.indexAt(event.clientX, event.clientY);
    let last = event;
    const move = (moved) => {
      last = moved;
      if (!this.drawing) {
        if (Math.hypot(moved.clientX - from[0], moved.clientY - from[1]) < 6) return;
        this.drawing = true;
        scroller.classList.add("drawing");
        this.selection.begin(start);
        this.#follow(() => last);
      }
      this.selection.draw(this.grid.indexAt(moved.clientX, moved.clientY));
    };
    const end = (ended) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      if (!this.drawing) return;
      this.drawing = false;
      scroller.classList.remove("drawing");
      this.selection.drawn();
      // The click that ends the drag, where there is one, chooses nothing.
      this.ignore = ended.type === "pointerup";
      setTimeout(() => { this.ignore = false; }, 0);
      this.#say();
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
    if (tile && this.isOn) event.preventDefault();
  }

  /** Near an edge, a drag scrolls the grid. */
  #follow(pointer) {
    const step = () => {
      if (!this.drawing) return;
      const { clientX, clientY } = pointer();
      const box = this.grid.scroller.getBoundingClientRect();
      const by = clientY < box.top + EDGE ? clientY - box.top - EDGE : clientY > box.bottom - EDGE ? clientY - box.bottom + EDGE : 0;
      if (by) {
        this.grid.scroller.scrollTop += by / 3;
        this.selection.draw(this.grid.indexAt(clientX, clientY));
      }
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** On a touch screen, a long press begins to select; taps go on with it. */
  #hold(event, tile) {
    if (!tile) return;
    const from = [event.clientX, event.clientY];
    const index = Number(tile.firstChild.dataset.index);
    const stop = () => {
      clearTimeout(timer);
      removeEventListener("pointermove", moved);
      removeEventListener("pointerup", stop);
      removeEventListener("pointercancel", stop);
      setTimeout(() => { this.held = false; this.ignore = false; }, 60);
    };
    const moved = (one) => { if (Math.hypot(one.clientX - from[0], one.clientY - from[1]) > 10) stop(); };
    const timer = setTimeout(() => {
      this.held = true;
      this.ignore = true;
      this.selection.toggle(index);
      this.#say();
    }, HOLD);
    addEventListener("pointermove", moved);
    addEventListener("pointerup", stop);
    addEventListener("pointercancel", stop);
  }
}

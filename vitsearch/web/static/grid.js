// A grid of any number of photos, of which only the rows in sight are elements.

import { thumbnail } from "./api.js";
import { alternative, learn } from "./captions.js";
import { h, icon } from "./dom.js";
import { justify, lastAtMost, TITLE } from "./layout.js";
import { Pace } from "./pace.js";
import { Scrubber } from "./scrubber.js";
import { Selecting } from "./selecting.js";

const OVERSCAN = 500;

/**
 * `onopen(index)`: a photo was chosen. `decorate(tile, index)`: add to a tile when it is made. `keys`: {key: index => …}
 * for the focused photo. `actions`: [icon, words, index => …], as round buttons over a tile. `hint(index)`: lines
 * that lie over the tile that somebody turns to. `caption`: room in pixels below each picture. `scrubber`: whether to offer one. `flow`: whether sections of few photos share a row. `onselect(selection)`: photos can be
 * selected, and it hears of every change. `size()`: how large photos are, 1 for as usual.
 */
export class Grid {
  /** @param {Record<string, any>} options as above */
  constructor({ label, onopen, decorate = (tile, index) => {}, hint = null, actions = [], keys = {}, caption = 0, scrubber = false, titles = true, flow = false, onselect = null, size = () => 1 }) {
    this.flow = flow;
    this.size = size;
    this.onopen = onopen;
    this.decorate = decorate;
    this.hint = hint;
    this.actions = actions;
    this.keys = keys;
    this.caption = caption;
    this.titles = titles;
    this.ids = [];
    /** @type {number[] | null} */
    this.ratios = null;
    this.sections = [];
    this.current = 0;
    this.wanted = null;
    /** @type {Map<number, any[]>} the tiles of each row that there is */
    this.rows = new Map();
    this.pace = new Pace(() => this.#rested());
    this.shownBands = new Map();
    this.all = h("div", { class: "grid-all" });
    this.scroller = h("div", { class: "grid", role: "region", "aria-label": label, tabindex: "-1" }, this.all);
    this.element = h("div", { class: `grid-frame ${scrubber ? "" : "plain"}` }, this.scroller);
    this.scrubber = scrubber ? new Scrubber(this.scroller) : null;
    if (this.scrubber) this.element.append(this.scrubber.element);
    this.selecting = onselect ? new Selecting(this, onselect) : null;
    this.scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.scroller.addEventListener("click", (event) => this.#clicked(event));
    this.scroller.addEventListener("keydown", (event) => this.#pressed(event));
    this.scroller.addEventListener("focusin", (event) => {
      const link = event.target.closest("a[data-index]");
      if (link) this.#become(Number(link.dataset.index));
    });
    this.scroller.addEventListener("pointerover", (event) => this.#offer(event.target.closest(".tile")));
    this.scroller.addEventListener("focusin", (event) => this.#offer(event.target.closest(".tile")));
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.scroller);
  }

  /** `ids`, `ratios`: columns in the order of `sections` ([{key, title, count}]). The place is kept if `keep`. */
  show({ ids, ratios, sections }, { keep = false } = {}) {
    const anchor = keep ? this.ids[this.#firstInSight()] : undefined;
    Object.assign(this, { ids, ratios, sections });
    this.current = 0;
    this.#clear();
    this.selecting?.selection.follow(ids);
    this.#layOut();
    const place = anchor === undefined ? -1 : ids.indexOf(anchor);
    this.scroller.scrollTop = place > 0 ? this.#rowTop(this.#rowOf(place)) - TITLE : 0;
    this.#render();
  }

  /** Draw the tiles again, after what `decorate` reads has changed. */
  refresh() {
    const { current } = this;
    const focused = this.scroller.contains(document.activeElement) && document.activeElement.closest("a[data-index]");
    this.#clear();
    if (focused) this.focus(current);
    else this.#render();
  }

  /** Call `act(tile, index)` for each tile that is there now. */
  each(act) {
    for (const tiles of this.rows.values()) for (const tile of tiles) act(tile, Number(tile.firstChild.dataset.index));
  }

  /** Move the focus to a photo, wherever it is. */
  focus(index = this.current) {
    if (!this.ids.length) return;
    this.wanted = Math.max(0, Math.min(index, this.ids.length - 1));
    // To scroll is to lay out whatever has changed before: elements come and go afterwards.
    this.reveal(this.wanted);
    this.#become(this.wanted);
    this.#render();
    this.#link(this.wanted)?.focus({ preventScroll: true });
    this.wanted = null;
  }

  reveal(index) {
    if (!this.layout?.rows) return;
    const row = this.#rowOf(index);
    const top = this.#rowTop(row) - (this.titles ? TITLE : 4);
    const bottom = this.#rowTop(row) + this.layout.rowHeight[row] + this.caption + 8;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.scroller.scrollTop = Math.min(top, bottom - clientHeight);
  }

  /** Lay out again, for photos of another size; what is in sight stays in sight. */
  resize() {
    if (!this.layout) return;
    const anchor = this.#firstInSight();
    this.#clear();
    this.#layOut();
    this.scroller.scrollTop = anchor > 0 ? this.#rowTop(this.#rowOf(anchor)) - TITLE : 0;
    this.#render();
  }

  #layOut() {
    if (!this.scroller.clientWidth) return;
    // Whether there is a rail depends on the width that is there without one: it never comes and goes in turn.
    const whole = this.element.clientWidth;
    this.layout = this.#justified(whole);
    if (this.scrubber) {
      const wanted = this.layout.sections.length > 1 && this.layout.height > this.scroller.clientHeight * 1.5;
      this.scrubber.element.hidden = !wanted;
      if (wanted) this.layout = this.#justified(this.scroller.clientWidth);
    } else if (this.scroller.clientWidth !== whole) this.layout = this.#justified(this.scroller.clientWidth);
    this.width = this.scroller.clientWidth;
    this.all.style.height = `${this.layout.height + 24}px`;
    this.scrubber?.mark(this.layout.sections, this.layout.height + 24);
  }

  #justified(width) {
    this.pad = width < 700 ? 6 : 16;
    const usual = width < 500 ? 118 : width < 1100 ? 170 : 210;
    return justify({
      ratios: this.ratios ?? [], sections: this.sections, width: width - 2 * this.pad, target: Math.min(usual * this.size(), (width - 2 * this.pad) * 0.75),
      gap: width < 700 ? 3 : 5, caption: this.caption, titles: this.titles, flow: this.flow,
    });
  }

  #resized() {
    if (!this.scroller.clientWidth || !this.ratios) return;
    if (this.scroller.clientWidth !== this.width) {
      const anchor = this.layout ? this.#firstInSight() : 0;
      this.#clear();
      this.#layOut();
      if (anchor > 0) this.scroller.scrollTop = this.#rowTop(this.#rowOf(anchor)) - TITLE;
    }
    this.#render();
  }

  #scrolled() {
    // Where the grid has scrolled itself to show the focused photo, it is drawn already.
    if (this.frame || this.scroller.scrollTop === this.top) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.#render();
    });
  }

  #render() {
    const layout = this.layout;
    // What is measured is measured before elements come and go.
    const { scrollTop: top, clientHeight: height } = this.scroller;
    if (!layout?.rows || !height) return;
    this.top = top;
    this.height = height;
    this.pace.at(top);
    this.scrubber?.follow(top, height);
    const first = lastAtMost(layout.rowTop, top - OVERSCAN, layout.rows);
    const last = lastAtMost(layout.rowTop, top + height + OVERSCAN, layout.rows);
    const focused = this.wanted != null || (this.scroller.contains(document.activeElement) && document.activeElement !== this.scroller);
    const pinned = focused ? this.#rowOf(this.current) : -1;
    if (!focused) this.#become(this.#firstInSight(top));
    for (const [row, tiles] of this.rows) {
      if ((row < first || row > last) && row !== pinned) {
        tiles.forEach(drop);
        this.rows.delete(row);
      }
    }
    for (let row = first; row <= last; row += 1) if (!this.rows.has(row)) this.#makeRow(row);
    for (const [number, element] of this.shownBands) {
      if (element.childElementCount < (this.titles ? 2 : 1)) {
        element.remove();
        this.shownBands.delete(number);
      }
    }
    if (!this.pace.isRush) this.#load();
    clearTimeout(this.naming);
    this.naming = setTimeout(() => this.#name(), 200);
  }

  #makeRow(row) {
    const { rowStart, rowTop, rowHeight, lefts, widths } = this.layout;
    const band = this.#band(this.#bandOf(row));
    const tiles = [];
    for (let index = rowStart[row]; index < rowStart[row + 1]; index += 1) {
      const id = this.ids[index];
      const link = h("a", { href: `/photo/${id}`, tabindex: index === this.current ? "0" : "-1", "aria-label": alternative(id), data: { index } });
      link.style.height = `${rowHeight[row]}px`;
      const tile = h("div", { class: "tile", data: { photo: id } }, link);
      tile.style.left = `${this.pad + lefts[index]}px`;
      tile.style.top = `${rowTop[row] - band.top}px`;
      tile.style.width = `${widths[index]}px`;
      this.decorate(tile, index);
      if (this.selecting?.isOn) this.selecting.dress(tile);
      band.element.append(tile);
      tiles.push(tile);
    }
    this.rows.set(row, tiles);
  }

  #band(number) {
    const { top, height, sections: [from, to] } = this.layout.bands[number];
    let element = this.shownBands.get(number);
    if (!element) {
      const sections = this.layout.sections.slice(from, to);
      element = h("section", { class: "section", "aria-label": sections.map((one) => one.title).join(", ") });
      element.style.top = `${top}px`;
      element.style.height = `${height}px`;
      if (this.titles) element.append(h("div", { class: "section-titles" }, ...sections.map((one) => this.#title(one))));
      this.shownBands.set(number, element);
      const after = [...this.shownBands].filter(([other]) => other > number).sort(([a], [b]) => a - b)[0];
      this.all.insertBefore(element, after?.[1] ?? null);
    }
    return { element, top };
  }

  #title(section) {
    const { title, count, note, left, wide } = section;
    const element = h("h2", { class: "section-title", title: typeof note === "string" ? undefined : title }, h("span", { class: "name" }, title),
      note ?? count > 1 ? h("span", { class: "muted number" }, note ?? count.toLocaleString("en")) : null, this.selecting?.sectionCheck(section));
    element.style.left = `${left + this.pad}px`;
    element.style.maxWidth = `${wide}px`;
    return element;
  }

  /** After a rush: what was left out on the way is made for what is in sight. */
  #rested() {
    this.#load();
    this.#offer(this.turnedTo);
  }

  #load() {
    for (const [row, tiles] of this.rows) {
      for (const tile of tiles) {
        const link = tile.firstChild;
        if (pictureOf(link)) continue;
        const image = h("img", { alt: link.getAttribute("aria-label"), decoding: "async", draggable: true });
        image.onload = () => image.classList.add("here");
        image.src = thumbnail(tile.dataset.photo, this.layout.rowHeight[row]);
        link.prepend(image);
      }
    }
  }

  async #name() {
    const tiles = [...this.rows.values()].flat();
    if (!(await learn(tiles.map((tile) => Number(tile.dataset.photo))))) return;
    for (const tile of tiles) {
      const link = tile.firstChild;
      const words = alternative(Number(tile.dataset.photo));
      link.setAttribute("aria-label", words);
      if (pictureOf(link)) pictureOf(link).alt = words;
    }
  }

  #become(index) {
    if (index === this.current) return;
    this.#link(this.current)?.setAttribute("tabindex", "-1");
    this.current = index;
    this.#link(index)?.setAttribute("tabindex", "0");
  }

  /** Buttons and words are made for the tile that somebody turns to: rows that are scrolled past need none. */
  #offer(tile) {
    this.turnedTo = tile;
    if (!tile || tile.dataset.offered || this.pace.isRush) return;
    tile.dataset.offered = "yes";
    const index = Number(tile.firstChild.dataset.index);
    if (this.selecting) tile.append(this.selecting.check(index));
    const lines = this.hint?.(index)?.filter(Boolean) ?? [];
    if (lines.length) tile.firstChild.append(h("div", { class: "hint", "aria-hidden": "true" }, ...lines.map((line) => h("span", {}, line))));
    if (!this.actions.length) return;
    tile.append(h("div", { class: "acts" }, ...this.actions.map(([name, words, act]) =>
      h("button", { type: "button", tabindex: "-1", "aria-label": words, title: words, onclick: () => act(index) }, icon(name)))));
  }

  /** The photo at, or nearest to, a point of the window. */
  indexAt(x, y) {
    const { rowStart, rowTop, lefts, widths, rows } = this.layout;
    const box = this.scroller.getBoundingClientRect();
    const row = lastAtMost(rowTop, Math.max(0, y - box.top + this.scroller.scrollTop), rows);
    const at = x - box.left - this.pad;
    let index = rowStart[row];
    while (index + 1 < rowStart[row + 1] && lefts[index] + widths[index] < at) index += 1;
    return index;
  }

  #clicked(event) {
    if (this.selecting?.clicked(event)) return;
    const link = event.target.closest("a[data-index]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    this.onopen(Number(link.dataset.index));
  }

  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest("a[data-index]")) return;
    const row = this.#rowOf(this.current);
    const page = Math.max(1, Math.floor(this.height / (this.layout.rowHeight[row] + this.caption)) - 1);
    const moves = {
      ArrowRight: () => this.current + 1, ArrowLeft: () => this.current - 1,
      ArrowDown: () => this.#below(1), ArrowUp: () => this.#below(-1),
      PageDown: () => this.#below(page), PageUp: () => this.#below(-page),
      Home: () => 0, End: () => this.ids.length - 1,
    };
    const next = moves[event.key] ? Math.max(0, Math.min(moves[event.key](), this.ids.length - 1)) : null;
    if (this.selecting?.pressed(event, next)) return;
    if (next !== null) {
      event.preventDefault();
      this.focus(next);
    } else if (this.keys[event.key]) {
      event.preventDefault();
      event.stopPropagation();
      this.keys[event.key](this.current);
    }
  }

  /** The photo that many rows below whose middle is nearest. */
  #below(steps) {
    const { rowStart, lefts, widths, rows } = this.layout;
    const row = Math.max(0, Math.min(rows - 1, this.#rowOf(this.current) + steps));
    const middle = lefts[this.current] + widths[this.current] / 2;
    let best = rowStart[row];
    for (let index = best; index < rowStart[row + 1]; index += 1) {
      if (Math.abs(lefts[index] + widths[index] / 2 - middle) < Math.abs(lefts[best] + widths[best] / 2 - middle)) best = index;
    }
    return best;
  }

  #firstInSight(top = this.scroller.scrollTop) {
    if (!this.layout?.rows) return 0;
    const row = lastAtMost(this.layout.rowTop, top + TITLE, this.layout.rows);
    return this.layout.rowStart[row];
  }

  #clear() {
    for (const tiles of this.rows.values()) tiles.forEach(drop);
    this.rows.clear();
    this.shownBands.clear();
    this.all.replaceChildren();
  }

  #link(index) {
    if (!this.layout?.rows) return null;
    const row = this.#rowOf(index);
    return this.rows.get(row)?.[index - this.layout.rowStart[row]]?.firstChild;
  }

  #rowOf = (index) => lastAtMost(this.layout.rowStart, index, this.layout.rows);
  #rowTop = (row) => this.layout.rowTop[row];
  #bandOf(row) {
    let [low, high] = [0, this.layout.bands.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.layout.bands[middle].firstRow <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** The picture of a tile's link, where it has been asked for. */
const pictureOf = (link) => (link.firstChild?.tagName === "IMG" ? link.firstChild : null);

/** Take a tile away; a picture that has not come yet is not waited for any more. */
function drop(tile) {
  const image = pictureOf(tile.firstChild);
  if (image && !image.complete) image.removeAttribute("src");
  tile.remove();
}

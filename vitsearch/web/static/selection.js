// Which photos of a grid are selected, by their place in it: a byte each, so that any number is marked at once.

export class Selection {
  /** @param {() => void} onchange */
  constructor(onchange) {
    this.onchange = onchange;
    /** @type {number[]} */
    this.ids = [];
    this.marks = new Uint8Array(0);
    this.count = 0;
    this.anchor = 0;
    /** @type {Uint8Array | null} */
    this.before = null;
  }

  has = (index) => this.marks[index] === 1;

  /** The grid shows other photos now; those that are still among them stay selected. */
  follow(ids) {
    const kept = this.count ? new Set(this.chosen()) : null;
    this.ids = ids;
    this.marks = new Uint8Array(ids.length);
    this.anchor = 0;
    if (kept) for (let index = 0; index < ids.length; index += 1) if (kept.has(ids[index])) this.marks[index] = 1;
    this.#changed();
  }

  /** The ids of the selected photos, in the order of the grid. */
  chosen() {
    const found = [];
    for (let index = this.marks.indexOf(1); index >= 0; index = this.marks.indexOf(1, index + 1)) found.push(this.ids[index]);
    return found;
  }

  toggle(index) {
    this.marks[index] ^= 1;
    this.anchor = index;
    this.#changed();
  }

  /** Select from the photo that was chosen last to this one. */
  reach(index) {
    this.#mark(this.anchor, index);
    this.#changed();
  }

  /** Take these photos in, or out if all of them are in. */
  span(first, end) {
    const all = this.marks.indexOf(0, first);
    const value = all >= 0 && all < end ? 1 : 0;
    this.marks.fill(value, first, end);
    this.anchor = first;
    this.#changed();
  }

  /** Begin to draw: what `draw` marks until `drawn` is added to what is selected now. */
  begin(index) {
    this.before = this.marks.slice();
    this.anchor = index;
  }

  draw(index) {
    this.marks.set(this.before);
    this.#mark(this.anchor, index);
    this.#changed();
  }

  drawn() {
    this.before = null;
  }

  all() {
    this.marks.fill(1);
    this.#changed();
  }

  clear() {
    this.marks.fill(0);
    this.#changed();
  }

  #mark(from, to) {
    this.marks.fill(1, Math.min(from, to), Math.max(from, to) + 1);
  }

  #changed() {
    let count = 0;
    for (let index = 0; index < this.marks.length; index += 1) count += this.marks[index];
    this.count = count;
    this.onchange();
  }
}

// How fast somebody goes through a grid: what nobody can look at need not be fetched or made.

// Faster than this (pixels a millisecond), pictures would be gone before they had come.
const RUSH = 4;
const REST = 90;

export class Pace {
  isRush = false;
  #top = 0;
  #since = -Infinity;
  #resting = 0;

  /** @param {() => void} onrest hears of the end of a rush */
  constructor(onrest) {
    this.onrest = onrest;
  }

  /** The grid stands at `top` now; to stand where it stood is no move. */
  at(top) {
    if (top === this.#top) return;
    const now = performance.now();
    this.isRush = Math.abs(top - this.#top) / Math.max(1, now - this.#since) >= RUSH;
    this.#top = top;
    this.#since = now;
    clearTimeout(this.#resting);
    if (!this.isRush) return;
    this.#resting = setTimeout(() => {
      this.isRush = false;
      this.onrest();
    }, REST);
  }
}

// Which photos are favourites: known once for the whole page, changed at once and told to the server.

import { get, post } from "./api.js";

const known = new Set();
const listeners = new Set();

export const favourites = {
  has: (id) => known.has(id),
  /** @param {() => void} listener hears of every change */
  follow: (listener) => { listeners.add(listener); },

  async load() {
    const { photos } = await get("/api/favourites");
    known.clear();
    for (const id of photos) known.add(id);
    tell();
  },

  /** What another answer has said of a photo. */
  learn(id, on) {
    if (known.has(id) !== on) mark([id], on);
  },

  /** @param {number[]} ids @param {boolean} on */
  async put(ids, on) {
    mark(ids, on);
    try {
      await post("/api/selection/favourites", { photos: ids, favourite: on });
    } catch (error) {
      mark(ids, !on);
      throw error;
    }
  },
};

function mark(ids, on) {
  for (const id of ids) {
    if (on) known.add(id);
    else known.delete(id);
  }
  tell();
}

const tell = () => listeners.forEach((listener) => listener());

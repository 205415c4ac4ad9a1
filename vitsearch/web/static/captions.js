// File names of photos, fetched for what is on the screen only: a grid of 100,000 photos holds none.

import { get } from "./api.js";
import { moment } from "./dom.js";

const known = new Map();
const asked = new Set();

export function alternative(photo) {
  const caption = known.get(photo);
  if (!caption) return `Photo ${photo}`;
  return caption.taken ? `${caption.name}, ${moment(caption.taken)}` : caption.name;
}

/** What is known of a photo's file by now: {name, taken}. */
export const captionOf = (photo) => known.get(photo);

/** Remember what another answer has said already. */
export function remember(photo, name, taken = null) {
  known.set(photo, { name, taken });
}

/** Fetch the names that are not known yet; true if there were any. */
export async function learn(photos) {
  const wanted = photos.filter((photo) => !known.has(photo) && !asked.has(photo)).slice(0, 300);
  if (!wanted.length) return false;
  wanted.forEach((photo) => asked.add(photo));
  try {
    const { captions } = await get("/api/captions", { ids: wanted.join(",") });
    for (const [photo, caption] of Object.entries(captions)) known.set(Number(photo), caption);
  } catch {
    // A picture without a name is still a picture: its number stays as its alternative text.
    wanted.forEach((photo) => asked.delete(photo));
    return false;
  }
  return true;
}

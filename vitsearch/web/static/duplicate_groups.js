// All groups of duplicates of a kind, however many pages they are.

import { get } from "./api.js";

/** So many groups come at a time. */
export const MOST = 1000;

export async function allGroups(tier = "") {
  const found = [];
  for (let total = 1; found.length < total;) {
    const answer = await get("/api/duplicates", { tier, offset: found.length, limit: MOST });
    if (!answer.groups.length) break;
    found.push(...answer.groups);
    total = answer.total;
  }
  return found;
}

/** Those groups of an answer that hold a photo of a theme. */
export async function ofTheme(answer, tier, theme) {
  const [groups, { photos }] = await Promise.all([allGroups(tier), get(`/api/themes/${theme}`)]);
  const among = new Set(photos.map((one) => one.photo));
  const found = groups.filter((group) => group.files.some((file) => among.has(file.photo)));
  const counts = {};
  for (const group of found) counts[group.tier] = (counts[group.tier] ?? 0) + 1;
  return { ...answer, groups: found, total: found.length, counts };
}

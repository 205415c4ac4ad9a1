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

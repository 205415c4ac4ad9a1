// What copies are called, and what is said of one: words as people use them.

import { bytes, fileName, folderOf, moment } from "./dom.js";

/**
 * What the server says of each tier, from the strongest to the weakest: see `TierRecord` in duplicates/tiers.py.
 * @type {Record<string, { groups: string, note: string, file: string, known: string, are_copies: boolean }>}
 */
const records = JSON.parse(document.body.dataset.tiers);
export const TIERS = Object.keys(records);
const chosen = { groups: "photos that you chose", note: "Selected by hand, with all files that hold them. No other file stands for them.", file: "", known: "", are_copies: false };
/** Tiers, and what stands in their place in a plan that was made by hand. */
const kinds = { ...records, chosen };
export const PLANNED = Object.keys(kinds);

/** What groups of a tier are called. */
export const tierTitle = (tier) => kinds[tier].groups.replace(/^./, (first) => first.toUpperCase());
export const tierNote = (tier) => kinds[tier].note;
/** Whether all files of such a group but one may go. */
export const areCopies = (tier) => kinds[tier].are_copies;
/** Whether its files differ in what was done to each. */
export const tellsWhatWasDone = (tier) => kinds[tier].file.includes("{}");

/**
 * What a file is to the one that is kept.
 * @param {any} file
 * @param {any} [kept]
 */
export function whatItIs(file, kept) {
  const done = whatWasDone(file, kept);
  if (file.edit) return `${done}; an edit: ${file.edit}`;
  return file.copy_of ? `${done}; a copy of ${fileName(file.copy_of)}` : done;
}

function whatWasDone(file, kept) {
  const record = kinds[file.tier];
  if (!tellsWhatWasDone(file.tier)) return record.file;
  if (file.transform && !["none found", "identical", "same frame"].includes(file.transform)) return record.file.replace("{}", file.transform);
  if (!record.are_copies) return record.known;
  const share = kept?.width && file.width ? (file.width * file.height) / (kept.width * kept.height) : 1;
  return share < 0.95 ? "the same, smaller" : share > 1.05 ? "the same, larger" : "the same, saved again";
}

let roots = [];
/** The library's folders, below which places are told. */
export function rootsAre(paths) {
  roots = paths;
}

/** The folder of a file, from the name of the library's folder on. */
export function placeOf(path) {
  const folder = folderOf(path);
  const root = roots.find((one) => folder === one || folder.startsWith(`${one}/`) || folder.startsWith(`${one}\\`));
  return root === undefined ? folder : fileName(root) + folder.slice(root.length);
}

/** Format, size in pixels and bytes, and the date. */
export function facts(file) {
  return [
    file.format, file.width ? `${file.width} × ${file.height}` : "", file.bytes ? bytes(file.bytes) : "",
    file.taken ? moment(file.taken) : "no date",
  ].filter(Boolean).join(" · ");
}

/** Why the first file of a group is the one to keep: a sentence of the reasons that decided. */
export function whyKept(group) {
  return group.reason.split("; ").map((one) => one.replace(/ \(([^)]*)\)$/, ": $1").replace(/(\d+) x (\d+)/, "$1 × $2")).join(", ");
}

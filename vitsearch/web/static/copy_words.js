// What copies are called, and what is said of one: words as people use them.

import { bytes, fileName, folderOf, moment } from "./dom.js";

export const TIERS = { exact: "Identical files", pixels: "Same picture", near: "Edited copies", burst: "Bursts", chosen: "Photos that you chose" };

export const TIER_NOTES = {
  exact: "Byte for byte the same as the file that stays.",
  pixels: "The same picture as the file that stays, in another format or with other notes.",
  near: "The same shot as the file that stays: smaller, cropped, brighter, with a border …",
  burst: "Other shots of the same moment. They are never part of a plan.",
  chosen: "Selected by hand, with all files that hold them. No other file stands for them.",
};

/**
 * What a file is to the one that is kept.
 * @param {any} file
 * @param {any} [kept]
 */
export function whatItIs(file, kept) {
  if (file.tier === "exact") return "identical file";
  if (file.tier === "pixels") return "same picture, in another format or with other notes";
  const { transform } = file;
  const known = transform && transform !== "none found";
  if (file.tier === "burst") return known ? `another shot, ${transform}` : "another shot of the moment";
  if (known && !["identical", "same frame"].includes(transform)) return transform;
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

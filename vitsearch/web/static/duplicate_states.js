// What stands in place of the groups of duplicates: before they were looked for, meanwhile, and when there are none.

import { button, h, icon, plural } from "./dom.js";

const STAGES = { propose: "Looking for look-alikes", calibrate: "Trying synthetic copies", look: "Comparing" };

const empty = (sign, title, ...more) => h("div", { class: "empty" }, icon(sign), h("h2", {}, title), ...more);

export const noPhotos = () => empty("copies", "Nothing to compare yet", h("p", {}, "Add a folder of photos first."), h("a", { href: "/indexing" }, "Add a folder"));

export const invitation = (onfind, link) => empty("copies", "Find what you have twice",
  h("p", {}, "Copies, re-encoded, resized, cropped, turned or mirrored versions of one shot. No file is changed until you apply a plan."),
  button("Look for duplicates", onfind, { kind: "first" }), link);

export function working(progress) {
  const words = STAGES[progress?.stage] ?? "Looking for duplicates";
  const bar = h("progress", { "aria-label": words });
  if (progress?.total) {
    bar.max = progress.total;
    bar.value = progress.done;
  }
  return empty("copies", words, bar, h("p", { class: "number" }, progress?.total
    ? `${progress.done.toLocaleString("en")} of ${progress.total.toLocaleString("en")}`
    : "This takes a while with many photos; you can go elsewhere meanwhile."));
}

export const failed = (error, onfind) => empty("warning", "The search for duplicates failed", h("p", {}, error ?? ""), button("Try again", onfind, { kind: "first" }));

export const broken = (error) => empty("warning", "The duplicates cannot be shown", h("p", {}, error));

export const nothing = (photos, tier, link) => empty("check", tier ? "No group of this kind" : "Nothing is there twice",
  h("p", {}, `${plural(photos, "photo")} were compared.`), tier ? h("a", { href: "/duplicates" }, "All kinds") : null, link);

// What a plan does, to be looked at: each file that goes, large and with a red edge, by the reason for which it goes.

import { thumbnail } from "./api.js";
import { PLANNED, tellsWhatWasDone, tierNote, tierTitle, whatItIs } from "./copy_words.js";
import { button, bytes, fileName, folderOf, h, plural } from "./dom.js";

// Pictures of more files are made when they are asked for.
const AT_ONCE = 120;

/**
 * `groups`: [{tier, reason, keep, files, sidecars?}], each file {path, photo?, bytes, …}; sidecars are shown with the
 * first file of their group, and say where `to`; `outcomes`: what became of a path, if
 * the plan was applied or undone.
 */
export function planPictures(groups, outcomes = new Map()) {
  return PLANNED.map((tier) => [tier, groups.filter((group) => group.tier === tier)]).filter(([, some]) => some.length)
    .map(([tier, some]) => section(tier, some, outcomes));
}

function section(tier, groups, outcomes) {
  const going = groups.flatMap((group) => group.files.map((file) => ({ group, file })));
  const list = h("ul", { class: "going" });
  const more = h("div");
  const show = () => {
    const from = list.children.length;
    list.append(...going.slice(from, from + AT_ONCE).map(({ group, file }) => card(group, file, outcomes.get(file.path))));
    const left = going.length - list.children.length;
    more.replaceChildren(...(left ? [button(`Show ${Math.min(left, AT_ONCE).toLocaleString("en")} more of ${left.toLocaleString("en")}`, show)] : []));
  };
  show();
  return h("section", { class: "stack", "aria-label": tierTitle(tier) },
    h("h2", {}, tierTitle(tier), " ", h("span", { class: "muted small number" }, plural(going.length, "file"))), h("p", { class: "muted small" }, tierNote(tier)), list, more);
}

function sidecarsOf(group, file) {
  if (!group.sidecars?.length || file !== group.files[0]) return null;
  return h("ul", { class: "muted" }, ...group.sidecars.map((one) => h("li", {}, h("span", { class: "path" }, fileName(one.path)),
    one.to ? [one.moved ? " is now " : " becomes ", h("span", { class: "path" }, fileName(one.to)), ` · ${bytes(one.bytes)}`] : " stays where it is")));
}

function card(group, file, outcome) {
  const name = fileName(file.path);
  const known = outcome?.text ?? (file.transform || !tellsWhatWasDone(group.tier) ? whatItIs({ tier: group.tier, ...file }, group.keep) : "");
  return h("li", { class: `leaving ${outcome?.done === false ? "failed" : ""}` },
    h("div", { class: "shown" }, file.photo ? h("img", { src: thumbnail(file.photo, 320), alt: name, loading: "lazy", decoding: "async" }) : h("span", { class: "muted small" }, "no picture any more")),
    h("div", { class: "said small" },
      h("b", { class: "path" }, name), h("span", { class: "muted path" }, folderOf(file.path)),
      h("span", {}, [known, file.bytes ? bytes(file.bytes) : ""].filter(Boolean).join(" · ")),
      sidecarsOf(group, file),
      group.keep && h("span", { class: "staying" }, group.keep.photo ? h("img", { src: thumbnail(group.keep.photo, 64), alt: "", loading: "lazy" }) : null,
        h("span", {}, h("span", { class: "tag good" }, "stays"), " ", h("span", { class: "path" }, group.keep.path)))));
}

// The pictures of a group: all at once, large, or two of them. The one to keep is on the left.

import { picture, thumbnail } from "./api.js";
import { areCopies, facts, placeOf, tierTitle, whatItIs } from "./copy_words.js";
import { goes } from "./decisions.js";
import { fileName, h, icon, plural } from "./dom.js";

// Beyond this many, pictures are small enough for thumbnails.
const LARGE = 9;

/** `kept`: the position of the file that stays; `at`: the one that is looked at; `decided`: whether somebody has said so. */
export function copies(group, { kept, at, decided, onchoose, onkeep }) {
  const marked = areCopies(group.tier);
  const order = [kept, ...group.files.keys()].filter((one, place, all) => all.indexOf(one) === place);
  const figures = order.map((number) => {
    const file = group.files[number];
    const stays = !goes(group, number, kept);
    const name = fileName(file.path);
    return h("figure", { class: `copy ${!marked ? "" : stays ? "stays" : "goes"}`, "aria-current": String(number === at) },
      h("button", { type: "button", class: "look", "aria-label": `${name}: compare`, onclick: () => onchoose(number) },
        h("img", { src: order.length > LARGE ? thumbnail(file.photo, 320) : picture(file.photo), alt: name, decoding: "async", loading: "lazy" })),
      h("figcaption", {},
        h("span", { class: "line" }, marked ? tag(stays, decided) : null, h("b", { class: "path" }, name)),
        h("span", { class: "small" }, number === kept ? "" : whatItIs(file, group.files[kept])),
        h("span", { class: "muted small path", title: file.path }, placeOf(file.path)),
        h("span", { class: "muted small number" }, facts(file)),
        !marked || number === kept ? null : h("button", { type: "button", class: "link small", onclick: () => onkeep(number) }, "Keep this one instead")));
  });
  return h("div", { class: `copies many-${Math.min(figures.length, 7)}` }, figures[0], h("div", { class: "others" }, ...figures.slice(1)));
}

/** Two files on the stage, what is known of each below, and the other files of a larger group. */
export function pair(stage, group, { kept, other, mode, decided, onchoose }) {
  const marked = areCopies(group.tier);
  const shown = [kept, other].map((at) => {
    const file = group.files[at];
    const name = fileName(file.path);
    return {
      source: picture(file.photo), width: file.width || 4, height: file.height || 3, name,
      plate: () => [...(marked ? [tag(!goes(group, at, kept), decided)] : []), h("b", {}, name)],
    };
  });
  stage.show(shown[0], shown[1], mode);
  const caption = (at) => {
    const file = group.files[at];
    return h("div", { class: `caption ${marked ? (goes(group, at, kept) ? "goes" : "stays") : ""}` }, h("b", { class: "path" }, fileName(file.path)),
      at === kept ? null : h("span", {}, whatItIs(file, group.files[kept])), h("span", { class: "muted path", title: file.path }, placeOf(file.path)), h("span", { class: "muted number" }, facts(file)));
  };
  const strip = h("div", { class: "strip members", role: "group", "aria-label": "Files of this group" }, ...group.files.map((file, at) => h("button", {
    type: "button", class: goes(group, at, kept) ? "" : "stays", "aria-pressed": String(at === other), "aria-label": fileName(file.path), onclick: () => onchoose(at),
  }, h("img", { src: thumbnail(file.photo, 64), alt: "" }))));
  return [stage.element, h("div", { class: "captions small" }, caption(kept), caption(other)), ...(group.files.length > 2 ? [strip] : [])];
}

/** A group in the list of all groups. */
export function groupRow(group, { at, current, decision, onopen }) {
  const words = { keep: "decided", skip: "skipped" }[decision?.kind];
  return h("button", { type: "button", "aria-current": String(current), data: { at }, onclick: onopen },
    h("img", { src: thumbnail(group.files[0].photo, 56), alt: "", loading: "lazy", decoding: "async" }),
    h("span", { class: "small" }, h("span", { class: "name" }, fileName(group.keep)),
      h("span", { class: "muted number" }, `${tierTitle(group.tier)}, ${plural(group.files.length, "file")}`), words ? h("span", { class: "out" }, `, ${words}`) : null),
    h("span", { class: "done" }, decision?.kind === "skip" ? h("span", { class: "muted small" }, "skipped") : decision ? icon("check") : null));
}

const tag = (stays, decided) => h("span", { class: `tag ${stays ? "good" : "bad"}` }, stays ? (decided ? "stays" : "keep") : (decided ? "goes" : "would go"));

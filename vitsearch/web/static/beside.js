// What is in no group and in no plan: pictures that contain others, and pages that differ in a detail or a colour.

import { get, picture } from "./api.js";
import { fileName, folderOf, h, icon } from "./dom.js";

const KINDS = {
  contains: ["Pictures that contain others", "Collages, panoramas and their parts: each shows something that the other does not. All of them stay."],
  alike: ["Alike, but not the same", "Pages, charts and screenshots that differ in a detail, and one thing in two colours. All of them stay."],
};

export async function besidePage() {
  const found = await get("/api/duplicates/beside", { limit: 200 });
  const parts = Object.entries(KINDS).filter(([kind]) => found[kind].length).map(([kind, [title, words]]) =>
    h("section", { class: "stack" }, h("h2", {}, title), h("p", { class: "muted" }, words),
      ...found[kind].map((pair) => h("div", { class: "beside" }, side(pair.first), side(pair.second), h("p", { class: "small" }, h("b", { class: "path" }, fileName(pair.first.path)), `: ${pair.reason}`)))));
  if (!parts.length) {
    return h("div", { class: "empty" }, icon("check"), h("h2", {}, "Nothing of this kind"),
      h("p", {}, "No picture contains another one, and no two differ in a detail only."), h("a", { href: "/duplicates" }, "All groups"));
  }
  return h("div", { class: "page" }, ...parts);
}

const side = (file) => h("figure", { class: "copy" },
  h("a", { class: "look", href: `/photo/${file.photo}` }, h("img", { src: picture(file.photo), alt: fileName(file.path), loading: "lazy", decoding: "async" })),
  h("figcaption", {}, h("b", { class: "path" }, fileName(file.path)), h("span", { class: "muted small path" }, folderOf(file.path)),
    h("span", { class: "muted small number" }, `${file.width} × ${file.height}`)));

// What is done with several photos at once.

import { post, query } from "./api.js";
import { chooseFolder } from "./add_folder.js";
import { announce, bytes, button, confirmed, dialog, h, icon, plural, select, toast } from "./dom.js";
import { favourites } from "./favourites.js";
import { go } from "./navigation.js";
import { forget, libraryFacets } from "./state.js";

// An address holds so many examples.
const MOST_EXAMPLES = 50;

/** @typedef {number[]} Ids */

/** @param {Ids} ids */
export function findSimilar(ids) {
  const step = Math.max(1, ids.length / MOST_EXAMPLES);
  const examples = Array.from({ length: Math.min(ids.length, MOST_EXAMPLES) }, (_, at) => ids[Math.floor(at * step)]);
  go(`/search${query({ photo: examples })}`);
  if (examples.length < ids.length) toast(`Searching with ${MOST_EXAMPLES} of the ${plural(ids.length, "photo")}, spread over all of them`);
}

/** All become favourites, unless they all are. @param {Ids} ids */
export async function favourite(ids) {
  const on = ids.some((id) => !favourites.has(id));
  try {
    await favourites.put(ids, on);
    toast(on ? `${plural(ids.length, "photo")} among your favourites` : `${plural(ids.length, "photo")} no favourites any more`,
      { action: ["Undo", () => favourites.put(ids, !on).catch((error) => toast(error.message, { bad: true }))] });
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

/** @param {Ids} ids */
export async function addLabel(ids) {
  const heads = await libraryFacets().then((facets) => facets.heads, () => []);
  if (!heads.length) {
    go(`/labels${query({ photo: ids.slice(0, MOST_EXAMPLES) })}`);
    return;
  }
  dialog(`Label ${plural(ids.length, "photo")}`, (close) => {
    let head = heads[0];
    const known = h("datalist", { id: "known-labels" });
    const fill = () => known.replaceChildren(...head.labels.map((one) => h("option", { value: one.label })));
    fill();
    const words = h("input", { class: "field grow", type: "text", list: "known-labels", "aria-label": "Label", placeholder: "Label", autocomplete: "off", maxlength: "500", autofocus: true });
    const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
    const form = h("form", {
      class: "inside",
      onsubmit: (event) => {
        event.preventDefault();
        say(ids, head.name, words.value.trim(), true).then(close, (error) => { problem.textContent = error.message; problem.hidden = false; });
      },
    },
    h("div", { class: "row" }, heads.length > 1 ? select("Labels of", heads.map((one) => [one.name, one.name]), head.name, (name) => { head = heads.find((one) => one.name === name); fill(); }) : null, words, known),
    problem, h("div", { class: "row" }, h("span", { class: "grow" }), button("Add label", () => {}, { kind: "first", type: "submit" })));
    return form;
  });
}

/** @param {Ids} ids */
export async function takeLabel(ids) {
  try {
    const { labels } = await post("/api/selection/labels-of", { photos: ids });
    if (!labels.length) {
      toast(ids.length === 1 ? "This photo has no label" : "None of these photos has a label");
      return;
    }
    dialog("Which label is wrong?", (close) => h("div", { class: "inside" },
      h("p", { class: "muted" }, "It is taken from the selected photos, and counts as a correction when the labels are learnt again."),
      h("ul", { class: "stack" }, ...labels.map((one) => h("li", {}, button([icon("unlabel"), one.label, h("span", { class: "muted number" }, `${one.head}, ${plural(one.count, "photo")}`)], async () => {
        close();
        await say(ids, one.head, one.label, false).catch((error) => toast(error.message, { bad: true }));
      }))))));
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

async function say(ids, head, label, has) {
  const { changed } = await post("/api/selection/labels", { photos: ids, head, label, has });
  forget();
  toast(changed ? `${plural(changed, "photo")} ${has ? "labelled" : "no longer labelled"} ${label}` : "Nothing has changed");
}

/** @param {Ids} ids */
export function copy(ids) {
  dialog(`Copy ${plural(ids.length, "photo")}`, (close) => {
    let how = "copy";
    const folder = h("input", { class: "field grow", type: "text", "aria-label": "Folder to copy to", placeholder: "/home/me/Selection", autocomplete: "off", spellcheck: "false" });
    const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
    const send = button("Copy", () => {}, { kind: "first", type: "submit" });
    return h("form", {
      class: "inside",
      onsubmit: async (event) => {
        event.preventDefault();
        problem.hidden = true;
        send.disabled = true;
        try {
          const done = await post("/api/selection/copies", { photos: ids, folder: folder.value.trim(), how });
          close();
          const left = done.left_out.length ? `; ${plural(done.left_out.length, "file")} not: ${done.left_out[0].reason}` : "";
          toast(`${plural(done.files.length, "file")} in ${done.folder}${left}`, { bad: done.left_out.length > 0 });
        } catch (error) {
          problem.textContent = error.message;
          problem.hidden = false;
        }
        send.disabled = false;
      },
    },
    h("div", { class: "row" }, folder, button([icon("folder"), "Browse"], () => chooseFolder(folder.value.trim(), (path) => { folder.value = path; send.focus(); }))),
    h("div", { class: "row" },
      select("What is made there", [["copy", "Copies"], ["symlink", "Links that point to the photos"], ["hardlink", "Second names of the same files (same drive)"]], how,
        (value) => { how = value; send.textContent = value === "copy" ? "Copy" : "Link"; }),
      h("span", { class: "grow" }), send),
    problem,
    h("p", { class: "muted small" }, "Photos stay where they are. A folder that is not there yet is made; nothing in it is written over."));
  });
}

/** @param {Ids} ids */
export async function download(ids) {
  try {
    const { token, files, bytes: size } = await post("/api/selection/archives", { photos: ids });
    const link = h("a", { href: `/api/selection/archives/${token}`, download: "photos.zip", hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
    announce(`Downloading ${plural(files, "file")}, ${bytes(size)}`);
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

/** @param {Ids} ids */
export async function reveal([id]) {
  try {
    await post(`/api/photos/${id}/reveal`, {});
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

/** @param {Ids} ids */
export async function remove(ids) {
  const sure = await confirmed(`Plan to move ${plural(ids.length, "photo")} to the trash?`,
    ["All files of these photos are put into a plan. You see it before anything is moved, and can undo it afterwards."], "Make the plan");
  if (!sure) return;
  try {
    const plan = await post("/api/selection/plan", { photos: ids });
    go(`/duplicates?plan=${encodeURIComponent(plan.id)}`);
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

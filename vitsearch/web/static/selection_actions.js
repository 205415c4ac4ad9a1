// What is done with several photos at once.

import { post, query } from "./api.js";
import { chooseFolder } from "./add_folder.js";
import { announce, bytes, button, confirmed, dialog, h, icon, plural, select, toast } from "./dom.js";
import { favourites } from "./favourites.js";
import { go } from "./navigation.js";

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
          const left = done.failed.length ? `; ${plural(done.failed.length, "file")} not: ${done.failed[0].reason}` : "";
          const there = done.there.length ? `, ${done.there.length} there already` : "";
          toast(`${plural(done.written.length, "file")} in ${done.folder}${there}${left}`, { bad: done.failed.length > 0 });
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

// The one field at the top of every view: words are written into it; pictures are chosen, dropped or pasted anywhere.

import { query, upload } from "./api.js";
import { announce, toast } from "./dom.js";
import { filtersOf } from "./filters.js";
import { go } from "./navigation.js";

const input = /** @type {HTMLInputElement} */ (document.getElementById("find-words"));
const files = /** @type {HTMLInputElement} */ (document.getElementById("find-files"));
const drop = document.getElementById("drop");

export const focusField = () => { input.focus(); input.select(); };
export const fieldSays = (text) => { if (document.activeElement !== input || text) input.value = text; };

const phone = matchMedia("(max-width: 46rem)");
const narrow = matchMedia("(max-width: 76rem)");
function placeholder() {
  input.placeholder = phone.matches ? "Describe a photo" : narrow.matches ? "Describe or drop a photo" : "Describe, drop, paste, or choose a photo";
}
for (const width of [phone, narrow]) width.addEventListener("change", placeholder);
placeholder();

/** Words join the examples of a search that is on, and keep the filters of what is shown. */
function searchWords(text) {
  const here = new URL(location.href);
  if (here.pathname === "/search") {
    const parameters = new URLSearchParams(here.search);
    parameters.delete("k");
    if (text) parameters.set("text", text);
    else parameters.delete("text");
    go(`/search${parameters.size ? `?${parameters}` : ""}`);
  } else if (text) {
    go(`/search${query({ text, ...(here.pathname === "/" ? filtersOf(here.searchParams) : {}) })}`);
  } else go("/search");
}

/**
 * Search for photos like these pictures; `join` has them join the examples of the search that is on.
 * @param {File[]} pictures
 * @param {{ join?: boolean }} options
 */
export async function searchPictures(pictures, { join = false } = {}) {
  const tokens = [];
  announce(pictures.length === 1 ? "Looking at the picture" : "Looking at the pictures");
  document.body.classList.add("looking");
  for (const picture of pictures) {
    try {
      tokens.push((await upload(picture)).token);
    } catch (error) {
      toast(`${picture.name || "The picture"}: ${error.message}`, { bad: true });
    }
  }
  document.body.classList.remove("looking");
  files.value = "";
  if (!tokens.length) return;
  const parameters = join ? new URLSearchParams(location.search) : new URLSearchParams();
  for (const name of ["crop", "k"]) parameters.delete(name);
  for (const token of tokens) parameters.append("upload", token);
  go(`/search?${parameters}`);
}

/** The photo of this very library that is dragged, which arrives as its address (and as a file as well in some browsers). */
export const ownPhoto = (transfer) => {
  const found = /\/photo\/(\d+)|\/api\/photos\/(\d+)/.exec(transfer.getData("text/uri-list"));
  return found ? found[1] ?? found[2] : null;
};

const carriesPicture = (transfer) => [...(transfer?.types ?? [])].some((type) => type === "Files" || type === "text/uri-list");

document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  searchWords(input.value.trim());
  input.blur();
});
input.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (input.value) input.value = "";
  else input.blur();
});
document.getElementById("find-choose").addEventListener("click", () => files.click());
files.addEventListener("change", () => searchPictures([...files.files]));

let over = 0;
addEventListener("dragenter", (event) => { if (carriesPicture(event.dataTransfer)) { over += 1; drop.hidden = false; } });
addEventListener("dragleave", () => { over = Math.max(0, over - 1); drop.hidden = over === 0; });
addEventListener("dragover", (event) => { if (carriesPicture(event.dataTransfer)) event.preventDefault(); });
// In the capturing phase: whoever takes what was dropped, the sign goes.
addEventListener("drop", () => { over = 0; drop.hidden = true; }, true);
addEventListener("dragend", () => { over = 0; drop.hidden = true; });
addEventListener("drop", (event) => {
  if (event.defaultPrevented || !carriesPicture(event.dataTransfer)) return;
  event.preventDefault();
  const own = ownPhoto(event.dataTransfer);
  if (own) go(`/search?photo=${own}`);
  else if (event.dataTransfer.files.length) searchPictures([...event.dataTransfer.files]);
  else toast("Pictures of other pages cannot be fetched from here: save it, and drop the file", { bad: true });
});
addEventListener("paste", (event) => {
  const pictures = [...(event.clipboardData?.files ?? [])].filter((one) => one.type.startsWith("image/"));
  if (!pictures.length) return;
  event.preventDefault();
  searchPictures(pictures);
});

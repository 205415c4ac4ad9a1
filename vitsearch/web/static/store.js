// The page over an engine: a query in the address, its answer below.

import { get, query, upload } from "./api.js";
import { h } from "./dom.js";

const find = /** @type {HTMLFormElement} */ (document.querySelector("#find"));
const words = /** @type {HTMLInputElement} */ (document.querySelector("#find-words"));
const files = /** @type {HTMLInputElement} */ (document.querySelector("#find-files"));
const filters = /** @type {HTMLFormElement} */ (document.querySelector("#filters"));
const told = document.querySelector("#told");
const found = document.querySelector("#found");
const names = [...filters.querySelectorAll("input")].map((one) => one.name);

let asked = 0;

/** Ask what the address says, and show the answer; an answer that comes too late is not shown. */
async function show() {
  const turn = ++asked;
  const parameters = Object.fromEntries(new URLSearchParams(location.search));
  words.value = parameters.text ?? "";
  for (const name of names) field(name).value = parameters[name] ?? "";
  if (!parameters.text && !parameters.photo && !parameters.upload && !parameters.label) {
    found.replaceChildren();
    await introduce(turn);
    return;
  }
  told.textContent = "Searching …";
  try {
    const answer = await get("/api/search", parameters);
    if (turn !== asked) return;
    found.replaceChildren(...answer.results.map(match));
    told.textContent = summary(answer);
  } catch (error) {
    if (turn !== asked) return;
    found.replaceChildren();
    told.textContent = error.message;
  }
}

async function introduce(turn) {
  try {
    const store = await get("/api/store");
    if (turn === asked) told.textContent = `${store.address} answers, with vectors of ${store.model}. Drop a photo, or describe one.`;
  } catch (error) {
    if (turn === asked) told.textContent = error.message;
  }
}

function summary(answer) {
  const count = answer.results.length;
  if (!count) return "No photo fits.";
  const floor = answer.matches_above;
  const real = floor === null ? count : answer.results.filter((each) => each.score >= floor).length;
  const outstanding = floor === null ? "" : real ? `, ${real} of them stand out` : ", none of them stands out";
  return `${count} photo${count === 1 ? "" : "s"}${outstanding} (${answer.seconds.toFixed(2)} s)`;
}

function match(each) {
  const name = String(each.path).split(/[\\/]/).pop();
  const picture = h("img", {
    alt: name, loading: "lazy", decoding: "async", src: `/api/photos/${each.photo}/thumbnail`,
    onerror: () => picture.replaceWith("no picture here"),
  });
  const facts = [each.score.toFixed(3), each.taken?.slice(0, 10), each.camera].filter(Boolean).join(" · ");
  return h(
    "li", {},
    h("button", { type: "button", "aria-label": `Photos like ${name}`, title: "Photos like this one", onclick: () => go({ photo: each.photo }) }, picture),
    h("span", { class: "name", title: each.path }, name),
    h("span", { class: "facts" }, facts),
  );
}

/** @returns {HTMLInputElement} */
function field(name) {
  return /** @type {any} */ (filters.elements.namedItem(name));
}

/** Go to another query, with the filters as they stand. */
function go(wanted) {
  const kept = Object.fromEntries(names.map((name) => [name, field(name).value.trim()]));
  history.pushState(null, "", `/${query({ ...wanted, ...kept })}`);
  show();
}

async function bring(image) {
  if (!image) return;
  told.textContent = "Looking at the picture …";
  try {
    go({ upload: (await upload(image)).token });
  } catch (error) {
    told.textContent = error.message;
  }
}

find.addEventListener("submit", (event) => {
  event.preventDefault();
  if (words.value.trim()) go({ text: words.value.trim() });
});
filters.addEventListener("submit", (event) => {
  event.preventDefault();
  const now = Object.fromEntries(new URLSearchParams(location.search));
  if (words.value.trim() && words.value.trim() !== now.text) go({ text: words.value.trim() });
  else go({ text: now.text, photo: now.photo, upload: now.upload, head: now.head, label: now.label });
});
document.querySelector("#find-choose").addEventListener("click", () => files.click());
files.addEventListener("change", () => bring(files.files[0]));
addEventListener("paste", (event) => bring([...event.clipboardData.files].find((each) => each.type.startsWith("image/"))));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  bring(event.dataTransfer.files[0]);
});
addEventListener("popstate", show);
show();

// The frame around the views: addresses, keys, the theme, news from the server.

import { listen } from "./api.js";
import { announce, dialog, duration, forgetErrors, h, icon, keycap, plural, toast } from "./dom.js";
import { DuplicatesView } from "./duplicates.js";
import { fieldSays, focusField } from "./field.js";
import { FoldersView } from "./folders.js";
import { LabelsView } from "./labels.js";
import { LibraryView } from "./library.js";
import { go, onNavigate } from "./navigation.js";
import { NowhereView } from "./nowhere.js";
import { PhotoView } from "./photo.js";
import { SearchView } from "./search.js";
import { forget } from "./state.js";
import { ThemesView } from "./themes.js";

const main = document.getElementById("main");
const makers = {
  library: LibraryView, search: SearchView, duplicates: DuplicatesView, labels: LabelsView, indexing: FoldersView, photo: PhotoView,
  nowhere: NowhereView, themes: ThemesView,
};
const views = {};
let current = null;

function viewName(path) {
  const [, first, ...rest] = path.split("/");
  if (first === "" && !rest.length) return "library";
  if (first === "photo") return rest.length === 1 && /^\d+$/.test(rest[0]) ? "photo" : "nowhere";
  return Object.hasOwn(makers, first) && !["library", "nowhere"].includes(first) && !rest.length ? first : "nowhere";
}

function show() {
  const url = new URL(location.href);
  const name = viewName(url.pathname);
  const view = (views[name] ??= makeView(name));
  const changed = view !== current;
  if (changed) {
    current?.hide?.();
    for (const other of Object.values(views)) other.element.hidden = other !== view;
    current = view;
  }
  for (const link of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-view]"))) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view.title} · vitsearch`;
  fieldSays(name === "search" ? url.searchParams.get("text") ?? "" : "");
  forgetErrors();
  view.show(url, { changed });
  if (changed) {
    announce(view.title);
    if (!view.focus?.()) main.focus({ preventScroll: true });
  }
}

function makeView(name) {
  const view = new makers[name]();
  view.element.classList.add("view");
  main.append(view.element);
  return view;
}

onNavigate(show);
addEventListener("popstate", show);
document.addEventListener("click", (event) => {
  const link = /** @type {any} */ (event.target).closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.target) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.hash || url.pathname.startsWith("/api/") || link.hasAttribute("download")) return;
  event.preventDefault();
  go(url.pathname + url.search);
});

// Keys

const everywhere = [
  ["/", "Describe what to search for"], ["Ctrl v", "Search for a copied picture"], ["?", "Show these keys"], ["g p", "Photos"], ["g t", "Themes"], ["g d", "Duplicates"], ["g l", "Labels"], ["g f", "Folders"],
];
const places = { p: "/", d: "/duplicates", t: "/themes", l: "/labels", f: "/indexing" };
let waitsForPlace = 0;

document.addEventListener("keydown", (event) => {
  const writes = /** @type {any} */ (event.target).closest?.("input, select, textarea, dialog");
  if ((event.ctrlKey || event.metaKey) && event.key === "a" && current?.selectAll && !writes) {
    event.preventDefault();
    current.selectAll();
    return;
  }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  const target = /** @type {Element} */ (event.target);
  if (target.closest?.("input:not([type=checkbox], [type=radio]), select, textarea, [role=slider]")) return;
  // Space and Enter belong to the button that has the focus, but Space not to a row that is open already.
  const focused = [" ", "Enter"].includes(event.key) && target.closest?.("button, a, summary");
  if (focused && !(event.key === " " && focused.matches('button[aria-current="true"]'))) return;
  if (Date.now() - waitsForPlace < 1500 && places[event.key]) {
    waitsForPlace = 0;
    event.preventDefault();
    go(places[event.key]);
    return;
  }
  const act = current?.press?.[event.key] ?? current?.press?.[event.key.toLowerCase()];
  if (act) {
    if (act(event) !== false) event.preventDefault();
  } else if (event.key === "/") {
    event.preventDefault();
    focusField();
  } else if (event.key === "?") showKeys();
  else if (event.key === "g") waitsForPlace = Date.now();
});

function keyList(title, keys) {
  const list = h("dl");
  for (const [key, words] of keys) {
    list.append(h("dt", {}, ...key.split(" ").map((one) => h("kbd", {}, keycap(one))).flatMap((one, at) => (at ? [" ", one] : [one]))), h("dd", {}, words));
  }
  return h("section", { class: "stack" }, h("h3", {}, title), list);
}

function showKeys() {
  dialog("Keyboard", () => h("div", { class: "inside" }, h("div", { class: "keys" },
    current?.keyHelp ? keyList(current.title, current.keyHelp) : null, keyList("Everywhere", everywhere))));
}
document.getElementById("help").addEventListener("click", showKeys);

// Light and dark

const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light");
}
dark.addEventListener("change", paint);
document.getElementById("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  if ((next === "dark") === dark.matches) localStorage.removeItem("theme");
  else localStorage.setItem("theme", next);
  paint();
  announce(`${next} colours`);
});
paint();

// News from the server

const running = document.getElementById("running");
function showRunning(progress) {
  running.hidden = !progress;
  if (!progress) return;
  const { stage, done, total, seconds_left: left } = progress;
  const part = total ? `${Math.floor((100 * done) / total)} %` : done ? done.toLocaleString("en") : "";
  running.replaceChildren(icon("folder"), `${stage === "scan" ? "Looking for photos" : "Indexing"} ${part}${left ? `, ${duration(left)} left` : ""}`);
}
listen({
  progress: (progress) => { showRunning(progress); views.indexing?.onProgress(progress); },
  idle: () => { showRunning(null); views.indexing?.onIdle(); },
  done: (report) => {
    showRunning(null);
    forget();
    views.indexing?.onDone(report);
    if (current !== views.indexing && report.embedded + report.arrived) toast(`${plural(report.embedded + report.arrived, "new photo")} can be found now`);
    current?.changed?.();
  },
  failed: ({ error }) => { showRunning(null); views.indexing?.onFailed(error); forget(); current?.changed?.(); toast(error, { bad: true }); },
  changed: () => {
    forget();
    for (const view of Object.values(views)) if (view !== current) view.isStale = true;
    current?.changed?.();
  },
});

show();

// Making elements, speaking to the reader, and writing numbers and dates as people do.

const iconSheet = new URL("icons.svg", import.meta.url).pathname;

/**
 * An element: properties by name, `on…` listeners, `class`, `data`, ARIA and plain attributes, then children.
 * @param {string} tag
 * @param {Record<string, any>} attributes
 * @param {...any} children nodes, words, lists of them; nothing where one is null or false
 * @returns {any}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in element && !name.includes("-") && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `${iconSheet}#${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button with words, and the key that does the same.
 * @param {string | Node | (string | Node)[]} words
 * @param {(event: any) => void} onclick
 * @param {Record<string, any> & { kind?: string, key?: string, pressed?: boolean }} options
 */
export function button(words, onclick, { kind = "", key, pressed, ...more } = {}) {
  return h(
    "button",
    {
      type: "button", class: `button ${kind}`, onclick,
      "aria-pressed": pressed === undefined ? undefined : String(pressed),
      "aria-keyshortcuts": key, ...more,
    },
    words, key ? h("kbd", { "aria-hidden": "true" }, keycap(key)) : null,
  );
}

/** What stands on a key: a small l looks like a 1. */
export const keycap = (key) => (key.length === 1 ? key.toUpperCase() : key);

/** A switch: on or off, with its words beside it. */
export function toggle(words, on, onchange) {
  const element = h("button", {
    type: "button", class: "switch", role: "switch", "aria-checked": String(on),
    onclick: () => onchange(element.getAttribute("aria-checked") !== "true"),
  }, h("span", { class: "track", "aria-hidden": "true" }), words);
  return element;
}

export function iconButton(name, words, onclick, more = {}) {
  return h("button", { type: "button", class: "icon", "aria-label": words, title: words, onclick, ...more }, icon(name));
}

/** One choice of a few, side by side. `choices`: [value, words]. */
export function segments(label, choices, chosen, onchoose) {
  const group = h("div", { class: "segments", role: "group", "aria-label": label });
  for (const [value, words] of choices) {
    group.append(h("button", {
      type: "button", "aria-pressed": String(value === chosen), data: { value },
      onclick: () => {
        for (const other of group.children) other.setAttribute("aria-pressed", String(other.dataset.value === value));
        onchoose(value);
      },
    }, words));
  }
  return group;
}

export function select(label, options, chosen, onchange, more = {}) {
  const field = h("select", { class: "field", "aria-label": label, onchange: () => onchange(field.value), ...more });
  for (const [value, words] of options) field.append(h("option", { value }, words));
  field.value = chosen;
  return field;
}

let speaking = 0;
/** Tell a screen reader, without moving the focus. */
export function announce(text) {
  const live = document.getElementById("live");
  clearTimeout(speaking);
  live.textContent = "";
  speaking = setTimeout(() => { live.textContent = text; }, 60);
}

/**
 * A short message at the bottom; `action` is [words, what it does], as in "Undo".
 * @param {string} text
 * @param {{ bad?: boolean, action?: [string, () => void] }} options
 */
export function toast(text, { bad = false, action } = {}) {
  const box = document.getElementById("toasts");
  const line = h("div", { class: `toast ${bad ? "bad" : ""}`, role: bad ? "alert" : "status" }, h("span", {}, text));
  if (action) line.append(h("button", { type: "button", onclick: () => { line.remove(); action[1](); } }, action[0]));
  line.append(h("button", { type: "button", "aria-label": "Close this message", onclick: () => line.remove() }, "×"));
  while (box.children.length > 2) box.firstChild.remove();
  box.append(line);
  line.dataset.since = String(performance.now());
  setTimeout(() => line.remove(), bad ? 12000 : 6000);
}

/** Take away what went wrong on a page that was left; what has just happened stays. */
export function forgetErrors() {
  for (const line of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".toast.bad"))) {
    if (performance.now() - Number(line.dataset.since) > 1500) line.remove();
  }
}

/**
 * A dialog that gives the focus back when it closes.
 * @param {string} title
 * @param {(close: () => void) => any} build its content
 * @param {{ kind?: string, onclose?: () => void }} options
 */
export function dialog(title, build, { kind = "", onclose } = {}) {
  const before = /** @type {HTMLElement | null} */ (document.activeElement);
  const close = () => box.close();
  const box = h("dialog", { class: kind, "aria-label": title },
    h("div", { class: "head" }, h("h2", {}, title), iconButton("close", "Close", close)));
  box.append(...[build(close)].flat().filter(Boolean));
  box.addEventListener("close", () => {
    box.remove();
    onclose?.();
    if (before?.isConnected) before.focus({ preventScroll: true });
  });
  box.addEventListener("click", (event) => { if (event.target === box) close(); });
  document.body.append(box);
  box.showModal();
  return box;
}

/** Ask before something that changes files; answers with true or false. */
export function confirmed(title, words, yes) {
  return new Promise((resolve) => {
    let answer = false;
    dialog(title, (close) => [
      h("div", { class: "inside" }, ...[words].flat().map((line) => h("p", {}, line))),
      h("div", { class: "foot" },
        button("Cancel", close),
        button(yes, () => { answer = true; close(); }, { kind: "first", autofocus: true })),
    ], { onclose: () => resolve(answer) });
  });
}

export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

export function bytes(count) {
  let value = count;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 1000) return unit === "B" ? `${value} B` : `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

const months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
/** Camera time has no zone: it is shown as it was written. */
export function moment(taken) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d))?/.exec(taken ?? "");
  if (!parts) return taken || "no date";
  const [, year, month, day, hour, minute] = parts;
  return `${Number(day)} ${months[Number(month) - 1]} ${year}${hour ? `, ${hour}:${minute}` : ""}`;
}

/** The day alone, short: 3 May 2024, 16 Dec 2010. */
export function day(taken) {
  const [number, month, year] = moment(taken).split(",")[0].split(" ");
  return year ? `${number} ${month.slice(0, 3)} ${year}` : moment(taken);
}

export const fileName = (path) => path.split(/[\\/]/).pop();
export const folderOf = (path) => path.slice(0, Math.max(1, path.length - fileName(path).length - 1));
export const percent = (share, digits = 0) => `${(100 * share).toFixed(digits)} %`;
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// One photo, large: its facts, its files, what is like it, and what the model looked at.

import { get, heatmap, picture, post, query, thumbnail } from "./api.js";
import { drawBox } from "./boxes.js";
import { alternative, remember } from "./captions.js";
import { announce, bytes, fileName, folderOf, h, icon, iconButton, moment, percent, toast } from "./dom.js";
import { favourites } from "./favourites.js";
import { findLike, go, sequence } from "./navigation.js";
import { nowhere } from "./nowhere.js";
import { favourite } from "./selection_actions.js";
import { forget } from "./state.js";

// Below these probabilities, a label is said with "probably" and "maybe".
const SURE = 0.85;
const LIKELY = 0.6;

const mapLink = ({ latitude, longitude }) =>
  `https://www.openstreetmap.org/?mlat=${latitude.toFixed(5)}&mlon=${longitude.toFixed(5)}#map=15/${latitude.toFixed(5)}/${longitude.toFixed(5)}`;
const positionName = ({ latitude, longitude }) => (latitude == null || longitude == null ? null
  : `${Math.abs(latitude).toFixed(4)}° ${latitude < 0 ? "S" : "N"}, ${Math.abs(longitude).toFixed(4)}° ${longitude < 0 ? "W" : "E"}`);

export class PhotoView {
  title = "Photo";
  keyHelp = [
    ["← →", "Previous and next photo"], ["f", "Find photos like it"], ["b", "Draw a box, and search for what is in it"],
    ["s", "Favourite"], ["h", "Heat map: what the model looked at"], ["o", "Show the file in the file manager"], ["Esc", "Back"],
  ];

  constructor() {
    this.frame = h("div", { class: "frame" });
    this.picture = h("div", { class: "picture" }, this.frame);
    this.back = iconButton("left", "Previous photo", () => this.#step(-1), { class: "icon step back", "aria-keyshortcuts": "ArrowLeft" });
    this.on = iconButton("right", "Next photo", () => this.#step(1), { class: "icon step on", "aria-keyshortcuts": "ArrowRight" });
    this.picture.append(this.back, this.on);
    this.place = h("span", { class: "muted small number" });
    this.heat = this.#tool("heat", "Heat map", "h", () => this.#toggleHeat());
    this.heat.setAttribute("aria-pressed", "false");
    this.heart = this.#tool("heart", "Favourite", "s", () => favourite([this.id]));
    this.strip = h("div", { class: "strip", role: "group", "aria-label": "Photos like this one" });
    this.near = h("section", { class: "near" }, h("h2", {}, "Like this one"), this.strip);
    this.facts = h("div", { class: "facts", role: "complementary", "aria-label": "About this photo", tabindex: "0" });
    this.photoElement = h("div", { class: "photo" },
      h("div", { class: "stage" },
        h("div", { class: "stage-tools" },
          this.#tool("left", "Back", "Escape", () => this.#leave()), this.place, h("span", { class: "gap" }),
          this.#tool("like", "Find similar", "f", () => findLike(this.id)),
          this.#tool("box", "Find a part", "b", () => this.#box()),
          this.heart, this.heat,
          this.#tool("reveal", "Show file", "o", () => this.#reveal())),
        this.picture, this.near),
      this.facts);
    this.missing = h("div", { class: "scroll", hidden: true });
    this.element = h("div", {}, this.photoElement, this.missing);
    favourites.follow(() => this.#showHeart());
    this.press = {
      ArrowLeft: () => this.#step(-1), ArrowRight: () => this.#step(1), f: () => findLike(this.id), b: () => this.#box(),
      h: () => this.#toggleHeat(), s: () => favourite([this.id]), o: () => this.#reveal(), Escape: () => this.#leave(),
    };
    new ResizeObserver(() => this.#fit()).observe(this.picture);
  }

  #tool(name, words, key, act) {
    return h("button", { type: "button", class: "verb", title: `${words} (${key === "Escape" ? "Esc" : key})`, "aria-keyshortcuts": key, onclick: act }, icon(name), h("span", {}, words));
  }

  show(url) {
    this.#load(Number(url.pathname.split("/")[2]));
  }

  hide() {
    this.loading?.abort();
    this.id = null;
  }

  changed() {
    this.#load(this.id);
  }

  async #load(id) {
    this.loading?.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    this.id = id;
    this.heatImage = null;
    this.heat.setAttribute("aria-pressed", "false");
    this.#findPlace(signal);
    this.#showHeart();
    try {
      const photo = await get(`/api/photos/${id}`, {}, signal);
      this.#isHere(true);
      favourites.learn(id, photo.favourite);
      this.photo = photo;
      const name = photo.files.length ? fileName(photo.files[0].path) : `Photo ${id}`;
      remember(id, name, photo.taken);
      document.title = `${name} · vitsearch`;
      this.#paint(photo, name);
      this.#tell(photo, name);
      announce(`${name}${this.place.textContent ? `, ${this.place.textContent}` : ""}`);
      await this.#findNear(signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.photo = null;
      this.frame.replaceChildren();
      this.#isHere(false);
      document.title = "Not in the library · vitsearch";
      this.missing.replaceChildren(error.status === 404
        ? nowhere("This photo is not in the library", "It was removed from the library, or the link is of another one. Its file may still be on the disk: an index run brings it back.")
        : nowhere("This photo cannot be shown", error.message));
      announce("This photo is not in the library");
    }
  }

  #isHere(here) {
    this.photoElement.hidden = !here;
    this.missing.hidden = here;
  }

  #showHeart() {
    const on = favourites.has(this.id);
    this.heart.setAttribute("aria-pressed", String(on));
    this.heart.firstChild.replaceWith(icon(on ? "heart-full" : "heart"));
  }

  #paint(photo, name) {
    const preview = h("img", { class: "preview", alt: "", src: thumbnail(photo.photo, 160) });
    const whole = h("img", { alt: name, src: picture(photo.photo) });
    whole.onerror = () => { whole.remove(); preview.alt = name; };
    this.frame.replaceChildren(preview, whole);
    this.#fit();
  }

  /** The whole picture in sight, but no pixel larger than two. */
  #fit() {
    if (!this.photo) return;
    const style = getComputedStyle(this.picture);
    const width = this.picture.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const height = this.picture.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    const scale = Math.max(0, Math.min(width / this.photo.width, height / this.photo.height, Math.max(1, 2 / devicePixelRatio)));
    this.frame.style.width = `${this.photo.width * scale}px`;
    this.frame.style.height = `${this.photo.height * scale}px`;
  }

  #tell(photo, name) {
    const place = positionName(photo);
    const home = photo.files.find((file) => file.state === "present") ?? photo.files[0];
    const first = [
      ["calendar", photo.taken ? moment(photo.taken) : "No date", photo.taken ? this.#dateNote(photo) : `File of ${moment(photo.files[0]?.modified?.slice(0, 16))}`],
      place ? ["place", place, h("a", { href: mapLink(photo), target: "_blank", rel: "noopener noreferrer" }, "Open on a map")] : null,
      home ? ["folder", h("a", { href: `/${query({ folder: folderOf(home.path) })}` }, fileName(folderOf(home.path)) || folderOf(home.path)), h("span", { class: "path" }, folderOf(home.path))] : null,
    ].filter(Boolean).map(([name, words, note]) => h("li", {}, icon(name), h("div", {}, h("b", {}, words), h("div", { class: "muted small" }, note))));
    const facts = [
      ["Camera", photo.camera],
      ["Lens", photo.lens],
      ["Rating", photo.rating == null ? null : photo.rating < 0 ? "rejected" : "★".repeat(photo.rating)],
      ["Keywords", photo.keywords.join(", ")],
      ["Caption", photo.caption],
      ["Size", `${photo.width} × ${photo.height} pixels`],
      ["Format", photo.format],
      ["Altitude", photo.altitude == null ? null : `${Math.round(photo.altitude)} m`],
      ["Software", photo.software],
    ].filter(([, value]) => value);
    const states = { missing: ["Not there any more", "bad"], offline: ["Drive not here", "warm"] };
    const files = photo.files.map((file, at) => h("li", { class: "file" },
      h("div", {},
        h("b", { class: "path" }, fileName(file.path)), h("div", { class: "muted path" }, folderOf(file.path)),
        h("div", { class: "muted number" }, file.size == null ? "" : bytes(file.size), " ",
          states[file.state] ? h("span", { class: `tag ${states[file.state][1]}` }, states[file.state][0]) : null)),
      file.state === "present" ? iconButton("reveal", `Show ${fileName(file.path)} in the file manager`, () => this.#reveal(at)) : null));
    const labels = photo.labels.map((one) => this.#label(one));
    this.facts.replaceChildren(...[
      h("h1", {}, name),
      h("ul", { class: "first-facts" }, ...first),
      labels.length ? h("section", {}, h("h2", {}, "Labels"), h("ul", { class: "photo-labels" }, ...labels)) : null,
      h("dl", {}, ...facts.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)])),
      h("section", {}, h("h2", {}, files.length === 1 ? "Its file" : `Its ${files.length} files`), h("ul", {}, ...files)),
    ].filter(Boolean));
  }

  #dateNote = (photo) => ({ name: "From the file's name" }[photo.taken_from] ?? "");

  /** What a head is not sure of looks like a question, and can be answered. */
  #label(one) {
    const words = one.corrected || one.probability >= SURE ? "" : one.probability >= LIKELY ? "probably " : "maybe ";
    const chip = h("li", { class: `photo-label ${words ? "unsure" : ""}`, title: one.corrected ? `${one.head}: you said so` : `${one.head}: ${percent(one.probability)}` },
      h("a", { href: `/search${query({ head: one.head, label: one.label })}` }, words, one.label),
      one.corrected ? icon("check") : null);
    if (!one.corrected) {
      chip.append(iconButton("check", `It is ${one.label}`, () => this.#say(one, true)), iconButton("close", `It is not ${one.label}`, () => this.#say(one, false)));
    }
    return chip;
  }

  async #say({ head, label }, has) {
    try {
      await post("/api/selection/labels", { photos: [this.id], head, label, has });
      forget();
      announce(has ? `Labelled ${label}` : `Not ${label}`);
      this.#load(this.id);
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  async #findPlace(signal) {
    if (!sequence.ids.includes(this.id)) {
      sequence.ids = [this.id];
      sequence.from = "/";
      try {
        const { ids } = await get("/api/grid", { by: "date" }, signal);
        if (ids.includes(this.id)) sequence.ids = ids;
      } catch { /* previous and next stay off */ }
      if (signal.aborted) return;
    }
    const at = sequence.ids.indexOf(this.id);
    this.back.disabled = at <= 0;
    this.on.disabled = at >= sequence.ids.length - 1;
    this.place.textContent = sequence.ids.length > 1 ? `${(at + 1).toLocaleString("en")} of ${sequence.ids.length.toLocaleString("en")}` : "";
    for (const near of [sequence.ids[at + 1], sequence.ids[at - 1]]) if (near !== undefined) new Image().src = picture(near);
  }

  async #findNear(signal) {
    this.strip.replaceChildren();
    const { results } = await get("/api/search", { photo: this.id, k: 24 }, signal);
    this.near.hidden = !results.length;
    for (const match of results) {
      remember(match.photo, fileName(match.path), match.taken);
      const link = h("a", { href: `/photo/${match.photo}`, title: `${fileName(match.path)}: ${match.score.toFixed(3)}` },
        h("img", { src: thumbnail(match.photo, 84), alt: alternative(match.photo), loading: "lazy", decoding: "async" }),
        h("span", { class: "score", "aria-hidden": "true" }, match.score.toFixed(2)));
      link.style.width = `${Math.round(84 * Math.max(0.6, Math.min(2, match.width / match.height)))}px`;
      this.strip.append(link);
    }
  }

  #toggleHeat() {
    if (!this.photo) return;
    const on = this.heat.getAttribute("aria-pressed") !== "true";
    this.heat.setAttribute("aria-pressed", String(on));
    if (!on) {
      this.heatImage?.remove();
      this.heatImage = null;
      announce("Heat map off");
      return;
    }
    announce("Asking the model what it looked at");
    this.frame.setAttribute("aria-busy", "true");
    const heat = h("img", { class: "heat", alt: "What the model looked at, bright", src: heatmap(this.id) });
    this.heatImage = heat;
    heat.onload = () => { this.frame.removeAttribute("aria-busy"); announce("Heat map on"); };
    heat.onerror = async () => {
      this.frame.removeAttribute("aria-busy");
      heat.remove();
      if (this.heatImage !== heat) return;
      this.heat.setAttribute("aria-pressed", "false");
      // An image cannot say why it failed; the same address, asked for once more, can.
      const said = await get(heatmap(this.id)).catch((error) => error.message);
      toast(typeof said === "string" ? said : "The heat map cannot be drawn", { bad: true });
    };
    this.frame.append(heat);
  }

  #box() {
    if (!this.photo) return;
    const { photo, width, height } = this.photo;
    drawBox({ source: picture(photo), width, height, name: alternative(photo) }, (crop) => go(`/search${query({ photo, crop: crop?.join(",") })}`));
  }

  async #reveal(file) {
    try {
      await post(`/api/photos/${this.id}/reveal`, { file });
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #step(by) {
    const next = sequence.ids[sequence.ids.indexOf(this.id) + by];
    if (next !== undefined) go(`/photo/${next}`, { replace: true });
  }

  #leave() {
    go(sequence.from);
  }
}

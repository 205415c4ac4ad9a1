// One photo, large: its facts, its files, what is like it, and what the model looked at.

import { get, heatmap, picture, post, query, thumbnail } from "./api.js";
import { drawBox } from "./boxes.js";
import { alternative, remember } from "./captions.js";
import { announce, bytes, fileName, folderOf, h, icon, iconButton, moment, percent, toast } from "./dom.js";
import { findLike, go, sequence } from "./navigation.js";

export class PhotoView {
  title = "Photo";
  keyHelp = [
    ["← →", "Previous and next photo"], ["f", "Find photos like it"], ["b", "Draw a box, and search for what is in it"],
    ["h", "Heat map: what the model looked at"], ["o", "Show the file in the file manager"], ["Esc", "Back"],
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
    this.strip = h("div", { class: "strip", role: "group", "aria-label": "Photos like this one" });
    this.near = h("section", { class: "near" }, h("h2", {}, "Like this one"), this.strip);
    this.facts = h("div", { class: "facts", role: "complementary", "aria-label": "About this photo", tabindex: "0" });
    this.element = h("div", { class: "photo" },
      h("div", { class: "stage" },
        h("div", { class: "stage-tools" },
          this.#tool("close", "Back", "Escape", () => this.#leave()), this.place, h("span", { class: "gap" }),
          this.#tool("like", "Find like this", "f", () => findLike(this.id)),
          this.#tool("box", "Draw a box", "b", () => this.#box()),
          this.heat,
          this.#tool("reveal", "Show in the file manager", "o", () => this.#reveal())),
        this.picture, this.near),
      this.facts);
    this.press = {
      ArrowLeft: () => this.#step(-1), ArrowRight: () => this.#step(1), f: () => findLike(this.id), b: () => this.#box(),
      h: () => this.#toggleHeat(), o: () => this.#reveal(), Escape: () => this.#leave(),
    };
    new ResizeObserver(() => this.#fit()).observe(this.picture);
  }

  #tool(name, words, key, act) {
    return iconButton(name, `${words} (${key === "Escape" ? "Esc" : key})`, act, { "aria-keyshortcuts": key });
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
    try {
      const photo = await get(`/api/photos/${id}`, {}, signal);
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
      this.strip.replaceChildren();
      this.facts.replaceChildren(h("div", { class: "empty" }, icon("warning"), h("h2", {}, "There is no such photo"), h("p", {}, error.message)));
    }
  }

  #paint(photo, name) {
    const preview = h("img", { class: "preview", alt: "", src: thumbnail(photo.photo, 160) });
    const whole = h("img", { alt: name, src: picture(photo.photo) });
    whole.onerror = () => { whole.remove(); preview.alt = name; };
    this.frame.replaceChildren(preview, whole);
    this.#fit();
  }

  #fit() {
    if (!this.photo) return;
    const style = getComputedStyle(this.picture);
    const width = this.picture.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const height = this.picture.clientHeight - parseFloat(style.paddingTop) - parseFloat(style.paddingBottom);
    const scale = Math.max(0, Math.min(width / this.photo.width, height / this.photo.height, 3));
    this.frame.style.width = `${this.photo.width * scale}px`;
    this.frame.style.height = `${this.photo.height * scale}px`;
  }

  #tell(photo, name) {
    const facts = [
      ["Taken", photo.taken ? moment(photo.taken) : null],
      ["Camera", photo.camera],
      ["Size", `${photo.width} × ${photo.height} pixels`],
      ["Format", photo.format],
      ["Place", photo.latitude == null ? null : `${photo.latitude.toFixed(5)}, ${photo.longitude.toFixed(5)}`],
      ["Software", photo.software],
    ].filter(([, value]) => value);
    const states = { missing: ["Not there any more", "bad"], offline: ["Drive not here", "warm"] };
    const files = photo.files.map((file, at) => h("li", { class: "file" },
      h("div", {},
        h("b", { class: "path" }, fileName(file.path)), h("div", { class: "muted path" }, folderOf(file.path)),
        h("div", { class: "muted number" }, file.size == null ? "" : bytes(file.size), " ",
          states[file.state] ? h("span", { class: `tag ${states[file.state][1]}` }, states[file.state][0]) : null)),
      file.state === "present" ? iconButton("reveal", `Show ${fileName(file.path)} in the file manager`, () => this.#reveal(at)) : null));
    const labels = photo.labels.map((one) => h("li", { class: "row small" },
      h("a", { href: `/search${query({ head: one.head, label: one.label })}` }, one.label), h("span", { class: "muted" }, one.head),
      one.corrected ? h("span", { class: "tag good" }, "by you") : h("span", { class: "muted number" }, percent(one.probability))));
    this.facts.replaceChildren(...[
      h("div", {}, h("h1", {}, name)),
      h("dl", {}, ...facts.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)])),
      labels.length ? h("section", {}, h("h2", {}, "Labels"), h("ul", { class: "stack" }, ...labels)) : null,
      h("section", {}, h("h2", {}, files.length === 1 ? "Its file" : `Its ${files.length} files`), h("ul", {}, ...files)),
    ].filter(Boolean));
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

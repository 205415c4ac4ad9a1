// Duplicates: one group after another, decided by keyboard; then a plan, which can be read before it is applied.

import { get, picture, post, thumbnail } from "./api.js";
import { Decisions } from "./decisions.js";
import { announce, button, bytes, fileName, folderOf, h, icon, moment, percent, plural, segments, toast } from "./dom.js";
import { go } from "./navigation.js";
import { reviewPage } from "./plans.js";
import { Stage } from "./stage.js";
import { libraryStatus } from "./state.js";

const TIERS = { exact: "Same bytes", pixels: "Same pixels", near: "Same shot", burst: "Burst" };
const STAGES = { propose: "Looking for look-alikes", calibrate: "Trying synthetic copies", look: "Comparing" };
const PAGE = 200;

export class DuplicatesView {
  title = "Duplicates";
  keyHelp = [
    ["↑ ↓", "Previous and next group"], ["← →", "Previous and next file of the group"], ["Space", "Flip between the two"],
    ["v", "Side by side, flipped, difference"], ["+ - 0", "Zoom in, out, fit"], ["a", "Accept the suggestion"],
    ["k", "Keep this file, the others go"], ["n", "Not a duplicate"], ["s", "Skip"], ["u", "Undo the last decision"],
    ["p", "Review the plan"],
  ];

  constructor() {
    /** @type {Decisions | null} */
    this.decisions = null;
    this.groups = [];
    this.at = 0;
    this.file = 1;
    this.mode = "flip";
    this.stage = new Stage();
    this.list = h("div", { class: "groups", role: "group", "aria-label": "Groups" });
    this.aside = h("div", { class: "aside", role: "region", "aria-label": "Groups of duplicates", tabindex: "-1" }, this.list);
    this.aside.addEventListener("scroll", () => this.#more(), { passive: true });
    this.sheet = h("div", { class: "sheet" });
    this.compare = h("div", { class: "compare", role: "region", "aria-label": "Comparison" }, this.stage.element, this.sheet);
    this.count = h("span", { class: "muted small number", role: "status" });
    this.tier = h("div", { class: "wide" });
    this.again = button("Look again", () => this.#find(), { kind: "quiet" });
    this.tools = h("div", { class: "tools" }, h("h1", {}, "Duplicates"), this.count, h("span", { class: "grow" }), this.tier, this.again);
    this.split = h("div", { class: "split" }, this.aside, this.compare);
    this.plan = h("div", { class: "running-plan", role: "region", "aria-label": "Plan" });
    this.body = h("div", { class: "view-body" });
    this.element = h("div", {}, this.tools, this.split, this.plan, this.body);
    this.press = {
      ArrowDown: () => this.#go(1), ArrowUp: () => this.#go(-1), ArrowRight: () => this.#choose(1), ArrowLeft: () => this.#choose(-1),
      " ": () => this.#flip(), v: () => this.#nextMode(), "+": () => this.stage.zoomBy(1.5), "=": () => this.stage.zoomBy(1.5),
      "-": () => this.stage.zoomBy(1 / 1.5), 0: () => this.stage.fit(),
      a: () => this.#keep(0), k: () => this.#keep(this.#looking()), n: () => this.#apart(), s: () => this.#decide({ kind: "skip" }),
      u: () => this.#undo(), p: () => this.#review(), Escape: () => { if (this.reviewing) go("/duplicates"); },
    };
  }

  show(url) {
    this.parameters = url.searchParams;
    this.reviewing = url.searchParams.has("plan");
    const tier = url.searchParams.get("tier") ?? "";
    if (this.reviewing) {
      clearTimeout(this.polling);
      this.#showReview(url.searchParams.get("plan"));
    } else if (this.groups.length && tier === this.tierShown && !this.isStale && this.state === "done") this.#paint();
    else this.#load(tier);
  }

  hide() {
    clearTimeout(this.polling);
  }

  changed() {
    this.isStale = true;
  }

  async #load(tier = this.tierShown) {
    clearTimeout(this.polling);
    this.tierShown = tier;
    this.isStale = false;
    this.tier.replaceChildren(segments("Kind", [["", "All"], ...Object.entries(TIERS)], tier, (value) => go(`/duplicates${value ? `?tier=${value}` : ""}`)));
    try {
      const status = await libraryStatus();
      if (!status.photos) {
        this.#instead(h("div", { class: "empty" }, icon("copies"), h("h2", {}, "Nothing to compare yet"), h("p", {}, "Add a folder of photos first."), h("a", { href: "/indexing" }, "Add a folder")));
        return;
      }
      this.decisions ??= new Decisions(status.folder);
      const answer = await get("/api/duplicates", { tier, offset: 0, limit: PAGE });
      this.answer = answer;
      this.state = { working: "running", ready: "done" }[answer.state] ?? answer.state;
      if (this.reviewing) return;
      if (this.state === "running") {
        this.#working(answer.progress);
        this.polling = setTimeout(() => this.#load(), 700);
      } else if (this.state === "none") this.#invite();
      else if (this.state === "failed") this.#instead(h("div", { class: "empty" }, icon("warning"), h("h2", {}, "The search for duplicates failed"), h("p", {}, answer.error ?? ""), button("Try again", () => this.#find(), { kind: "first" })));
      else this.#ready(answer);
    } catch (error) {
      this.#instead(h("div", { class: "empty" }, icon("warning"), h("h2", {}, "The duplicates cannot be shown"), h("p", {}, error.message)));
    }
  }

  async #find() {
    try {
      await post("/api/duplicates/find");
      this.#working(null);
      this.polling = setTimeout(() => this.#load(), 300);
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #invite() {
    this.#instead(h("div", { class: "empty" }, icon("copies"), h("h2", {}, "Find what you have twice"),
      h("p", {}, "Copies, re-encoded, resized, cropped, turned or mirrored versions of one shot. No file is changed until you apply a plan."),
      button("Look for duplicates", () => this.#find(), { kind: "first" })));
  }

  #working(progress) {
    const words = STAGES[progress?.stage] ?? "Looking for duplicates";
    const bar = h("progress", { "aria-label": words });
    if (progress?.total) {
      bar.max = progress.total;
      bar.value = progress.done;
    }
    this.#instead(h("div", { class: "empty" }, icon("copies"), h("h2", {}, words), bar,
      h("p", { class: "number" }, progress?.total ? `${progress.done.toLocaleString("en")} of ${progress.total.toLocaleString("en")}` : "This takes a while with many photos; you can go elsewhere meanwhile.")));
  }

  #ready(answer) {
    const before = this.groups[this.at]?.group;
    this.groups = answer.groups;
    this.total = answer.total;
    this.complete = this.groups.length >= answer.total;
    if (!this.groups.length) {
      this.count.textContent = "";
      this.#instead(h("div", { class: "empty" }, icon("check"), h("h2", {}, this.tierShown ? "No group of this kind" : "Nothing is there twice"),
        h("p", {}, `${plural(answer.photos ?? 0, "photo")} were compared.`), this.tierShown ? h("a", { href: "/duplicates" }, "All kinds") : null, this.#planLink()));
      return;
    }
    const kept = this.groups.findIndex((group) => group.group === before);
    const open = this.groups.findIndex((group) => !this.decisions.get(group.group));
    this.at = kept >= 0 ? kept : Math.max(0, open);
    this.file = Math.min(1, this.group.files.length - 1);
    this.#paint();
    announce(`${plural(this.total, "group")} of duplicates`);
  }

  get group() {
    return this.groups[this.at];
  }

  #paint() {
    this.body.replaceChildren();
    this.body.hidden = true;
    this.split.hidden = false;
    this.tools.hidden = false;
    this.count.textContent = `${plural(this.total, "group")}${this.answer.stale ? ", from before the library changed" : ""}`;
    this.#paintList();
    this.#paintGroup();
    this.#paintPlan();
  }

  #paintList() {
    this.list.replaceChildren(...this.groups.map((group, at) => {
      const decision = this.decisions.get(group.group);
      const words = { keep: "decided", apart: "not a duplicate", skip: "skipped" }[decision?.kind];
      return h("button", { type: "button", "aria-current": String(at === this.at), data: { at }, onclick: () => this.#open(at) },
        h("img", { src: thumbnail(group.files[0].photo, 56), alt: "", loading: "lazy", decoding: "async" }),
        h("span", { class: "small" }, h("span", { class: "name" }, fileName(group.keep)),
          h("span", { class: "muted number" }, `${TIERS[group.tier]}, ${plural(group.files.length, "file")}`), words ? h("span", { class: "out" }, `, ${words}`) : null),
        h("span", { class: "done" }, decision?.kind === "skip" ? h("span", { class: "muted small" }, "skipped") : decision ? icon("check") : null));
    }));
    this.list.children[this.at]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  async #more() {
    if (this.complete || this.fetching || this.aside.scrollTop + this.aside.clientHeight < this.aside.scrollHeight - 800) return;
    this.fetching = true;
    try {
      const answer = await get("/api/duplicates", { tier: this.tierShown, offset: this.groups.length, limit: PAGE });
      this.groups.push(...answer.groups);
      this.complete = !answer.groups.length || this.groups.length >= answer.total;
      this.#paintList();
    } finally {
      this.fetching = false;
    }
  }

  #shown(at) {
    const file = this.group.files[at];
    const name = fileName(file.path);
    return {
      source: picture(file.photo), width: file.width || 4, height: file.height || 3, name,
      plate: () => [h("b", {}, name), ...(at === 0 ? [h("span", { class: "tag good" }, "suggested to keep")] : []),
        h("span", { class: "muted number" }, `${file.width} × ${file.height}, ${bytes(file.bytes ?? 0)}`)],
    };
  }

  #paintGroup() {
    const { group } = this;
    const decision = this.decisions.get(group.group);
    this.file = Math.min(this.file, group.files.length - 1);
    // The suggestion is on one side always; with it chosen, the next best is on the other.
    const other = this.file === 0 ? 1 : this.file;
    this.stage.show(this.#shown(0), this.#shown(other), this.mode);
    if (this.mode === "flip") this.stage.flip(this.file !== 0);
    const members = group.files.map((file, at) => h("button", {
      type: "button", class: "member", "aria-pressed": String(at === this.file), onclick: () => { this.file = at; this.#paintGroup(); },
    },
    h("img", { src: thumbnail(file.photo, 40), alt: "" }),
    h("span", {}, h("b", { class: "path" }, fileName(file.path)), h("br"), h("span", { class: "muted path" }, folderOf(file.path)), h("br"),
      h("span", { class: "muted" }, this.#evidence(file, at))),
    h("span", { class: "tags" },
      decision?.kind === "keep" ? h("span", { class: `tag ${decision.keep === at ? "good" : "bad"}` }, decision.keep === at ? "stays" : "goes") : null,
      at === 0 ? h("span", { class: "tag accent" }, "suggested") : h("span", { class: "tag" }, TIERS[file.tier]))));
    const facts = decision?.kind === "apart" ? "You said: not a duplicate." : decision?.kind === "skip" ? "Skipped." : "";
    this.sheet.replaceChildren(
      h("div", { class: "row" },
        segments("How to compare", [["side", "Side by side"], ["flip", "Flip"], ["difference", "Difference"]], this.mode, (mode) => this.#setMode(mode)),
        this.mode === "flip" ? button("Flip", () => this.#flip(), { kind: "quiet", key: "Space" }) : null,
        h("span", { class: "grow" }),
        h("p", { class: "muted small" }, `Suggestion: keep ${fileName(group.keep)}, ${group.reason}. ${facts}`)),
      h("div", { class: "members", role: "group", "aria-label": "Files of this group" }, ...members),
      h("div", { class: "verbs" },
        group.tier === "burst" ? h("p", { class: "muted small" }, "Other shots of the moment: never part of a plan.") : button("Accept", () => this.#keep(0), { kind: "first", key: "a" }),
        group.tier === "burst" ? null : button("Keep this", () => this.#keep(this.#looking()), { key: "k" }),
        button("Not a duplicate", () => this.#apart(), { key: "n" }),
        button("Skip", () => this.#decide({ kind: "skip" }), { key: "s" }),
        button("Undo", () => this.#undo(), { kind: "quiet", key: "u", disabled: !this.decisions.made.size })));
  }

  #evidence(file, at) {
    const parts = [];
    const { transform } = file;
    if (at === 0) parts.push(file.taken ? moment(file.taken) : "no date");
    else if (file.tier === "exact") parts.push("the same file, byte for byte");
    else if (file.tier === "pixels") parts.push("the same pixels, in another container or with other notes");
    else {
      if (transform && transform !== "none found") parts.push(transform);
      if (file.share) parts.push(`${percent(file.share)} of the picture agrees`);
      if (file.closeness) parts.push(`${percent(file.closeness, 1)} alike there`);
      if (!parts.length && file.cosine != null) parts.push(`similarity ${file.cosine.toFixed(3)}`);
    }
    return `${parts.join(", ")} · ${file.format ?? ""} ${file.width} × ${file.height}, ${bytes(file.bytes ?? 0)}`;
  }

  #paintPlan() {
    const planned = this.decisions.planned(this.groups);
    const files = planned.flatMap(({ group, files: going }) => going.map((at) => this.groups.find((one) => one.group === group).files[at]));
    const freed = files.reduce((sum, file) => sum + (file.bytes ?? 0), 0);
    const left = this.groups.filter((group) => !this.decisions.get(group.group)).length;
    this.plan.hidden = false;
    this.plan.replaceChildren(
      h("span", { class: "number" }, planned.length ? `${plural(planned.length, "group")} decided: ${plural(files.length, "file")} would go, ${bytes(freed)}` : "Nothing decided yet: no file is touched before you apply a plan"),
      h("span", { class: "muted small number" }, left ? `${left.toLocaleString("en")} left` : "all seen"), h("span", { class: "grow" }),
      this.#planLink(),
      button("Review the plan", () => this.#review(), { kind: "first", key: "p", disabled: !planned.length }));
  }

  #planLink = () => h("a", { href: "/duplicates?plan=all", class: "small" }, "Earlier plans");

  /** The file that is being looked at: with flipping, the one in sight. */
  #looking() {
    if (this.mode === "flip" && !this.stage.flipped) return 0;
    return this.mode === "flip" && this.file === 0 ? 1 : this.file;
  }

  #open(at) {
    if (at < 0 || at >= this.groups.length || this.reviewing || !this.groups.length) return;
    this.list.children[this.at]?.setAttribute("aria-current", "false");
    this.at = at;
    this.file = Math.min(1, this.group.files.length - 1);
    this.list.children[at]?.setAttribute("aria-current", "true");
    this.list.children[at]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.#paintGroup();
    announce(`Group ${at + 1} of ${this.total}: ${TIERS[this.group.tier]}, ${plural(this.group.files.length, "file")}`);
  }

  #go = (by) => this.#open(this.at + by);

  #choose(by) {
    if (!this.group || this.reviewing) return;
    this.file = (this.file + by + this.group.files.length) % this.group.files.length;
    this.#paintGroup();
    announce(fileName(this.group.files[this.file].path));
  }

  #flip() {
    if (!this.group || this.reviewing) return;
    if (this.mode !== "flip") this.#setMode("flip");
    else announce(this.stage.flip());
  }

  #setMode(mode) {
    this.mode = mode;
    this.#paintGroup();
  }

  #nextMode() {
    if (!this.group || this.reviewing) return;
    const modes = ["side", "flip", "difference"];
    this.#setMode(modes[(modes.indexOf(this.mode) + 1) % modes.length]);
  }

  #keep(file) {
    if (this.group && this.group.tier !== "burst") this.#decide({ kind: "keep", keep: file });
  }

  async #apart() {
    const { group } = this;
    if (!group || this.reviewing) return;
    const photos = [...new Set(group.files.map((file) => file.photo))];
    if (photos.length < 2) {
      toast("These files are the same photo, byte for byte: they cannot be told apart", { bad: true });
      return;
    }
    try {
      await post("/api/duplicates/not-duplicates", { photos });
      this.#decide({ kind: "apart", photos });
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #decide(decision) {
    if (!this.group || this.reviewing) return;
    this.decisions.set(this.group.group, decision);
    const words = { keep: `Keep ${fileName(this.group.files[decision.keep ?? 0].path)}`, apart: "Not a duplicate", skip: "Skipped" }[decision.kind];
    const rest = [...this.groups.keys()];
    const next = [...rest.slice(this.at + 1), ...rest.slice(0, this.at)].find((at) => !this.decisions.get(this.groups[at].group));
    if (next !== undefined) this.at = next;
    this.file = Math.min(1, this.group.files.length - 1);
    this.#paint();
    announce(`${words}. ${next === undefined ? "That was the last group." : `Group ${this.at + 1} of ${this.total}`}`);
  }

  async #undo() {
    if (this.reviewing) return;
    const last = this.decisions?.undo();
    if (!last) return;
    const [name, decision] = last;
    if (decision.kind === "apart") {
      await post("/api/duplicates/not-duplicates/undo", { photos: decision.photos }).catch((error) => toast(error.message, { bad: true }));
    }
    const at = this.groups.findIndex((group) => group.group === name);
    if (at >= 0) {
      this.at = at;
      this.file = Math.min(1, this.group.files.length - 1);
      this.#paint();
    } else this.#load();
    announce("Undone");
  }

  async #review() {
    if (this.reviewing || !this.groups.length) return;
    const planned = this.decisions.planned(this.groups);
    if (!planned.length) {
      toast("Decide about a group first: a accepts the suggestion");
      return;
    }
    go("/duplicates?plan=new");
  }

  async #showReview(which) {
    if (which === "new" && !this.groups.length) {
      // After a reload the decisions are there, the groups are not.
      this.reviewing = false;
      await this.#load("");
      this.reviewing = true;
      if (!this.groups.length) return;
    }
    this.decisions ??= new Decisions((await libraryStatus()).folder);
    this.#instead(await reviewPage(which, {
      planned: this.decisions.planned(this.groups), groups: this.groups,
      onapplied: () => { this.decisions.clear(); this.groups = []; this.state = null; },
      onundone: () => { this.groups = []; this.state = null; },
    }));
  }

  #instead(element) {
    this.split.hidden = true;
    this.plan.hidden = true;
    this.tools.hidden = this.reviewing;
    this.body.hidden = false;
    this.body.replaceChildren(element);
  }
}

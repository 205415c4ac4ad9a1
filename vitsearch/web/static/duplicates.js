// Duplicates: one group after another, decided by keyboard; then a plan, which can be read before it is applied.

import { get, post, query } from "./api.js";
import { besidePage } from "./beside.js";
import { copies, groupRow, pair } from "./copies.js";
import { areCopies, rootsAre, tierNote, TIERS, tierTitle, whyKept } from "./copy_words.js";
import { Decisions } from "./decisions.js";
import { announce, button, bytes, fileName, h, plural, segments, toast } from "./dom.js";
import { allGroups, MOST, ofTheme } from "./duplicate_groups.js";
import * as states from "./duplicate_states.js";
import { go } from "./navigation.js";
import { reviewPage } from "./plans.js";
import { Stage } from "./stage.js";
import { libraryStatus } from "./state.js";

const PAGE = 200;
const BESIDE = "beside";

export class DuplicatesView {
  title = "Duplicates";
  keyHelp = [
    ["↑ ↓", "Previous and next group"], ["← →", "Previous and next file of the group"], ["Space", "Flip between the two"],
    ["v", "All, side by side, flipped, difference"], ["+ - 0", "Zoom in, out, fit"], ["a", "Accept the suggestion"],
    ["k", "Keep this file, the others go"], ["n", "Not a duplicate"], ["s", "Skip"], ["u", "Undo the last decision"],
    ["p", "Review the plan"],
  ];

  constructor() {
    /** @type {Decisions | null} */
    this.decisions = null;
    this.groups = [];
    /** @type {Map<string, any>} groups of any kind that were fetched so far, by name */
    this.known = new Map();
    this.at = 0;
    this.file = 1;
    this.mode = "";
    this.stage = new Stage();
    this.list = h("div", { class: "groups", role: "group", "aria-label": "Groups" });
    this.aside = h("div", { class: "aside", role: "region", "aria-label": "Groups of duplicates", tabindex: "-1" }, this.list);
    this.aside.addEventListener("scroll", () => this.#more(), { passive: true });
    this.verdict = h("div", { class: "verdict" });
    this.pictures = h("div", { class: "pictures" });
    this.sheet = h("div", { class: "sheet" });
    this.compare = h("div", { class: "compare", role: "region", "aria-label": "Comparison" }, this.verdict, this.pictures, this.sheet);
    this.count = h("span", { class: "muted small number", role: "status" });
    this.tier = h("div", { class: "wide" });
    this.identical = h("span");
    this.tools = h("div", { class: "tools duplicate-tools" }, h("h1", {}, "Duplicates"), this.count, this.tier, h("span", { class: "grow" }), this.identical,
      button("Look again", () => this.#find(), { kind: "quiet" }));
    this.split = h("div", { class: "split" }, this.aside, this.compare);
    this.plan = h("div", { class: "running-plan", role: "region", "aria-label": "Plan" });
    this.body = h("div", { class: "view-body" });
    this.element = h("div", {}, this.tools, this.split, this.plan, this.body);
    this.press = {
      ArrowDown: () => this.#open(this.at + 1), ArrowUp: () => this.#open(this.at - 1), ArrowRight: () => this.#choose(1), ArrowLeft: () => this.#choose(-1),
      " ": () => this.#flip(), v: () => this.#nextMode(), "+": () => this.stage.zoomBy(1.5), "=": () => this.stage.zoomBy(1.5),
      "-": () => this.stage.zoomBy(1 / 1.5), 0: () => this.stage.fit(),
      a: () => this.#keep(0), k: () => this.#keep(this.#looking()), n: () => this.#apart(), s: () => this.#decide({ kind: "skip" }),
      u: () => this.#undo(), p: () => this.#review(), Escape: () => { if (this.reviewing) go("/duplicates"); },
    };
  }

  show(url) {
    this.reviewing = url.searchParams.has("plan");
    const tier = url.searchParams.get("tier") ?? "";
    const theme = url.searchParams.get("theme") ?? "";
    if (theme !== this.theme) this.isStale = true;
    this.theme = theme;
    if (this.reviewing) {
      clearTimeout(this.polling);
      this.#showReview(url.searchParams.get("plan"));
    } else if (this.groups.length && tier === this.tierShown && !this.isStale && this.state === "done") this.#paint();
    else this.#load(tier);
  }

  hide = () => clearTimeout(this.polling);

  changed = () => { this.isStale = true; };

  async #load(tier = this.tierShown) {
    clearTimeout(this.polling);
    this.tierShown = tier;
    if (this.isStale) this.known.clear();
    this.isStale = false;
    try {
      const status = await libraryStatus();
      if (!status.photos) {
        this.#instead(states.noPhotos(), { bare: true });
        return;
      }
      this.decisions ??= new Decisions(status.folder);
      rootsAre((status.roots ?? []).map((root) => root.path));
      let answer = await get("/api/duplicates", { tier: tier === BESIDE ? "" : tier, offset: 0, limit: Math.min(MOST, Math.max(PAGE, this.groups.length)) });
      if (this.theme && answer.state === "done") answer = await ofTheme(answer, tier, this.theme);
      this.answer = answer;
      this.state = { working: "running", ready: "done" }[answer.state] ?? answer.state;
      if (this.reviewing) return;
      if (this.state === "running") {
        this.#instead(states.working(answer.progress), { bare: true });
        this.polling = setTimeout(() => this.#load(), 700);
      } else if (this.state === "none") this.#instead(states.invitation(() => this.#find(), this.#planLink()), { bare: true });
      else if (this.state === "failed") this.#instead(states.failed(answer.error, () => this.#find()));
      else await this.#ready(answer);
    } catch (error) {
      this.#instead(states.broken(error.message));
    }
  }

  async #find() {
    try {
      await post("/api/duplicates/find");
      this.#instead(states.working(null), { bare: true });
      this.polling = setTimeout(() => this.#load(), 300);
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  async #ready(answer) {
    const before = this.group?.group;
    this.#learn(answer);
    this.total = answer.total;
    this.complete = this.groups.length >= answer.total;
    this.#paintTools();
    if (this.tierShown === BESIDE) {
      this.#instead(await besidePage());
      return;
    }
    if (!this.groups.length) {
      this.#instead(states.nothing(answer.photos ?? 0, this.tierShown, this.#planLink()));
      return;
    }
    const again = this.groups.findIndex((group) => group.group === (this.wanted ?? before));
    const open = this.groups.findIndex((group) => !this.decisions.get(group));
    this.wanted = null;
    this.at = Math.min(again >= 0 ? again : Math.max(0, this.next ?? open), this.groups.length - 1);
    this.next = null;
    this.file = Math.min(1, this.group.files.length - 1);
    this.#paint();
    announce(`${plural(this.total, "group")} of duplicates`);
  }

  #learn({ groups }, { more = false } = {}) {
    this.groups = more ? [...this.groups, ...groups] : groups;
    for (const group of groups) this.known.set(group.group, group);
  }

  get group() {
    return this.groups[this.at];
  }

  #paintTools() {
    const { counts, total, stale } = this.answer;
    const number = (tier) => (counts[tier] ? ` ${counts[tier].toLocaleString("en")}` : "");
    this.tier.replaceChildren(segments("Kind", [["", "All"], ...TIERS.map((tier) => [tier, tierTitle(tier) + number(tier)]), [BESIDE, "Contains, alike"]],
      this.tierShown, (tier) => go(`/duplicates${query({ tier, theme: this.theme })}`)));
    this.count.textContent = this.tierShown === BESIDE ? "" : `${plural(total, "group")}${this.theme ? " in this theme" : ""}${stale ? ", from before the library changed" : ""}`;
    this.identical.replaceChildren(...(counts.exact ? [button("Accept all identical files", () => this.#acceptIdentical())] : []));
    this.tier.querySelector('[aria-pressed="true"]')?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  #paint() {
    this.body.replaceChildren();
    this.body.hidden = true;
    this.split.hidden = false;
    this.tools.hidden = false;
    this.#paintTools();
    this.#paintList();
    this.#paintGroup();
    this.#paintPlan();
  }

  #paintList() {
    this.list.replaceChildren(...this.groups.map((group, at) =>
      groupRow(group, { at, current: at === this.at, decision: this.decisions.get(group), onopen: () => { if (at !== this.at) this.#open(at); } })));
    this.list.children[this.at]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  async #more() {
    if (this.complete || this.fetching || this.aside.scrollTop + this.aside.clientHeight < this.aside.scrollHeight - 800) return;
    this.fetching = true;
    try {
      const answer = await get("/api/duplicates", { tier: this.tierShown, offset: this.groups.length, limit: PAGE });
      this.#learn(answer, { more: true });
      this.complete = !answer.groups.length || this.groups.length >= answer.total;
      this.#paintList();
    } finally {
      this.fetching = false;
    }
  }

  #kept() {
    const decision = this.decisions.get(this.group);
    return decision?.kind === "keep" ? decision.keep : 0;
  }

  #paintGroup() {
    const { group } = this;
    const decision = this.decisions.get(group);
    const mayGo = areCopies(group.tier);
    const kept = this.#kept();
    this.file = Math.min(this.file, group.files.length - 1);
    const many = group.files.length > 2;
    const mode = this.#mode();
    this.verdict.replaceChildren(
      !mayGo ? h("p", {}, tierNote(group.tier))
        : h("p", {}, decision?.kind === "keep" ? "You keep " : "Keep ", h("b", { class: "path" }, fileName(group.files[kept].path)),
          h("span", { class: "muted" }, kept === 0 ? `: ${whyKept(group)}.` : ": your choice.")),
      h("span", { class: "grow" }),
      segments("How to compare", [...(many ? [["all", "All"]] : []), ["side", "Side by side"], ["flip", "Flip"], ["difference", "Difference"]], mode, (value) => this.#setMode(value)));
    if (mode === "all") {
      this.pictures.replaceChildren(copies(group, {
        kept, at: this.file, decided: decision?.kind === "keep", onkeep: (at) => this.#keep(at), onchoose: (at) => { this.file = at; this.#setMode("side"); },
      }));
    } else {
      this.pictures.replaceChildren(...pair(this.stage, group, {
        kept, other: this.#other(kept), mode, decided: decision?.kind === "keep", onchoose: (at) => { this.file = at; this.#paintGroup(); },
      }));
    }
    this.sheet.replaceChildren(h("div", { class: "verbs" },
      !mayGo ? null : button(group.files.length > 2 ? "Accept: the others go" : "Accept", () => this.#keep(0), { kind: "first", key: "a" }),
      !mayGo ? null : button("Keep the right one", () => this.#keep(this.#looking()), { key: "k", disabled: mode === "all" }),
      button(this.#isOnePhoto() ? "Keep all copies" : "Not a duplicate", () => this.#apart(), { key: "n" }),
      button("Skip", () => this.#decide({ kind: "skip" }), { key: "s" }),
      mode === "flip" ? button("Flip", () => this.#flip(), { key: "Space" }) : null,
      h("span", { class: "grow" }),
      button("Undo", () => this.#undo(), { kind: "quiet", key: "u", disabled: !this.decisions.made.size })));
  }

  #mode() {
    const many = this.group.files.length > 2;
    return this.mode === "all" && !many ? "side" : this.mode || (many ? "all" : "side");
  }

  #other(kept) {
    return this.file === kept ? (kept === 0 ? 1 : 0) : this.file;
  }

  #isOnePhoto() {
    return new Set(this.group.files.map((file) => file.photo)).size < 2;
  }

  #paintPlan() {
    const planned = this.decisions.planned([...this.known.values()]);
    const files = planned.flatMap(({ group, files: going }) => going.map((at) => this.known.get(group).files[at]));
    const freed = files.reduce((sum, file) => sum + (file.bytes ?? 0), 0);
    const left = this.groups.filter((group) => !this.decisions.get(group)).length;
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
    const kept = this.#kept();
    return this.#mode() === "flip" && !this.stage.flipped ? kept : this.#other(kept);
  }

  #open(at) {
    if (at < 0 || at >= this.groups.length || this.reviewing || this.split.hidden) return;
    this.list.children[this.at]?.setAttribute("aria-current", "false");
    this.at = at;
    this.file = Math.min(1, this.group.files.length - 1);
    this.list.children[at]?.setAttribute("aria-current", "true");
    this.list.children[at]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.#paintGroup();
    announce(`Group ${at + 1} of ${this.total}: ${tierTitle(this.group.tier)}, ${plural(this.group.files.length, "file")}`);
  }

  #choose(by) {
    if (!this.group || this.reviewing) return;
    this.file = (this.file + by + this.group.files.length) % this.group.files.length;
    this.#paintGroup();
    announce(fileName(this.group.files[this.file].path));
  }

  #flip() {
    if (!this.group || this.reviewing) return;
    if (this.#mode() !== "flip") this.#setMode("flip");
    else announce(this.stage.flip());
  }

  #setMode(mode) {
    this.mode = mode;
    this.#paintGroup();
  }

  #nextMode() {
    if (!this.group || this.reviewing) return;
    const modes = [...(this.group.files.length > 2 ? ["all"] : []), "side", "flip", "difference"];
    this.#setMode(modes[(modes.indexOf(this.#mode()) + 1) % modes.length]);
  }

  #keep(file) {
    if (this.group && areCopies(this.group.tier)) this.#decide({ kind: "keep", keep: file });
  }

  /** Every group of identical files, of all pages: what stays is what was suggested. */
  async #acceptIdentical() {
    try {
      const found = await this.#fetchAll("exact");
      const open = found.filter((group) => !this.decisions.get(group));
      this.decisions.acceptAll(open);
      this.#paint();
      toast(open.length ? `${plural(open.length, "group")} of identical files accepted: nothing is moved before you apply the plan` : "They are all decided already",
        open.length ? { action: ["Undo", () => { if (this.reviewing) go("/duplicates"); this.#undo(); }] } : {});
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  async #fetchAll(tier = "") {
    const found = await allGroups(tier);
    for (const group of found) this.known.set(group.group, group);
    return found;
  }

  /** Remembered at once, and gone from the list: what is left of the group (copies of one photo) comes back as its own. */
  async #apart() {
    const { group } = this;
    if (!group || this.reviewing || this.split.hidden) return;
    const photos = [...new Set(group.files.map((file) => file.photo))];
    try {
      await post("/api/duplicates/not-duplicates", { photos });
      this.decisions.set(group, { kind: "apart", photos });
      this.known.delete(group.group);
      this.next = this.at;
      await this.#load();
      announce(photos.length > 1 ? "Not a duplicate: it is not shown again" : "All copies are kept");
    } catch (error) {
      toast(error.message, { bad: true });
    }
  }

  #decide(decision) {
    if (!this.group || this.reviewing || this.split.hidden) return;
    this.decisions.set(this.group, decision);
    const words = decision.kind === "keep" ? `Keep ${fileName(this.group.files[decision.keep].path)}` : "Skipped";
    const rest = [...this.groups.keys()];
    const next = [...rest.slice(this.at + 1), ...rest.slice(0, this.at)].find((at) => !this.decisions.get(this.groups[at]));
    if (next !== undefined) this.at = next;
    this.file = Math.min(1, this.group.files.length - 1);
    this.#paint();
    announce(`${words}. ${next === undefined ? "That was the last group." : `Group ${this.at + 1} of ${this.total}`}`);
  }

  async #undo() {
    if (this.reviewing) return;
    const taken = this.decisions?.undo() ?? [];
    if (!taken.length) return;
    const [name, decision] = taken[taken.length - 1];
    if (decision.kind === "apart") {
      await post("/api/duplicates/not-duplicates/undo", { photos: decision.photos }).catch((error) => toast(error.message, { bad: true }));
    }
    const at = this.groups.findIndex((group) => group.group === name);
    if (at >= 0 && decision.kind !== "apart") {
      this.at = at;
      this.file = Math.min(1, this.group.files.length - 1);
      this.#paint();
    } else {
      this.wanted = name;
      await this.#load();
    }
    announce("Undone");
  }

  #review() {
    if (this.reviewing || !this.groups.length) return;
    if (!this.decisions.planned([...this.known.values()]).length) toast("Decide about a group first: a accepts the suggestion");
    else go("/duplicates?plan=new");
  }

  async #showReview(which) {
    try {
      this.decisions ??= new Decisions((await libraryStatus()).folder);
      // After a reload the decisions are there, the groups are not.
      if (which === "new" && [...this.decisions.made.keys()].some((name) => !this.known.has(name))) await this.#fetchAll();
    } catch (error) {
      toast(error.message, { bad: true });
    }
    const known = [...this.known.values()];
    const over = () => { this.groups = []; this.known.clear(); this.state = null; };
    this.#instead(await reviewPage(which, {
      planned: this.decisions.planned(known), groups: known, onapplied: () => { this.decisions.clear(); over(); }, onundone: over,
    }), { bare: true });
  }

  #instead(element, { bare = false } = {}) {
    this.split.hidden = true;
    this.plan.hidden = true;
    this.tools.hidden = bare || this.reviewing;
    this.body.hidden = false;
    this.body.replaceChildren(element);
  }
}

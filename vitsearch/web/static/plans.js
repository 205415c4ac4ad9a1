// A clean-up plan, shown step by step before it is applied; and plans of before, which can be undone.

import { get, post, thumbnail } from "./api.js";
import { announce, button, bytes, confirmed, fileName, folderOf, h, icon, moment, plural, select, toast } from "./dom.js";
import { go } from "./navigation.js";

const ACTIONS = [
  ["trash", "Move to the trash folder of their drive"], ["move", "Move to another folder"],
  ["hardlink", "Replace by hard links to the kept file"], ["symlink", "Replace by symbolic links to the kept file"],
];
const VERBS = { trash: "to the trash", move: "moved away", hardlink: "becomes a link", symlink: "becomes a link" };
const STATES = { made: ["not applied", "warm"], applied: ["applied", "good"], undone: ["undone", ""], partly: ["partly applied", "bad"] };

/** `which`: "new", "all" or a plan's id. */
export async function reviewPage(which, options) {
  const page = h("div", { class: "page" });
  try {
    if (which === "all") await showAll(page);
    else if (which === "new") await showNew(page, options);
    else showPlan(page, await get(`/api/plans/${encodeURIComponent(which)}`), options);
  } catch (error) {
    page.replaceChildren(back(), h("p", { class: "notice bad" }, error.message));
  }
  return page;
}

const back = () => h("a", { href: "/duplicates" }, "Back to the groups");

async function showNew(page, { planned, groups, ...options }) {
  if (!planned.length) {
    page.replaceChildren(back(), h("h1", {}, "Nothing is planned"), h("p", { class: "muted" }, "Decide about a group first."));
    return;
  }
  let action = "trash";
  const destination = h("input", { class: "field grow", type: "text", placeholder: "/home/me/Duplicates", "aria-label": "Folder to move to", hidden: true });
  const files = planned.flatMap(({ group, files: going }) => {
    const found = groups.find((one) => one.group === group);
    return going.map((at) => found.files[at]);
  });
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
  const make = button("Apply the plan …", async () => {
    problem.hidden = true;
    try {
      const body = { action, groups: planned };
      if (action === "move") body.destination = destination.value.trim();
      const plan = await post("/api/plans", body);
      await apply(page, plan, options);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  }, { kind: "first" });
  const chosen = select("What happens to the files that go", ACTIONS, action, (value) => {
    action = value;
    destination.hidden = value !== "move";
  });
  page.replaceChildren(
    back(), h("h1", {}, "Review the plan"),
    h("div", { class: "figures" },
      figure(planned.length.toLocaleString("en"), planned.length === 1 ? "group" : "groups"), figure(files.length.toLocaleString("en"), files.length === 1 ? "file goes" : "files go"),
      figure(bytes(files.reduce((sum, file) => sum + (file.bytes ?? 0), 0)), "freed once the trash is emptied")),
    h("div", { class: "card stack" },
      h("div", { class: "row" }, chosen, destination, h("span", { class: "grow" }), make), problem,
      h("p", { class: "muted small" }, "Nothing is deleted: the files are moved and can all be put back. Each file is compared with the plan once more right before its turn.")),
    steps(planned.map(({ group, keep, files: going }) => {
      const found = groups.find((one) => one.group === group);
      return { tier: found.tier, reason: found.reason, suggested: keep === 0, photo: found.files[keep].photo, keep: found.files[keep], files: going.map((at) => found.files[at]) };
    }), action));
}

function showPlan(page, plan, options, outcomes = null) {
  const [words, colour] = STATES[plan.state] ?? [plan.state, ""];
  const verbs = h("div", { class: "row" });
  if (plan.state === "made" || plan.state === "undone" || plan.state === "partly") verbs.append(button("Apply the plan …", () => apply(page, plan, options), { kind: "first" }));
  if (plan.state === "applied" || plan.state === "partly") verbs.append(button([icon("undo"), "Undo the plan"], () => undo(page, plan, options)));
  const failed = outcomes?.filter((one) => !one.done) ?? [];
  page.replaceChildren(
    back(),
    h("div", { class: "row" }, h("h1", {}, "Plan"), h("span", { class: `tag ${colour}` }, words), h("span", { class: "muted small" }, plan.created ? moment(plan.created) : "")),
    outcomes ? h("p", { class: `notice ${failed.length ? "bad" : ""}`, role: "status" }, failed.length
      ? `${plural(outcomes.length - failed.length, "file")} done, ${plural(failed.length, "file")} not.`
      : `${plural(outcomes.length, "file")} done.${plan.state === "applied" ? " All of it can be undone." : ""}`) : "",
    h("div", { class: "figures" },
      figure(plan.groups.length.toLocaleString("en"), plan.groups.length === 1 ? "group" : "groups"), figure(plan.groups.reduce((sum, group) => sum + group.files.length, 0).toLocaleString("en"), "files"),
      figure(bytes(plan.bytes ?? 0), "freed once the trash is emptied")),
    h("div", { class: "card" }, verbs),
    failed.length ? h("ul", { class: "list card" }, ...failed.map((one) => h("li", { class: "small" }, h("span", { class: "path grow" }, one.path), h("span", { class: "tag bad" }, one.text)))) : "",
    steps(plan.groups, plan.action, new Map(outcomes?.map((one) => [one.path, one]))));
}

function steps(groups, action, outcomes = new Map()) {
  return h("ol", { class: "steps", "aria-label": "Steps" }, ...groups.map((group) => h("li", { class: "step-group" },
    group.photo ? h("img", { src: thumbnail(group.photo, 64), alt: "" }) : h("span", { class: "muted small number" }, group.tier),
    h("ul", {},
      step("stays", "good", group.keep, group.suggested === false ? "your choice" : group.reason),
      ...group.files.map((file) => step(outcomes.get(file.path)?.text ?? VERBS[action], outcomes.get(file.path)?.done === false ? "bad" : "warm", file, file.bytes == null ? "" : bytes(file.bytes)))))));
}

const step = (words, colour, file, note) => h("li", {},
  h("span", { class: `tag ${colour}` }, words),
  h("span", { class: "path" }, h("b", {}, fileName(file.path)), " ", h("span", { class: "muted" }, folderOf(file.path))),
  h("span", { class: "muted number" }, note));

const figure = (value, words) => h("div", {}, h("b", {}, value), h("span", {}, words));

async function apply(page, plan, options) {
  const files = plan.groups.reduce((sum, group) => sum + group.files.length, 0);
  const sure = await confirmed("Apply the plan?", [
    `${plural(files, "file")} (${bytes(plan.bytes ?? 0)}): ${VERBS[plan.action]}.`, "One file of each group stays where it is. You can undo all of it here.",
  ], "Apply");
  if (!sure) return;
  await change(page, plan, options, "apply", options.onapplied);
}

const undo = (page, plan, options) => change(page, plan, options, "undo", options.onundone);

async function change(page, plan, options, verb, then) {
  page.setAttribute("aria-busy", "true");
  try {
    const { outcomes } = await post(`/api/plans/${encodeURIComponent(plan.id)}/${verb}`);
    then?.();
    const now = await get(`/api/plans/${encodeURIComponent(plan.id)}`);
    history.replaceState(null, "", `/duplicates?plan=${encodeURIComponent(plan.id)}`);
    showPlan(page, now, options, outcomes);
    announce(`${plural(outcomes.length, "file")} ${verb === "apply" ? "done" : "put back"}`);
    page.querySelector(".button")?.focus();
  } catch (error) {
    const changed = error.document?.changed ?? [];
    toast(error.message, { bad: true });
    if (changed.length) page.append(h("ul", { class: "list card" }, ...changed.map((one) => h("li", { class: "small" }, h("span", { class: "path grow" }, one.path), h("span", { class: "tag bad" }, one.text)))));
  } finally {
    page.removeAttribute("aria-busy");
  }
}

async function showAll(page) {
  const { plans, damaged } = await get("/api/plans");
  page.replaceChildren(back(), h("h1", {}, "Plans"),
    plans.length ? h("ul", { class: "list card" }, ...plans.map((plan) => {
      const [words, colour] = STATES[plan.state] ?? [plan.state, ""];
      const files = plan.groups?.reduce((sum, group) => sum + group.files.length, 0) ?? plan.files ?? 0;
      return h("li", {}, h("span", { class: "grow" }, h("b", {}, moment(plan.created)), h("br"), h("span", { class: "muted small number" }, `${plural(files, "file")}, ${bytes(plan.bytes ?? 0)}`)),
        h("span", { class: `tag ${colour}` }, words), button("Open", () => go(`/duplicates?plan=${encodeURIComponent(plan.id)}`)));
    })) : h("p", { class: "muted" }, "No plan has been made yet."),
    ...damaged.map((one) => h("p", { class: "notice bad" }, one.error)));
}

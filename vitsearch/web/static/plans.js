// A clean-up plan, looked at before it is applied; and plans of before, which can be undone.

import { get, post } from "./api.js";
import { announce, button, bytes, confirmed, h, icon, moment, plural, select, toast } from "./dom.js";
import { go } from "./navigation.js";
import { planPictures } from "./plan_pictures.js";
import { libraryStatus } from "./state.js";

const ACTIONS = [
  ["trash", "Move to the trash"], ["move", "Move to another folder"],
  ["hardlink", "Replace by hard links to the kept file"], ["symlink", "Replace by symbolic links to the kept file"],
];
const VERBS = { trash: "go to the trash", move: "are moved", hardlink: "go to the trash, with a link left in their place", symlink: "go to the trash, with a link left in their place" };
const STATES = { made: ["not applied", "warm"], applied: ["applied", "good"], undone: ["undone", ""], partly: ["partly applied", "bad"] };

/** `which`: "new", "all" or a plan's id. */
export async function reviewPage(which, options) {
  const page = h("div", { class: "page plan-page" });
  try {
    if (which === "all") await showAll(page);
    else if (which === "new") await showNew(page, options);
    else await showPlan(page, which, options);
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
  const found = new Map(groups.map((group) => [group.group, group]));
  const shown = planned.map(({ group, keep, files }) => {
    const { tier, reason, files: all } = found.get(group);
    return { tier, reason, keep: all[keep], files: files.map((at) => all[at]) };
  });
  const files = shown.flatMap((group) => group.files);
  const where = h("div", { class: "stack" });
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
  const destination = h("input", { class: "field grow", type: "text", placeholder: "/home/me/Duplicates", "aria-label": "Folder to move to", hidden: true, onchange: () => look() });
  const order = () => ({ action, groups: planned, ...(action === "move" ? { destination: destination.value.trim() } : {}) });
  const attempt = async (act) => {
    problem.hidden = true;
    try {
      await act();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
  };
  const look = () => attempt(async () => {
    where.replaceChildren();
    if (action === "move" && !destination.value.trim()) return;
    where.replaceChildren(...placesOf((await post("/api/plans/preview", order())).places, { future: true }));
  });
  const chosen = select("What happens to the files that go", ACTIONS, action, (value) => {
    action = value;
    destination.hidden = value !== "move";
    look();
  });
  page.replaceChildren(
    back(), h("h1", {}, "Review the plan"),
    h("p", {}, h("b", { class: "number" }, plural(files.length, "file")), ` of ${plural(planned.length, "group")} would go, `,
      h("b", { class: "number" }, bytes(files.reduce((sum, file) => sum + (file.bytes ?? 0), 0))), ". One file of each group stays where it is."),
    h("div", { class: "card stack" },
      h("div", { class: "row" }, chosen, destination, h("span", { class: "grow" }), button("Apply the plan …", () => attempt(async () => apply(page, await post("/api/plans", order()), options)), { kind: "first" })),
      where, problem,
      h("p", { class: "muted small" }, "Nothing is deleted: all of it can be put back. Each file is compared with the plan once more right before its turn.")),
    ...planPictures(shown));
  await look();
}

/** Where the files go or are, and how the space comes free: by emptying that. */
function placesOf(places, { future = false, onshow = null } = {}) {
  return places.map((place, at) => {
    const how = { beside: "sidecars that the photo to keep lacks get its name there", desktop: "the trash of your desktop: empty it there to free the space", hidden: "a hidden folder on the same drive: delete it to free the space", folder: "the folder that you chose" }[place.kind];
    return h("div", { class: "place" }, icon(place.kind === "folder" || place.kind === "beside" ? "folder" : "undo"),
      h("div", { class: "grow" }, h("div", {}, place.kind === "beside" ? (future ? "Sidecars go to " : "Sidecars are in ") : future ? "They go to " : "They are in ", h("b", { class: "path" }, place.folder)),
        h("div", { class: "muted small number" }, `${how} · ${plural(place.files, "file")}, ${bytes(place.bytes)}`)),
      onshow ? button(place.kind === "folder" || place.kind === "beside" ? "Show the folder" : "Show the trash, to empty it", () => onshow(at)) : null);
  });
}

async function showPlan(page, id, options, outcomes = null) {
  const address = `/api/plans/${encodeURIComponent(id)}`;
  const [plan, { photos }, status] = await Promise.all([get(address), get(`${address}/photos`), libraryStatus()]);
  const known = new Map(photos.map((one) => [one.path, one.photo]));
  const pictured = (file) => ({ ...file, photo: known.get(file.path) });
  const [words, colour] = STATES[plan.state] ?? [plan.state, ""];
  const moved = plan.state === "applied" || plan.state === "partly";
  const verbs = h("div", { class: "row" });
  if (plan.state !== "applied") verbs.append(button("Apply the plan …", () => apply(page, plan, options), { kind: "first" }));
  if (moved) verbs.append(button([icon("undo"), "Undo the plan"], () => change(page, plan, options, "undo", options.onundone)));
  const failed = outcomes?.filter((one) => !one.done) ?? [];
  const files = plan.groups.reduce((sum, group) => sum + group.files.length, 0);
  const reveal = (place) => post(`${address}/reveal`, { place }).catch((error) => toast(error.message, { bad: true }));
  page.replaceChildren(
    back(),
    h("div", { class: "row" }, h("h1", {}, "Plan"), h("span", { class: `tag ${colour}` }, words), h("span", { class: "muted small" }, plan.created ? moment(plan.created) : "")),
    outcomes ? h("p", { class: `notice ${failed.length ? "bad" : ""}`, role: "status" }, failed.length
      ? `${plural(outcomes.length - failed.length, "file")} done, ${plural(failed.length, "file")} not.`
      : `${plural(outcomes.length, "file")} done.${plan.state === "applied" ? " All of it can be undone." : ""}`) : "",
    h("p", {}, `${plural(files, "file")} of ${plural(plan.groups.length, "group")}, `, h("b", { class: "number" }, bytes(plan.bytes ?? 0)), "."),
    h("div", { class: "card stack" }, verbs, ...placesOf(plan.places, { future: !moved, onshow: moved && status.can_reveal ? reveal : null })),
    failed.length ? h("ul", { class: "list card" }, ...failed.map((one) => h("li", { class: "small" }, h("span", { class: "path grow" }, one.path), h("span", { class: "tag bad" }, one.text)))) : "",
    ...planPictures(plan.groups.map((group) => ({ ...group, keep: group.keep && pictured(group.keep), files: group.files.map(pictured) })), new Map(outcomes?.map((one) => [one.path, one]))));
}

async function apply(page, plan, options) {
  const files = plan.groups.reduce((sum, group) => sum + group.files.length, 0);
  const sure = await confirmed("Apply the plan?", [
    `${plural(files, "file")} (${bytes(plan.bytes ?? 0)}) ${VERBS[plan.action]}.`, plan.groups.every((group) => group.keep) ? "One file of each group stays where it is. You can undo all of it here." : "You can undo all of it here.",
  ], "Apply");
  if (sure) await change(page, plan, options, "apply", options.onapplied);
}

async function change(page, plan, options, verb, then) {
  page.setAttribute("aria-busy", "true");
  try {
    const { outcomes } = await post(`/api/plans/${encodeURIComponent(plan.id)}/${verb}`);
    then?.();
    history.replaceState(null, "", `/duplicates?plan=${encodeURIComponent(plan.id)}`);
    await showPlan(page, plan.id, options, outcomes);
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

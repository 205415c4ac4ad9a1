// Labels of several photos at once: given, taken away, or the beginning of a new set of labels.

import { get, post, query } from "./api.js";
import { button, dialog, h, icon, plural, select, toast } from "./dom.js";
import { go } from "./navigation.js";
import { forget, libraryFacets } from "./state.js";

const NEW = "new";
// What a new label is learnt against: so many photos for each selected one, within these bounds.
const OTHERS = { each: 3, least: 12, most: 60 };

/** @param {number[]} ids */
export async function addLabel(ids) {
  const heads = await libraryFacets().then((facets) => facets.heads, () => []);
  dialog(`Label ${plural(ids.length, "photo")}`, (close) => {
    let head = heads[0] ?? null;
    const known = h("datalist", { id: "known-labels" });
    const words = h("input", { class: "field grow", type: "text", list: "known-labels", "aria-label": "Label", placeholder: "Label", autocomplete: "off", maxlength: "500", required: true, autofocus: true });
    const name = h("input", { class: "field grow", type: "text", "aria-label": "Name of the new set", placeholder: "Name of the set, as in: pets", autocomplete: "off", maxlength: "200" });
    const note = h("p", { class: "muted small" }, "A new set learns the label from these photos, against others of your library. Labels of photos that are alike follow at once; you can correct them.");
    const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
    const send = button("Add label", () => {}, { kind: "first", type: "submit" });
    const fill = () => {
      known.replaceChildren(...(head?.labels ?? []).map((one) => h("option", { value: one.label })));
      name.hidden = note.hidden = Boolean(head);
      name.required = !head;
    };
    fill();
    const sets = heads.length
      ? select("Set of labels", [...heads.map((one) => [one.name, one.name]), [NEW, "New set …"]], head.name, (value) => { head = heads.find((one) => one.name === value) ?? null; fill(); })
      : null;
    return h("form", {
      class: "inside",
      onsubmit: async (event) => {
        event.preventDefault();
        problem.hidden = true;
        send.disabled = true;
        send.textContent = head ? "Adding …" : "Learning …";
        try {
          if (head) await say(ids, head.name, words.value.trim(), true);
          else await begin(ids, name.value.trim(), words.value.trim());
          close();
        } catch (error) {
          problem.textContent = error.message;
          problem.hidden = false;
        }
        send.disabled = false;
        send.textContent = "Add label";
      },
    }, h("div", { class: "row" }, sets, words, known), name, note, problem, h("div", { class: "row" }, h("span", { class: "grow" }), send));
  });
}

/** Learn a label from these photos, against others that are spread over the library. */
async function begin(ids, name, label) {
  const chosen = new Set(ids);
  const others = (await get("/api/grid")).ids.filter((id) => !chosen.has(id));
  const wanted = Math.min(others.length, Math.max(OTHERS.least, Math.min(OTHERS.most, ids.length * OTHERS.each)));
  const against = Array.from({ length: wanted }, (_, at) => others[Math.floor((at * others.length) / wanted)]);
  await post("/api/heads", {
    name, photos: [...ids.map((photo) => ({ photo, labels: [label] })), ...against.map((photo) => ({ photo, labels: [] }))],
  });
  forget();
  toast(`Learnt ${label} from ${plural(ids.length, "photo")}`, { action: ["Look at it", () => go(`/labels${query({ head: name })}`)] });
}

/** @param {number[]} ids */
export async function takeLabel(ids) {
  try {
    const { labels } = await post("/api/selection/labels-of", { photos: ids });
    if (!labels.length) {
      toast(ids.length === 1 ? "This photo has no label" : "None of these photos has a label");
      return;
    }
    dialog("Which label is wrong?", (close) => h("div", { class: "inside" },
      h("p", { class: "muted" }, "It is taken from the selected photos, and counts as a correction when the labels are learnt again."),
      h("ul", { class: "stack" }, ...labels.map((one) => h("li", {}, button([icon("unlabel"), one.label, h("span", { class: "muted number" }, `${one.head}, ${plural(one.count, "photo")}`)], async () => {
        close();
        await say(ids, one.head, one.label, false).catch((error) => toast(error.message, { bad: true }));
      }))))));
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

async function say(ids, head, label, has) {
  const { changed } = await post("/api/selection/labels", { photos: ids, head, label, has });
  forget();
  toast(changed ? `${plural(changed, "photo")} ${has ? "labelled" : "no longer labelled"} ${label}` : "Nothing has changed");
}

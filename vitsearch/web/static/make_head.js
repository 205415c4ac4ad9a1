// Making a head: from groups of the library's own photos, from a folder of labelled photos, or from words.

import { post, query } from "./api.js";
import { button, h, icon, segments } from "./dom.js";
import { go } from "./navigation.js";

/** What a library without a head shows: where labels can come from. */
export function invitation(status, ...more) {
  return h("div", { class: "welcome" },
    h("h1", {}, "Teach your library words of your own"),
    h("p", { class: "muted" }, "Give a few photos a name, and every photo that is like them gets it too. It takes seconds, and you can put right what is wrong."),
    h("div", { class: "card stack" }, h("h2", {}, "Begin with photos that are alike"),
      h("p", { class: "muted" }, "vitsearch shows stacks of similar photos: pick some, and give each a name."),
      h("a", { class: "button first", href: "/labels?new=groups" }, icon("label"), "Show the stacks")),
    h("div", { class: "card stack" }, h("h2", {}, "Or with a folder that is sorted already"), headForm(status)), ...more);
}

export function headForm(status, close = () => {}) {
  const name = h("input", { class: "field", type: "text", required: true, placeholder: "pets", "aria-label": "Name of the head", autocomplete: "off" });
  const source = h("input", { class: "field grow", type: "text", required: true, autocomplete: "off", spellcheck: "false" });
  const note = h("p", { class: "muted small" });
  const problem = h("p", { class: "notice bad", role: "alert", hidden: true });
  const several = h("input", { type: "checkbox" });
  let kind = "folder";
  const explain = () => {
    source.placeholder = kind === "folder" ? "/home/me/labelled" : "cat, dog, bird";
    source.setAttribute("aria-label", kind === "folder" ? "Folder of labelled photos" : "Labels, separated by commas");
    note.textContent = kind === "folder" ? "A folder with a subfolder for each label, each with a few photos." : "The model is asked about each word: no example is needed.";
    several.closest("label").hidden = kind !== "folder";
  };
  const ways = status?.has_text ? segments("Made from", [["folder", "From photos"], ["labels", "From words"]], kind, (value) => { kind = value; explain(); }) : null;
  const send = button("Make the head", () => {}, { kind: "first", type: "submit" });
  const form = h("form", {
    class: "stack",
    onsubmit: async (event) => {
      event.preventDefault();
      problem.hidden = true;
      send.disabled = true;
      send.textContent = "Learning …";
      try {
        const given = kind === "folder" ? { folder: source.value.trim(), multi: several.checked } : { labels: source.value.split(",").map((one) => one.trim()).filter(Boolean) };
        await post("/api/heads", { name: name.value.trim(), ...given });
        close();
        go(`/labels${query({ head: name.value.trim() })}`);
      } catch (error) {
        problem.textContent = error.message;
        problem.hidden = false;
      } finally {
        send.disabled = false;
        send.textContent = "Make the head";
      }
    },
  }, ways, h("div", { class: "row" }, name, source, send), severalBox(several), problem, note);
  explain();
  return form;
}

export const severalBox = (box) => h("label", { class: "check" }, box, h("span", {}, "A photo may have several of these labels"));

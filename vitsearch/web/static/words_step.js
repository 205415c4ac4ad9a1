// What is shown where words cannot be searched for yet: why, and the one step that makes them work.

import { post } from "./api.js";
import { announce, button, duration, h, icon, plural, toast } from "./dom.js";

/** @param {any} status the library's */
export function wordsStep(status) {
  const { words_step: step, indexing: running } = status;
  const start = button("Make words work", async () => {
    start.disabled = true;
    try {
      await post("/api/index", { also: step.model });
      start.replaceWith(h("p", { class: "notice", role: "status" }, "It is on its way. This search is answered as soon as it can be; you can go on with anything else."));
      announce("Started");
    } catch (error) {
      start.disabled = false;
      toast(error.message, { bad: true });
    }
  }, { kind: "first" });
  return h("div", { class: "empty" }, icon("words"), h("h2", {}, "Words need one more step"), h("p", {}, "The model that your photos were indexed with sees pictures only."),
    step && !step.photos ? h("p", {}, "The part of it that understands words is fetched once, and no photo is looked at again.") : null,
    step?.photos ? h("p", {}, `A second model, which understands words, looks once at ${plural(step.photos, "photo")}`,
      step.seconds ? `: about ${duration(step.seconds)} on this machine.` : ".") : null,
    running ? h("p", { class: "notice" }, "An index run is on at the moment.") : null,
    step ? start : h("a", { class: "button first", href: "/indexing" }, "Choose a model that reads words"),
    h("p", {}, "Searching with a photo works already: drop one anywhere on this page."));
}

// The model that looks at the photos, and a second one that reads words.

import { get, post } from "./api.js";
import { announce, button, confirmed, dialog, duration, h, plural, toast } from "./dom.js";

/** Which model is to look at the photos of a new library; empty: the usual one. */
export function modelChoice() {
  const field = h("select", { class: "field", "aria-label": "Model" }, h("option", { value: "" }, "The usual model"));
  const box = h("details", {
    ontoggle: () => {
      if (!box.open || field.options.length > 1) return;
      get("/api/models").then(({ models }) => field.append(...models.map((one) => h("option", { value: one.name }, [one.name, one.here ? "on this machine" : "", one.text ? "reads words" : ""].filter(Boolean).join(", ")))),
        (error) => toast(error.message, { bad: true }));
    },
  }, h("summary", { class: "small" }, "Choose the model"), field);
  return { element: box, value: () => field.value || null };
}

/** What the library's models are, with what can be changed about them. */
export function modelCard(status) {
  const second = (status.spaces ?? []).find((space) => !space.main);
  const reads = status.reads_text ?? status.has_text;
  const step = status.words_step;
  return [
    h("div", { class: "row" }, h("h2", {}, "Model"), h("span", { class: "grow" }), status.spaces ? button("Change …", () => choose(status), { disabled: !status.photos }) : null),
    h("p", {}, h("b", {}, status.model ?? "none yet"), h("span", { class: "muted" }, status.model ? " looks at every photo once; searches compare what it has seen." : " The first folder that you add brings one.")),
    second ? h("p", {}, h("b", {}, second.model), h("span", { class: "muted" }, ` answers words${second.left ? `; ${plural(second.left, "photo")} left to look at` : ""}.`)) : null,
    status.photos && !reads && step ? h("div", { class: "row" },
      h("p", { class: "grow" }, "Searches by words need a second model: ", h("b", {}, step.model), h("span", { class: "muted" }, step.seconds ? `, about ${duration(step.seconds)} for ${plural(step.photos, "photo")}.` : ".")),
      button("Make words work", () => ask({ also: step.model }, "Every photo is looked at with the second model, too"), { kind: "first" })) : null,
  ].filter(Boolean);
}

async function ask(order, words) {
  try {
    await post("/api/index", order);
    announce(words);
    toast(words);
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

function choose(status) {
  dialog("Choose a model", (close) => {
    const list = h("div", { class: "models", role: "group", "aria-label": "Models" }, h("p", { class: "muted" }, "Looking which there are …"));
    get("/api/models").then(({ models }) => {
      const here = (one) => Number(one.here || one.name === status.model);
      list.replaceChildren(...models.sort((one, other) => here(other) - here(one)).map((one) => h("div", { class: "model" },
        h("div", { class: "grow" }, h("b", {}, one.name), h("div", { class: "muted small" }, [one.here ? "on this machine" : "has to be downloaded", one.text ? "reads words" : "", one.notes].filter(Boolean).join(" · "))),
        one.name === status.model ? h("span", { class: "tag good" }, "in use")
          : h("div", { class: "row" },
            one.text ? button("For words", () => { close(); ask({ also: one.name }, `Every photo is looked at with ${one.name}, too`); }, { "aria-label": `Use ${one.name} for words` }) : null,
            button("Use", async () => { close(); await change(status, one); }, { "aria-label": `Use ${one.name}` })))));
    }, (error) => list.replaceChildren(h("p", { class: "notice bad" }, error.message)));
    return [h("div", { class: "inside" }, h("p", { class: "muted small" }, "A change takes effect when every photo was looked at again; until then searches go on as they are."), list)];
  });
}

async function change(status, model) {
  const sure = await confirmed(`Use ${model.name}?`, [
    `All ${plural(status.photos, "photo")} are looked at again. Searches go on with ${status.model} until that is done.`,
    model.here ? "Its weights are on this machine." : "Its weights have to be downloaded first.",
  ], "Look at all photos again");
  if (sure) await ask({ model: model.name }, `Every photo is looked at with ${model.name}`);
}

// Training a head again, and what that has changed.

import { post } from "./api.js";
import { announce, button, dialog, h, icon, percent, plural } from "./dom.js";

/** Train in a dialog; `onclose` hears when it is closed. Answers whether it worked. */
export async function retrain(name, onclose) {
  const box = dialog(`Training ${name}`, () => h("div", { class: "inside" }, h("progress", { "aria-label": "Training" }),
    h("p", { class: "muted" }, "Each photo is judged by a head that has not seen it.")), { onclose });
  const inside = box.querySelector(".inside");
  try {
    const made = await post(`/api/heads/${encodeURIComponent(name)}/train`);
    inside.replaceChildren(...report(made), h("div", { class: "row" }, button("Close", () => box.close(), { kind: "first", autofocus: true })));
    inside.querySelector("button").focus();
    announce(`Accuracy ${made.before ? `${percent(made.before.accuracy, 1)} before, ` : ""}${percent(made.after.accuracy, 1)} now`);
    return true;
  } catch (error) {
    inside.replaceChildren(h("p", { class: "notice bad", role: "alert" }, error.message));
    return false;
  }
}

function report({ before, after, photos, version, waiting }) {
  const change = before ? after.accuracy - before.accuracy : null;
  return [
    h("div", { class: "accuracy" },
      h("div", { class: "figure", data: { accuracy: after.accuracy } }, before ? [h("span", { class: "muted" }, percent(before.accuracy, 1)), icon("right")] : "", h("span", {}, percent(after.accuracy, 1)),
        change ? h("span", { class: `tag ${change > 0 ? "good" : "bad"}` }, `${change > 0 ? "+" : "−"}${(100 * Math.abs(change)).toFixed(1)} points`) : ""),
      h("p", { class: "muted small number" }, `Right for ${percent(after.interval[0])} to ${percent(after.interval[1])} of photos like these, with 95 % confidence. Version ${version}, from ${plural(photos, "photo")}.`)),
    waiting.length ? h("p", { class: "notice", role: "status" }, `Not learnt yet, as each label needs two photos that are no near duplicates: ${waiting.join(", ")}.`) : "",
    h("div", { class: "bars", role: "group", "aria-label": "F1 of each label" }, ...(after.labels ?? []).slice(0, 12).flatMap((one) =>
      [h("span", {}, one.label), h("progress", { max: 1, value: one.f1, "aria-label": `${one.label}: F1 ${one.f1.toFixed(2)}` }), h("span", { class: "muted" }, `F1 ${one.f1.toFixed(2)}`)])),
  ];
}

/** How good a head is, in a few lines. */
export function accuracy(head, onretrain) {
  const { accuracy: known, interval, corrections, examples, version } = head;
  return h("div", { class: "accuracy small" },
    known == null ? h("p", { class: "muted" }, "Its accuracy is known after training.")
      : h("p", {}, h("b", { class: "number" }, percent(known)), " right", interval ? h("span", { class: "muted number" }, ` (${percent(interval[0])} to ${percent(interval[1])})`) : ""),
    h("p", { class: "muted number" }, `Version ${version}, ${plural(examples, "example")}, ${plural(corrections, "label")} by you`),
    button("Retrain", onretrain, { kind: corrections ? "first" : "", key: "r" }));
}

// What is shown at an address that leads nowhere.

import { h, icon } from "./dom.js";

/** A page that says what is not there, and leads back. */
export function nowhere(title, words, { link = "/", to = "To your photos" } = {}) {
  return h("div", { class: "empty nowhere" }, icon("photos"), h("h1", {}, title), h("p", {}, words), h("a", { class: "button first", href: link }, to));
}

export class NowhereView {
  title = "Nothing here";

  constructor() {
    this.element = h("div", { class: "scroll" });
  }

  show() {
    this.element.replaceChildren(nowhere("There is no page at this address", "The link may be mistyped, or from another version of vitsearch."));
  }
}

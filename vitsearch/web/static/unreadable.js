// Files that could not be read, by reason, with what can be done about them.

import { get, post } from "./api.js";
import { announce, button, fileName, folderOf, h, plural, toast } from "./dom.js";

const SHOWN = 50;
const HELP = {
  "it is truncated": "The end of the file is missing: copy it again from where it came from.",
  "the file is empty": "Nothing is in it: copy it again from where it came from.",
};

/** Fill a section; it is hidden while everything could be read. */
export async function showUnreadable(section, status) {
  section.hidden = !status.unreadable;
  if (!status.unreadable) return;
  const { total, reasons } = await get("/api/unreadable", { limit: 1 });
  section.replaceChildren(
    h("div", { class: "row" }, h("h2", {}, `${plural(total, "file")} could not be read`), h("span", { class: "grow" }), button("Try again", again)),
    h("p", { class: "muted small" }, "Everything else is searchable. A file is tried again by itself when it has changed."),
    ...reasons.map(({ reason, count }) => one(reason, count, reasons.length === 1)));
}

async function again() {
  try {
    await post("/api/index", { retry: true });
    announce("The unreadable files are tried again");
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

function one(reason, count, open) {
  const list = h("ul", { class: "list" });
  const more = h("div");
  const load = async () => {
    try {
      const { files, total } = await get("/api/unreadable", { reason, offset: list.children.length, limit: SHOWN });
      list.append(...files.map((file) => h("li", {},
        h("div", { class: "grow small" }, h("b", { class: "path" }, fileName(file.path)), h("div", { class: "muted path" }, folderOf(file.path))),
        file.reason === reason ? null : h("span", { class: "small muted path detail" }, file.reason.slice(reason.length).trim().replace(/^\(|\)$/g, "")))));
      const left = total - list.children.length;
      more.replaceChildren(...(left > 0 ? [button(`Show more of ${left.toLocaleString("en")}`, load, { kind: "quiet" })] : []));
    } catch (error) {
      toast(error.message, { bad: true });
    }
  };
  const box = h("details", { class: "reason", ontoggle: () => { if (box.open && !list.children.length) load(); } },
    h("summary", {}, h("b", {}, reason.charAt(0).toUpperCase() + reason.slice(1)), " ", h("span", { class: "muted number" }, plural(count, "file"))),
    HELP[reason] ? h("p", { class: "muted small" }, HELP[reason]) : null, list, more);
  box.open = open;
  return box;
}

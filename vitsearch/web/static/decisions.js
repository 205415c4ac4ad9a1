// What was decided about groups of duplicates so far: it survives a reload, and can be taken back step by step.

const KEY = "vitsearch-decisions";

/** A decision: {kind: "keep", keep: position of the file that stays} | {kind: "apart"} | {kind: "skip"}. */
export class Decisions {
  constructor(library) {
    this.key = `${KEY}:${library}`;
    try {
      const stored = JSON.parse(sessionStorage.getItem(this.key)) ?? [];
      this.made = new Map(Array.isArray(stored) ? stored : []);
    } catch {
      this.made = new Map();
    }
  }

  get(group) {
    return this.made.get(group);
  }

  /** The latest decision of a group counts, and is the first to be undone. */
  set(group, decision) {
    this.made.delete(group);
    this.made.set(group, decision);
    this.#store();
  }

  /** Take the latest back; returns [group, decision], or null. */
  undo() {
    const last = [...this.made].pop() ?? null;
    if (last) this.made.delete(last[0]);
    this.#store();
    return last;
  }

  clear() {
    this.made.clear();
    this.#store();
  }

  /** What is to go, of the groups that are (still) there: [{group, keep, files}], positions in the group's files. */
  planned(groups) {
    return groups.flatMap((group) => {
      const decision = this.made.get(group.group);
      if (decision?.kind !== "keep" || decision.keep >= group.files.length) return [];
      return [{ group: group.group, keep: decision.keep, files: group.files.map((_, at) => at).filter((at) => at !== decision.keep) }];
    });
  }

  #store() {
    sessionStorage.setItem(this.key, JSON.stringify([...this.made]));
  }
}

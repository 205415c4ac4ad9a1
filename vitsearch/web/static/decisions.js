// What was decided about groups of duplicates so far: it survives a reload, and can be taken back step by step.

const KEY = "vitsearch-decisions";

/**
 * @typedef {{ kind: "keep" | "skip" | "apart", keep?: number, photos?: number[], batch?: number }} Decision
 *   `keep`: position of the file that stays; `photos`: those that were told apart. Decisions of one `batch` were made,
 *   and are taken back, together.
 */

export class Decisions {
  /** @param {string} library its folder */
  constructor(library) {
    this.key = `${KEY}:${library}`;
    /** @type {Map<string, Decision>} */
    this.made = new Map();
    try {
      const stored = JSON.parse(sessionStorage.getItem(this.key)) ?? [];
      if (Array.isArray(stored)) this.made = new Map(stored);
    } catch { /* what was stored is not ours */ }
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

  /** Keep the first file of all these groups; taken back in one step. */
  acceptAll(groups) {
    const batch = Date.now();
    for (const group of groups) {
      this.made.delete(group);
      this.made.set(group, { kind: "keep", keep: 0, batch });
    }
    this.#store();
  }

  /**
   * Take the latest back, with what was decided in the same step.
   * @returns {[string, Decision][]} what was taken back, the latest last
   */
  undo() {
    const last = [...this.made].pop();
    if (!last) return [];
    const { batch } = last[1];
    const taken = batch ? [...this.made].filter(([, one]) => one.batch === batch) : [last];
    for (const [name] of taken) this.made.delete(name);
    this.#store();
    return taken;
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

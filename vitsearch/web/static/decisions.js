// What was decided about groups of duplicates so far: it survives a reload, and can be taken back step by step.

const KEY = "vitsearch-decisions";

/**
 * @typedef {{ kind: "keep" | "skip" | "apart", keep?: number, photos?: number[], batch?: number, version?: string }} Decision
 *   `keep`: position of the file that stays; `photos`: those that were told apart. Decisions of one `batch` were made,
 *   and are taken back, together. `version`: that of the group when it was decided on.
 */

/** Whether a file of a group goes: what somebody edited stays beside the photo that it was made from. */
export const goes = (group, at, kept) => at !== kept && !(kept === 0 && group.files[at].edit);

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

  /** What was decided on a group as it is now: of one in which a later search found other files, nothing was. */
  get(group) {
    const decision = this.made.get(group.group);
    return decision?.version === group.version ? decision : undefined;
  }

  /** The latest decision of a group counts, and is the first to be undone. */
  set(group, decision) {
    this.made.delete(group.group);
    this.made.set(group.group, { ...decision, version: group.version });
    this.#store();
  }

  /** Keep the first file of all these groups; taken back in one step. */
  acceptAll(groups) {
    const batch = Date.now();
    for (const group of groups) {
      this.made.delete(group.group);
      this.made.set(group.group, { kind: "keep", keep: 0, batch, version: group.version });
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

  /** What is to go, of the groups that are (still) there: [{group, version, keep, files}], positions in its files. */
  planned(groups) {
    return groups.flatMap((group) => {
      const decision = this.get(group);
      if (decision?.kind !== "keep" || decision.keep >= group.files.length) return [];
      const files = [...group.files.keys()].filter((at) => goes(group, at, decision.keep));
      return files.length ? [{ group: group.group, version: group.version, keep: decision.keep, files }] : [];
    });
  }

  #store() {
    sessionStorage.setItem(this.key, JSON.stringify([...this.made]));
  }
}

// What a search asks for, as it stands in its address.

import { FILTERS } from "./filters.js";

export const PAGE = 60;
export const MOST = 1000;

/**
 * @typedef {{ kind: string, id: string, against: boolean }} Example a photo of the library or an upload
 * @typedef {{ examples: Example[], crop: number[] | null, text: string, k: number, distinct: boolean, filters: Record<string, string> }} Asked
 */

/** @param {URLSearchParams} parameters @returns {Asked} */
export function readQuery(parameters) {
  const example = (kind, against) => (id) => ({ kind, id, against });
  const examples = [
    ...parameters.getAll("photo").map(example("photo", false)),
    ...parameters.getAll("upload").map(example("upload", false)),
    ...parameters.getAll("not").map((one) => {
      const [kind, id] = one.split(/:(.*)/);
      return { kind, id, against: true };
    }),
  ];
  return {
    examples,
    crop: parameters.get("crop")?.split(",").map(Number) ?? null,
    text: parameters.get("text") ?? "",
    k: Math.min(MOST, Number(parameters.get("k")) || PAGE),
    distinct: parameters.get("distinct") === "true",
    filters: Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name)]).filter(([, value]) => value)),
  };
}

/** The parameters of the API and of the address. @param {Asked} asked */
export function writeQuery({ examples, crop, text, k, distinct, filters }) {
  const ids = (kind) => examples.filter((one) => !one.against && one.kind === kind).map((one) => one.id);
  return {
    photo: ids("photo"), upload: ids("upload"), not: examples.filter((one) => one.against).map((one) => `${one.kind}:${one.id}`),
    crop: crop?.join(","), text, k: k === PAGE ? "" : k, distinct, ...filters,
  };
}

/** Whether a search is for a label alone, whose photos are ranked by probability. @param {Asked} asked */
export const isByLabel = ({ examples, text, filters }) => Boolean(filters.label && !examples.length && !text);

/** @param {Asked} asked */
export const isEmpty = ({ examples, text, filters }) => !examples.length && !text && !filters.label;

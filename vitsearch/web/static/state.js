// What several views ask of the server, fetched once and again after the library has changed.

import { get, picturesAre } from "./api.js";

let status = null;
let facets = null;

export function libraryStatus({ fresh = false } = {}) {
  if (fresh || !status) {
    status = get("/api/status").then((answer) => { picturesAre(answer.images); return answer; });
    status.catch(() => { status = null; });
  }
  return status;
}

export function libraryFacets() {
  if (!facets) {
    facets = get("/api/facets");
    facets.catch(() => { facets = null; });
  }
  return facets;
}

export function forget() {
  status = null;
  facets = null;
}

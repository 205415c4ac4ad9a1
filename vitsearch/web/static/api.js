// Every request that the page makes goes through here.

export class ApiError extends Error {
  constructor(status, document) {
    super(document?.error ?? `the server answered ${status}`);
    this.status = status;
    this.document = document;
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { error: "vitsearch does not answer: is `vitsearch serve` still running?" });
  }
  const text = await response.text();
  let document = null;
  try { document = text ? JSON.parse(text) : null; } catch { document = { error: `the server answered ${response.status}` }; }
  if (!response.ok) throw new ApiError(response.status, document);
  return document;
}

/** A query string; empty values are left out, lists are repeated. */
export function query(parameters) {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "" && one !== false) out.append(name, one === true ? "true" : one);
    }
  }
  const text = out.toString();
  return text ? `?${text}` : "";
}

export const get = (path, parameters = {}, signal) => request(path + query(parameters), { signal });

let version = "";
/** What changes something says which library it means: photos have other numbers in another one. */
const changing = () => ({ "X-Vitsearch": "1", ...(version ? { "X-Vitsearch-Library": version } : {}) });
export const post = (path, body = {}) =>
  request(path, { method: "POST", headers: { ...changing(), "Content-Type": "application/json" }, body: JSON.stringify(body) });
export const remove = (path) => request(path, { method: "DELETE", headers: changing() });
export const upload = (image) =>
  request("/api/uploads", { method: "POST", headers: { ...changing(), "Content-Type": image.type || "application/octet-stream" }, body: image });

const sizes = [160, 320, 640];
/** With the library's version in their addresses, pictures are never asked for twice. A page is of one library. */
export function picturesAre(images) {
  if (version && images && images !== version) location.reload();
  version = version || images || "";
}
/** The smallest thumbnail that is sharp at this height on this screen. */
export function thumbnail(photo, height) {
  const needed = height * Math.min(devicePixelRatio, 2) * 0.9;
  return `/api/photos/${photo}/thumbnail${query({ height: sizes.find((size) => size >= needed) ?? 640, v: version })}`;
}
export const picture = (photo) => `/api/photos/${photo}/view${query({ v: version })}`;
export const heatmap = (photo) => `/api/photos/${photo}/heatmap${query({ v: version })}`;
export const uploaded = (token) => `/api/uploads/${encodeURIComponent(token)}/view`;

/** Server-sent events, with a stream that is closed while nobody looks: browsers allow only six connections. */
export function listen(handlers) {
  let source = null;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource("/api/events");
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => handle(event.data ? JSON.parse(event.data) : {}));
    }
  };
  const close = () => { source?.close(); source = null; };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

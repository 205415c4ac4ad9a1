// Where one is: real addresses, so that back, forward, bookmarks and shared links work.

let follow = () => {};

export function onNavigate(handler) {
  follow = handler;
}

export function go(address, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  follow();
}

/** The photos among which previous and next move, and the address that they came from. */
export const sequence = { ids: [], from: "/" };

export function openPhoto(ids, index) {
  sequence.ids = ids;
  sequence.from = location.pathname + location.search;
  go(`/photo/${ids[index]}`);
}

export const findLike = (photo) => go(`/search?photo=${photo}`);

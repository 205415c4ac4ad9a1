// Drawing a box on a picture, with the pointer or with the keyboard.

import { button, dialog, h } from "./dom.js";

/**
 * Ask for a region. `width`, `height`: the upright picture's own pixels. `chosen`: a region to begin with.
 * `onbox([x, y, w, h])` in those pixels, or `onbox(null)` for the whole picture.
 */
export function drawBox({ source, width, height, name, chosen = null }, onbox) {
  let region = chosen ?? [Math.round(width * 0.25), Math.round(height * 0.25), Math.round(width * 0.5), Math.round(height * 0.5)];
  let untouched = !chosen;
  const words = h("p", { class: "muted small number", role: "status" });
  const grip = h("div", { class: "grip", "aria-hidden": "true" });
  const box = h("div", {
    class: "region", tabindex: "0", role: "application", "aria-roledescription": "box", "aria-label": "Region to search for", "aria-describedby": "box-keys",
    onkeydown: pressed,
  }, grip);
  const image = h("img", { src: source, alt: name, draggable: false });
  const canvas = h("div", { class: "canvas", onpointerdown: held }, image, box);
  const ground = h("div", { class: "ground" }, canvas);

  function fit() {
    const room = { width: Math.min(1120, innerWidth - 72), height: innerHeight - 250 };
    const scale = Math.min(room.width / width, room.height / height, 4);
    for (const element of [canvas, image]) {
      element.style.width = `${width * scale}px`;
      element.style.height = `${height * scale}px`;
    }
    place();
  }

  function place() {
    const [x, y, w, h] = region;
    box.style.left = `${(100 * x) / width}%`;
    box.style.top = `${(100 * y) / height}%`;
    box.style.width = `${(100 * w) / width}%`;
    box.style.height = `${(100 * h) / height}%`;
    words.textContent = untouched ? "Drag over the part to search for." : `${w} × ${h} pixels, from ${x}, ${y}`;
  }

  function set(x, y, w, h) {
    const least = Math.min(16, width, height);
    const wide = Math.max(least, Math.min(Math.round(w), width));
    const tall = Math.max(least, Math.min(Math.round(h), height));
    region = [Math.max(0, Math.min(Math.round(x), width - wide)), Math.max(0, Math.min(Math.round(y), height - tall)), wide, tall];
    untouched = false;
    place();
  }

  function held(event) {
    if (event.button) return;
    event.preventDefault();
    box.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    const at = point(event);
    const from = [...region];
    const mode = event.target === grip ? "size" : event.target === box && !untouched ? "move" : "draw";
    const drag = (moved) => {
      const now = point(moved);
      const [dx, dy] = [now[0] - at[0], now[1] - at[1]];
      if (mode === "move") set(from[0] + dx, from[1] + dy, from[2], from[3]);
      else if (mode === "size") set(from[0], from[1], Math.min(from[2] + dx, width - from[0]), Math.min(from[3] + dy, height - from[1]));
      else if (Math.abs(dx) > 2 || Math.abs(dy) > 2) set(Math.min(at[0], now[0]), Math.min(at[1], now[1]), Math.abs(dx), Math.abs(dy));
    };
    const end = () => {
      canvas.removeEventListener("pointermove", drag);
      canvas.removeEventListener("pointerup", end);
      canvas.removeEventListener("pointercancel", end);
    };
    canvas.addEventListener("pointermove", drag);
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
  }

  function point(event) {
    const bounds = canvas.getBoundingClientRect();
    const inside = (value, most) => Math.max(0, Math.min(most, value));
    return [
      inside(((event.clientX - bounds.left) / bounds.width) * width, width),
      inside(((event.clientY - bounds.top) / bounds.height) * height, height),
    ];
  }

  function pressed(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const [x, y, w, h] = region;
    if (step) {
      event.preventDefault();
      const [dx, dy] = [step[0] * width * 0.02, step[1] * height * 0.02].map((by) => Math.sign(by) * Math.ceil(Math.abs(by)));
      if (event.shiftKey) set(x, y, w + dx, h + dy);
      else set(x + dx, y + dy, w, h);
    } else if (event.key === "Enter") {
      event.preventDefault();
      search();
    }
  }

  let close;
  function search() {
    close();
    onbox(region);
  }

  dialog("Search for a part of the picture", (closing) => {
    close = closing;
    return [
      ground,
      h("div", { class: "foot" },
        h("div", { class: "grow" }, words, h("p", { class: "muted small", id: "box-keys" }, "Keys: arrows move the box, Shift and arrows change its size, Enter searches.")),
        button("Whole picture", () => { close(); onbox(null); }),
        button("Search for this part", search, { kind: "first" })),
    ];
  }, { kind: "boxing", onclose: () => removeEventListener("resize", fit) });
  addEventListener("resize", fit);
  fit();
  box.focus();
}

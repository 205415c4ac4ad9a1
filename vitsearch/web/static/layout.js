// Where each photo of a grid goes, worked out from numbers alone: no element is measured, and none is made.

export const TITLE = 44;

/**
 * Rows of about `target` height that fill `width` exactly, section by section.
 *
 * `ratios`: width by height of each photo. `sections`: [{count, …}] in the order of the photos. A photo that is very
 * wide or very tall is cropped to between 1:2 and 3:1 in the grid. Returns typed columns: of a row, where it begins,
 * its top within the whole grid, its height; of a section, its first row and its place.
 */
export function justify({ ratios, sections, width, target, gap, caption = 0, titles = true }) {
  const rowStart = [];
  const rowTop = [];
  const rowHeight = [];
  const lefts = new Float32Array(ratios.length);
  const widths = new Float32Array(ratios.length);
  const placed = [];
  let top = 0;
  let photo = 0;
  for (const section of sections) {
    const end = photo + section.count;
    const firstRow = rowStart.length;
    const sectionTop = top;
    if (titles) top += TITLE;
    while (photo < end) {
      const start = photo;
      let sum = 0;
      let height = 0;
      while (photo < end) {
        const wider = sum + clamped(ratios[photo]);
        const next = (width - gap * (photo - start)) / wider;
        // One more photo makes the row lower: take it unless that leaves the row further from the target than it is.
        if (next < target && photo > start && height - target < target - next) break;
        sum = wider;
        height = next;
        photo += 1;
        if (height <= target) break;
      }
      const last = photo === end && height > target * 1.25;
      const tall = last ? target : Math.min(height, target * 1.6);
      let left = 0;
      for (let index = start; index < photo; index += 1) {
        lefts[index] = left;
        widths[index] = Math.min(clamped(ratios[index]) * tall, width - left);
        left += widths[index] + gap;
      }
      rowStart.push(start);
      rowTop.push(top);
      rowHeight.push(tall);
      top += tall + caption + gap;
    }
    placed.push({ ...section, top: sectionTop, height: top - sectionTop, firstRow, rows: rowStart.length - firstRow, first: end - section.count });
    top += titles ? gap * 3 : 0;
  }
  rowStart.push(photo);
  return {
    rowStart: Int32Array.from(rowStart), rowTop: Float64Array.from(rowTop), rowHeight: Float32Array.from(rowHeight),
    lefts, widths, sections: placed, rows: rowTop.length, height: top, caption, gap,
  };
}

const clamped = (ratio) => Math.min(3, Math.max(0.5, ratio || 1));

/** The last index whose value is at most `value` (0 where there is none); `values` ascend. */
export function lastAtMost(values, value, count = values.length) {
  let low = 0;
  let high = count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (values[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

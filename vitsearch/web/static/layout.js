// Where each photo of a grid goes, worked out from numbers alone: no element is measured, and none is made.

export const TITLE = 44;
// Sections that share a row: the space between two, and the least that a title takes.
const APART = 28;
const APART_NARROW = 12;
const LEAST = 118;

/**
 * Rows of about `target` height that fill `width` exactly, section by section.
 *
 * `ratios`: width by height of each photo. `sections`: [{count, …}] in the order of the photos. A photo that is very
 * wide or very tall is cropped to between 1:2 and 3:1 in the grid. With `flow`, neighbouring sections of few photos
 * share a row, except those that are `apart`.
 *
 * Returns typed columns: of a row, where it begins, its top within the whole grid, its height; of a band (one section,
 * or several in a row), its first row and its place; of a section, its band and where its title goes.
 */
export function justify({ ratios, sections, width, target, gap, caption = 0, titles = true, flow = false }) {
  const rows = { start: [], top: [], height: [] };
  const lefts = new Float32Array(ratios.length);
  const widths = new Float32Array(ratios.length);
  const bands = [];
  const placed = [];
  const space = width < 700 ? APART_NARROW : APART;
  const least = width < 700 ? LEAST * 0.85 : LEAST;
  const sums = flow && titles ? naturalSums(ratios, sections, width / target) : [];
  let top = 0;
  let photo = 0;

  const row = (start, end, height, left) => {
    for (let index = start; index < end; index += 1) {
      lefts[index] = left;
      widths[index] = Math.min(clamped(ratios[index]) * height, width - left);
      left += widths[index] + gap;
    }
  };
  const closeRow = (start, height) => {
    rows.start.push(start);
    rows.top.push(top);
    rows.height.push(height);
    top += height + caption + gap;
  };

  for (let number = 0; number < sections.length;) {
    const bandTop = top;
    const firstRow = rows.start.length;
    const together = countTogether(number);
    if (titles) top += TITLE;
    if (together > 1) {
      const height = sharedHeight(number, together);
      const start = photo;
      let left = 0;
      for (let each = number; each < number + together; each += 1) {
        const { count } = sections[each];
        const wide = wideOf(each, height);
        row(photo, photo + count, height, left);
        placed.push({ ...sections[each], first: photo, top: bandTop, left, wide, band: bands.length, firstRow });
        photo += count;
        left += wide + space;
      }
      closeRow(start, height);
    } else {
      const section = sections[number];
      const end = photo + section.count;
      placed.push({ ...section, first: photo, top: bandTop, left: 0, wide: width, band: bands.length, firstRow });
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
        row(start, photo, tall, 0);
        closeRow(start, tall);
      }
    }
    bands.push({ top: bandTop, height: top - bandTop, firstRow, sections: [number, number + together] });
    top += titles ? gap * 3 : 0;
    number += together;
  }
  rows.start.push(photo);
  return {
    rowStart: Int32Array.from(rows.start), rowTop: Float64Array.from(rows.top), rowHeight: Float32Array.from(rows.height),
    lefts, widths, bands, sections: placed, rows: rows.top.length, height: top, caption, gap,
  };

  /** How wide a section is in a shared row of this height. */
  function wideOf(number, height) {
    return Math.max(least, sums[number] * height + gap * (sections[number].count - 1));
  }

  /** How many sections from this one on share a row. */
  function countTogether(number) {
    let room = width;
    let count = 0;
    while (number + count < sections.length) {
      const next = number + count;
      if (!sums[next] || sections[next].apart) break;
      room -= wideOf(next, target * 0.85) + (count ? space : 0);
      if (room < 0) break;
      count += 1;
    }
    return Math.max(1, count);
  }

  /** The height at which a shared row fills the width, or the target where that would be far more. */
  function sharedHeight(number, count) {
    const wide = (height) => {
      let sum = space * (count - 1);
      for (let each = number; each < number + count; each += 1) sum += wideOf(each, height);
      return sum;
    };
    if (wide(target * 1.3) < width) return target;
    let [low, high] = [target * 0.85, target * 1.3];
    for (let step = 0; step < 14; step += 1) {
      const middle = (low + high) / 2;
      if (wide(middle) <= width) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** The summed ratios of each section that fits into one row, and 0 for those that do not. */
function naturalSums(ratios, sections, most) {
  let photo = 0;
  return sections.map(({ count }) => {
    let sum = 0;
    for (let index = photo; index < photo + count && sum <= most; index += 1) sum += clamped(ratios[index]);
    photo += count;
    return sum <= most * 0.8 ? sum : 0;
  });
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

// The arithmetic of justified rows: what the browser's flex lines will do, said in numbers, so that places are known before pictures are.
// Pure functions; nothing here touches the page.

// Panoramas and slivers are shown cropped between these, as the server writes them.
export const NARROWEST = 0.5;
export const WIDEST = 3.5;

// Breaks ratios into lines as `flex-wrap` does: a tile wants ratio × row pixels, a line takes what fits.
export function linesOf(ratios, width, row, gap) {
  const lines = [];
  let from = 0;
  let used = 0;
  let sum = 0;
  ratios.forEach((ratio, index) => {
    const wants = Math.min(ratio * row, width);
    if (index > from && used + gap + wants > width + 0.01) {
      lines.push({ from, to: index, sum });
      from = index;
      used = 0;
      sum = 0;
    }
    used += wants + (index > from ? gap : 0);
    sum += ratio;
  });
  if (ratios.length > from) lines.push({ from, to: ratios.length, sum });
  return lines;
}

// How much of its width the last line fills at this row height, 0 to 1.
function fillOfLast(ratios, width, row, gap) {
  const lines = linesOf(ratios, width, row, gap);
  const last = lines[lines.length - 1];
  return (last.sum * row + gap * (last.to - last.from - 1)) / width;
}

// The row height near `row` at which the last line comes out full: pieces of a long day must end flush, because the next piece follows at once.
export function flushRow(ratios, width, row, gap) {
  let best = row;
  let fullest = 0;
  for (let step = 0; step <= 24; step += 1) {
    const tried = row * (1 + (step % 2 ? 1 : -1) * Math.ceil(step / 2) * 0.012);
    const fill = fillOfLast(ratios, width, tried, gap);
    if (fill > fullest) {
      fullest = fill;
      best = tried;
    }
    if (fill > 0.94) break;
  }
  return best;
}

// How high `count` pictures will stand if all had the mean ratio. `flush`: the last line is stretched like the others.
export function estimateHeight(count, meanRatio, width, row, gap, flush) {
  const ratio = Math.min(Math.max(meanRatio, NARROWEST), WIDEST);
  const perLine = Math.max(1, Math.floor((width + gap) / (ratio * row + gap)));
  const lines = Math.ceil(count / perLine);
  const full = flush ? lines : Math.floor(count / perLine);
  const stretched = (width - (perLine - 1) * gap) / (perLine * ratio);
  return full * stretched + (lines - full) * Math.min(row, width / ratio) + Math.max(0, lines - 1) * gap;
}

// How wide a day is whose pictures stand in one line, but never narrower than its header: `.day` in gallery.css says the same.
export function lineWidth(count, meanRatio, row, gap, cell) {
  const sum = count * Math.min(Math.max(meanRatio, NARROWEST), WIDEST);
  return Math.max(cell, sum * row + (count - 1) * gap + 1);
}

// Puts neighbouring days of these widths into rows as `flex-wrap` does: one that is wider than a row has it to itself. Answers [from, to) for each row.
export function packDays(widths, width, aside) {
  const rows = [];
  let from = 0;
  let used = 0;
  widths.forEach((wants, index) => {
    if (index > from && used + aside + wants > width + 0.01) {
      rows.push([from, index]);
      from = index;
    }
    used = index > from ? used + aside + wants : wants;
  });
  if (widths.length > from) rows.push([from, widths.length]);
  return rows;
}

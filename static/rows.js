// Where every day of the library stands, in *virtual* pixels from its top, known before a single picture is: the geometry of the timeline.
//
// A day is one block, or several of at most 200 pictures when it is long. A row of the library holds one block, or several small days
// side by side. Apart from the timeline because nothing here touches the page.

import { estimateHeight, lineWidth, packDays } from "./layout.js";

export const BLOCK = 200;

export class Rows {
  // `days` are { day, count, ratio }, newest first.
  constructor(days) {
    this.days = days;
    this.blocks = [];
    this.firstBlock = new Int32Array(days.length + 1);
    days.forEach((day, index) => {
      this.firstBlock[index] = this.blocks.length;
      const pieces = Math.max(1, Math.ceil(day.count / BLOCK));
      day.step = Math.ceil(day.count / pieces);
      for (let piece = 0; piece < pieces; piece += 1) {
        this.blocks.push({ day: index, piece, count: Math.min(day.step, day.count - piece * day.step), isLast: piece === pieces - 1, row: 0, left: 0, width: 0 });
      }
    });
    this.firstBlock[days.length] = this.blocks.length;
  }

  // Lays all out anew for a page of these measures: width, row, gap, head, below, cell and aside, in pixels.
  lay(measures) {
    this.measures = measures;
    this.rows = [];
    const { width, row, gap, cell, aside } = measures;
    const widths = this.days.map(({ count, ratio }) => lineWidth(count, ratio, row, gap, cell));
    for (const [from, to] of packDays(widths, width, aside)) {
      if (widths[from] > width) this.#addLong(from);
      else this.#addLine(from, to, widths);
    }
    this.offsets = new Float64Array(this.rows.length + 1);
    this.sum();
  }

  // A day that needs several lines: how high they are is learned when the pictures are here.
  #addLong(day) {
    const { width, row, gap } = this.measures;
    for (let index = this.firstBlock[day]; index < this.firstBlock[day + 1]; index += 1) {
      const block = this.blocks[index];
      Object.assign(block, { row: this.rows.length, left: 0, width });
      const height = this.#around(block) + estimateHeight(block.count, this.days[day].ratio, width, row, gap, !block.isLast);
      this.rows.push({ first: index, end: index + 1, height, isExact: false, isLine: false });
    }
  }

  // Days side by side, a line each: their height is what it is.
  #addLine(from, to, widths) {
    const { row, head, below, aside } = this.measures;
    let left = 0;
    for (let day = from; day < to; day += 1) {
      Object.assign(this.blocks[this.firstBlock[day]], { row: this.rows.length, left, width: widths[day] });
      left += widths[day] + aside;
    }
    this.rows.push({ first: this.firstBlock[from], end: this.firstBlock[to], height: head + row + below, isExact: true, isLine: true });
  }

  // What a block has beside its pictures: the day's header, and room below.
  #around({ piece, isLast }) {
    return (piece === 0 ? this.measures.head : 0) + (isLast ? this.measures.below : this.measures.gap);
  }

  // Adds the heights up to places.
  sum() {
    let place = 0;
    this.rows.forEach(({ height }, index) => {
      this.offsets[index] = place;
      place += height;
    });
    this.offsets[this.rows.length] = place;
    this.total = place;
  }

  // The row at a place, as an index.
  at(place) {
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offsets[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // The first day of a row, as an index.
  dayOf(row) {
    return this.blocks[this.rows[row].first].day;
  }

  // The row a day begins in.
  rowOfDay(day) {
    return this.blocks[this.firstBlock[day]].row;
  }

  // The place of a day.
  placeOfDay(day) {
    return this.offsets[this.rowOfDay(day)];
  }

  // Where a block begins and ends.
  top(index) {
    return this.offsets[this.blocks[index].row];
  }

  bottom(index) {
    return this.offsets[this.blocks[index].row + 1];
  }

  // How high the pictures of a block are, or will be.
  heightInside(index) {
    const block = this.blocks[index];
    return Math.max(0, this.rows[block.row].height - this.#around(block));
  }

  isLine(index) {
    return this.rows[this.blocks[index].row].isLine;
  }

  // Takes over how high the pictures of a block turned out; returns whether that is new.
  learn(index, height) {
    const block = this.blocks[index];
    const row = this.rows[block.row];
    if (row.isLine) return false;
    const all = this.#around(block) + height;
    const isNew = Math.abs(all - row.height) > 0.01;
    row.height = all;
    row.isExact = true;
    return isNew;
  }

  // The first day that is not newer than `day` (YYYY-MM-DD), as an index; the oldest when all are newer.
  indexOf(day) {
    let low = 0;
    let high = this.days.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.days[middle].day <= day) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

// The timeline: every day of the library has its place from the start (rows.js), and only what is near the screen exists as elements.
//
// Places are *virtual* pixels from the top of the library. `base` is the virtual place of the top of the element, because a million photographs are
// higher than browsers allow an element to be; it is also what changes when a height above the screen turns out different from its estimate, so that
// nothing a person looks at moves.

import { dayFromNumber, longDay, photos } from "./dates.js";
import { flushRow } from "./layout.js";
import { Loader } from "./loader.js";
import { marksOf, showTileMarks } from "./marks.js";
import { dress } from "./pictures.js";
import { Rows } from "./rows.js";

const TALLEST_PX = 8_000_000;
const FRAME_MS = 9;
const REST_MS = 140;

export class Timeline extends EventTarget {
  constructor(root, days, query) {
    super();
    this.root = root;
    this.days = days;
    this.rows = new Rows(days);
    this.loader = new Loader(this.rows, query, () => this.#soon());
    this.base = 0;
    this.sections = new Map();
    this.isHeld = false;
    this.#measurePage();
  }

  // The days as the server writes them: [days since 1970, count, sum of ratios in thousandths], newest first.
  static daysFrom(json) {
    let number = 0;
    return json.days.map(([back, count, ratioMilliSum]) => {
      number -= back;
      return { day: dayFromNumber(number), count, ratio: ratioMilliSum / 1000 / Math.max(1, count) };
    });
  }

  // Takes the page over: what the server wrote is kept where it is whole.
  start(place) {
    this.loader.adopt(this.root);
    this.root.classList.add("virtual");
    for (const child of [...this.root.children]) child.remove();
    history.scrollRestoration = "manual";
    addEventListener("scroll", () => this.#onScroll(), { passive: true });
    new ResizeObserver(() => this.#onResize()).observe(this.root);
    this.#applyHeight();
    if (place) this.goToPlace(place);
    this.render();
  }

  // All tiles that are here, on the page or not.
  *tiles() {
    for (const tiles of this.loader.ready.values()) yield* tiles.children;
  }

  // The tiles of a picture that are here.
  tilesOf(id) {
    return [...this.tiles()].filter((tile) => tile.dataset.id === String(id));
  }

  // Shows what the server says now about stars, flags and colours.
  renew() {
    return this.loader.renew((tile, fresh) => showTileMarks(tile, marksOf(fresh)));
  }

  #measurePage() {
    const style = getComputedStyle(this.root);
    const px = (name) => Number.parseFloat(style.getPropertyValue(name));
    this.head = px("--head");
    this.bar = px("--bar");
    this.row = px("--row");
    this.gap = px("--gap");
    this.width = this.root.clientWidth;
    this.origin = this.root.getBoundingClientRect().top + scrollY - this.bar;
    this.rows.lay({ width: this.width, row: this.row, gap: this.gap, head: this.head, below: px("--below"), cell: px("--cell"), aside: px("--aside") });
  }

  #applyHeight() {
    this.root.style.height = `${Math.min(this.rows.total, TALLEST_PX)}px`;
  }

  // How high the library is.
  get total() {
    return this.rows.total;
  }

  // The virtual place just under the bar.
  get place() {
    return scrollY - this.origin + this.base;
  }

  // How far one can scroll, in virtual pixels.
  get range() {
    return Math.max(1, this.total - (innerHeight - this.bar));
  }

  // The day under the bar, as an index: of several side by side the one that was asked for last, else the first.
  get topDay() {
    if (!this.days.length) return -1;
    const { rows, asked } = this;
    const top = rows.at(Math.max(0, this.place + this.head / 2));
    const isThere = asked !== undefined && (rows.rowOfDay(asked) === top || Math.abs(this.place - this.askedPlace) < 2);
    return isThere ? asked : rows.dayOf(top);
  }

  // The virtual place of a day.
  placeOfDay(index) {
    return this.rows.placeOfDay(index);
  }

  indexOf(day) {
    return this.rows.indexOf(day);
  }

  // What to remember in order to come back to this very place.
  whereabouts() {
    const { rows } = this;
    if (!this.days.length) return null;
    // A pixel further in, because the browser rounds positions and the day before is not meant.
    const row = rows.at(Math.max(0, this.place + 1));
    const { day, piece } = rows.blocks[rows.rows[row].first];
    const isAsked = this.asked !== undefined && rows.rowOfDay(this.asked) === row;
    return { day: this.days[isAsked ? this.asked : day].day, piece, below: Math.round(this.place - rows.offsets[row]) };
  }

  goToPlace({ day, piece = 0, below = 0 }) {
    const { rows } = this;
    const index = this.indexOf(day);
    const isThere = this.days[index]?.day === day;
    const block = Math.min(rows.firstBlock[index] + (isThere ? piece : 0), rows.firstBlock[index + 1] - 1);
    this.goTo(rows.top(block) + (isThere ? below : 0));
    this.#remember(index);
  }

  goToDay(index) {
    this.goTo(index <= 0 ? -this.origin : this.placeOfDay(index));
    this.#remember(index);
  }

  // Of several days in a row, and at the end of the library, the place alone does not tell which day was meant.
  #remember(index) {
    this.asked = index;
    this.askedPlace = this.place;
  }

  // Shows a virtual place at once.
  goTo(place) {
    this.asked = undefined;
    const wanted = Math.max(-this.origin, Math.min(place, this.range));
    this.#settle(wanted);
    this.render();
  }

  // Chooses base and scroll position for a virtual place: equal when all fits, in proportion when the library is higher than an element may be.
  #settle(place) {
    this.#applyHeight();
    const isHigh = this.total > TALLEST_PX;
    const share = isHigh && place > 0 ? (TALLEST_PX - (innerHeight - this.bar)) / this.range : 1;
    const physical = place > 0 ? Math.round(place * share) : place;
    this.base = place - physical;
    if (Math.abs(scrollY - (this.origin + physical)) > 0.5) scrollTo({ top: this.origin + physical, behavior: "instant" });
    // The browser rounds to device pixels: what it kept is the truth.
    this.base = place - (scrollY - this.origin);
    if (Math.abs(this.base) < 1) this.base = 0;
    this.#position();
  }

  #onScroll() {
    this.#soon();
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.#onRest(), REST_MS);
    // Near an end of the element that is no end of the library there is no time to wait for rest.
    if (this.base !== 0 && (scrollY < innerHeight || scrollY > document.documentElement.scrollHeight - 2 * innerHeight)) this.#settle(this.place);
  }

  #soon() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.render();
    });
  }

  #onRest() {
    if (this.isHeld) return;
    if (this.base !== 0 && this.total <= TALLEST_PX) this.#settle(this.place);
    this.render();
    this.dispatchEvent(new Event("rest"));
  }

  #onResize() {
    const { rows } = this;
    const width = this.root.clientWidth;
    const origin = this.root.getBoundingClientRect().top + scrollY - this.bar;
    if (width === this.width) {
      // Only what stands above has grown or shrunk.
      const place = this.place;
      if (Math.abs(origin - this.origin) > 0.5) {
        this.origin = origin;
        if (place > 0) this.#settle(place);
      }
      return;
    }
    // What stands under the bar stands there again, in whatever company it finds itself.
    const isTop = this.place <= 0;
    const row = rows.at(Math.max(0, this.place));
    const block = rows.rows[row]?.first ?? -1;
    const share = block < 0 ? 0 : (this.place - rows.offsets[row]) / rows.rows[row].height;
    this.#measurePage();
    this.#position();
    this.#eachPiece((index, piece) => this.#fit(index, piece));
    this.#eachPiece((index, piece) => this.#learn(index, piece));
    rows.sum();
    if (block >= 0 && !isTop) this.#settle(rows.top(block) + share * (rows.bottom(block) - rows.top(block)));
    else this.#applyHeight();
    this.render();
  }

  #eachPiece(act) {
    for (const { pieces } of this.sections.values()) for (const [index, piece] of pieces) act(index, piece);
  }

  // Makes the elements near the screen, and removes those far from it.
  render() {
    const { rows, loader } = this;
    if (!this.days.length) return;
    const top = this.place;
    const near = innerHeight * 1.75;
    const first = rows.rows[rows.at(Math.max(0, top - near))].first;
    const last = rows.rows[rows.at(Math.max(0, top + innerHeight + near))].end - 1;
    const isSeen = (index) => rows.top(index) < top + innerHeight && rows.bottom(index) > top;
    this.#removeOutside(first, last);
    const began = performance.now();
    const lacking = [];
    const fresh = [];
    let isCut = false;
    for (const index of this.#fromMiddle(first, last, top + innerHeight / 2)) {
      const section = this.#section(rows.blocks[index].day);
      if (section.pieces.get(index)?.isFull) continue;
      const tiles = loader.get(index);
      if (!tiles) {
        this.#ghost(section, index);
        lacking.push(index);
      } else if (isCut || (fresh.length && performance.now() - began > FRAME_MS && !isSeen(index))) {
        isCut = true;
        this.#ghost(section, index);
      } else {
        this.#mount(section, index, tiles);
        fresh.push(index);
      }
    }
    if (fresh.length) this.#learnAll(fresh);
    this.#position();
    if (fresh.length) this.dispatchEvent(new CustomEvent("mounted", { detail: { root: this.root } }));
    if (isCut) this.#soon();
    loader.fetch(lacking, this.isHeld);
    this.dispatchEvent(new Event("moved"));
  }

  // Block indices from first to last, nearest to a place first.
  #fromMiddle(first, last, place) {
    const { rows } = this;
    const indices = [];
    for (let index = first; index <= last; index += 1) indices.push(index);
    const distance = (index) => Math.abs((rows.top(index) + rows.bottom(index)) / 2 - place);
    return indices.sort((a, b) => distance(a) - distance(b) || a - b);
  }

  #removeOutside(first, last) {
    const focused = document.activeElement;
    for (const [day, section] of this.sections) {
      if (section.element.contains(focused)) continue;
      for (const [index, piece] of section.pieces) {
        if (index < first || index > last) {
          piece.element.remove();
          section.pieces.delete(index);
        }
      }
      if (!section.pieces.size) {
        section.element.remove();
        this.sections.delete(day);
      }
    }
  }

  // The element of a day, made in its place among the others so that the order of reading is the order of days.
  #section(day) {
    const known = this.sections.get(day);
    if (known) return known;
    const { day: date, count } = this.days[day];
    const element = document.createElement("section");
    element.className = "day";
    element.dataset.day = date;
    element.setAttribute("aria-labelledby", `day-${date}`);
    const [weekday, rest] = longDay(date);
    element.innerHTML = `<h2 class="day-head" id="day-${date}"><time datetime="${date}"><span class="weekday">${weekday}, </span>${rest}</time> <span class="count">${photos(count)}</span><button type="button" class="pick-day">Select</button></h2>`;
    let next = null;
    for (const [other, { element: candidate }] of this.sections) {
      if (other > day && (!next || other < next.day)) next = { day: other, element: candidate };
    }
    this.root.insertBefore(element, next?.element ?? null);
    const section = { element, pieces: new Map() };
    this.sections.set(day, section);
    return section;
  }

  #ghost(section, index) {
    if (section.pieces.has(index)) return;
    const element = document.createElement("div");
    element.className = "ghost";
    section.element.append(element);
    section.pieces.set(index, { element, isFull: false });
  }

  #mount(section, index, tiles) {
    section.pieces.get(index)?.element.remove();
    let next = null;
    for (const [other, { element }] of section.pieces) if (other > index && (!next || other < next.index)) next = { index: other, element };
    section.element.insertBefore(tiles, next?.element ?? null);
    const piece = { element: tiles, isFull: true };
    section.pieces.set(index, piece);
    this.#fit(index, piece);
    dress(tiles);
    this.loader.touch(index);
  }

  // Gives the pieces of a long day the row height at which they end flush.
  #fit(index, { element, isFull }) {
    if (!isFull || this.rows.blocks[index].isLast) return;
    element.classList.add("more");
    const ratios = [...element.children].map((tile) => Number(tile.style.getPropertyValue("--r")));
    if (ratios.length) element.style.setProperty("--row", `${flushRow(ratios, this.width, this.row, this.gap)}px`);
  }

  // Takes the true height of a block over from the page; returns whether it was another.
  #learn(index, { element, isFull }) {
    return isFull && !this.rows.isLine(index) && this.rows.learn(index, element.getBoundingClientRect().height);
  }

  // Learns heights, and holds what is looked at: the first row on the screen whose height was known before.
  #learnAll(indices) {
    const { rows } = this;
    const top = this.place;
    // A pixel further in: rounded positions must not make the end of the day before the thing to hold.
    let anchor = rows.at(Math.max(0, top + 1));
    const bottom = top + innerHeight;
    for (let index = anchor; index < rows.rows.length && rows.offsets[index] < bottom; index += 1) {
      if (rows.rows[index].isExact) {
        anchor = index;
        break;
      }
    }
    const below = top - rows.offsets[anchor];
    let isChanged = false;
    for (const index of indices) {
      const piece = this.sections.get(rows.blocks[index].day)?.pieces.get(index);
      if (piece && this.#learn(index, piece)) isChanged = true;
    }
    if (!isChanged) return;
    rows.sum();
    if (top > 0) this.base += rows.offsets[anchor] + below - top;
    this.#applyHeight();
  }

  // Puts every element in its place.
  #position() {
    const { rows } = this;
    for (const [day, { element, pieces }] of this.sections) {
      const first = rows.firstBlock[day];
      const start = rows.top(first);
      const isLine = rows.isLine(first);
      element.classList.toggle("line", isLine);
      const { left, width } = rows.blocks[first];
      put(element, { top: start - this.base, height: rows.bottom(rows.firstBlock[day + 1] - 1) - start, left: isLine ? left : "", width: isLine ? width : "" });
      for (const [index, { element: piece, isFull }] of pieces) {
        const head = rows.blocks[index].piece === 0 ? this.head : 0;
        put(piece, { top: rows.top(index) - start + head, height: isFull ? "" : rows.heightInside(index) });
      }
    }
  }
}

// Writes places, and only those that changed: writing is what costs.
function put(element, places) {
  for (const [name, value] of Object.entries(places)) {
    const text = value === "" ? "" : `${value}px`;
    const key = `at${name}`;
    if ((element.dataset[key] ?? "") === text) continue;
    element.dataset[key] = text;
    element.style[name] = text;
  }
}

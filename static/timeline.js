// The timeline: every day of the library has its place from the start, and only what is near the screen exists as elements.
//
// Places are *virtual* pixels from the top of the library. `base` is the virtual place of the top of the element, because a million photographs are
// higher than browsers allow an element to be; it is also what changes when a height above the screen turns out different from its estimate, so that
// nothing a person looks at moves. A day is one block, or several of at most 200 pictures when it is long.

import { dayFromNumber, longDay, photos } from "./dates.js";
import { estimateHeight, flushRow } from "./layout.js";
import { dress } from "./pictures.js";

const BLOCK = 200;
const TALLEST_PX = 8_000_000;
const BELOW_DAY_PX = 14;
const REQUESTS = 3;
const KEPT_TILES = 4000;
const FRAME_MS = 9;
const REST_MS = 140;

export class Timeline extends EventTarget {
  constructor(root, days, query) {
    super();
    this.root = root;
    this.query = query;
    this.days = days;
    this.base = 0;
    this.sections = new Map();
    this.ready = new Map();
    this.loading = new Map();
    this.marks = new Map();
    this.failedUntil = 0;
    this.isHeld = false;
    this.#cut();
    this.#measurePage();
    this.#estimateAll();
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
    this.#adopt();
    this.root.classList.add("virtual");
    for (const section of [...this.root.children]) section.remove();
    history.scrollRestoration = "manual";
    addEventListener("scroll", () => this.#onScroll(), { passive: true });
    new ResizeObserver(() => this.#onResize()).observe(this.root);
    this.#applyHeight();
    if (place) this.goToPlace(place);
    this.render();
  }

  // Cuts days into blocks.
  #cut() {
    this.firstBlock = new Int32Array(this.days.length + 1);
    const blocks = [];
    this.days.forEach((day, index) => {
      this.firstBlock[index] = blocks.length;
      const pieces = Math.max(1, Math.ceil(day.count / BLOCK));
      day.step = Math.ceil(day.count / pieces);
      for (let piece = 0; piece < pieces; piece += 1) {
        blocks.push({ day: index, piece, count: Math.min(day.step, day.count - piece * day.step), isLast: piece === pieces - 1, height: 0, isExact: false });
      }
    });
    this.firstBlock[this.days.length] = blocks.length;
    this.blocks = blocks;
    this.offsets = new Float64Array(blocks.length + 1);
  }

  #measurePage() {
    const style = getComputedStyle(this.root);
    const px = (name) => Number.parseFloat(style.getPropertyValue(name));
    this.row = px("--row");
    this.gap = px("--gap");
    this.head = px("--head");
    this.bar = px("--bar");
    this.width = this.root.clientWidth;
    this.origin = this.root.getBoundingClientRect().top + scrollY - this.bar;
  }

  #estimateAll() {
    for (const block of this.blocks) {
      block.isExact = false;
      block.height = this.#around(block) + estimateHeight(block.count, this.days[block.day].ratio, this.width, this.row, this.gap, !block.isLast);
    }
    this.#sum();
  }

  // What a block has beside its rows: the day's header, and room below.
  #around(block) {
    return (block.piece === 0 ? this.head : 0) + (block.isLast ? BELOW_DAY_PX : this.gap);
  }

  #sum() {
    let place = 0;
    this.blocks.forEach((block, index) => {
      this.offsets[index] = place;
      place += block.height;
    });
    this.offsets[this.blocks.length] = place;
    this.total = place;
  }

  #applyHeight() {
    this.root.style.height = `${Math.min(this.total, TALLEST_PX)}px`;
  }

  // The block at a virtual place.
  #blockAt(place) {
    let low = 0;
    let high = this.blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offsets[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // The virtual place just under the bar.
  get place() {
    return scrollY - this.origin + this.base;
  }

  // How far one can scroll, in virtual pixels.
  get range() {
    return Math.max(1, this.total - (innerHeight - this.bar));
  }

  // The day under the bar, as an index.
  get topDay() {
    return this.blocks.length ? this.blocks[this.#blockAt(Math.max(0, this.place + this.head / 2))].day : -1;
  }

  // The virtual place of a day.
  placeOfDay(index) {
    return this.offsets[this.firstBlock[index]];
  }

  // The first day that is not newer than `day` (YYYY-MM-DD); the oldest when all are newer.
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

  // What to remember in order to come back to this very place.
  whereabouts() {
    if (!this.blocks.length) return null;
    // A pixel further in, because the browser rounds positions and the day before is not meant.
    const block = this.#blockAt(Math.max(0, this.place + 1));
    const { day, piece } = this.blocks[block];
    return { day: this.days[day].day, piece, below: Math.round(this.place - this.offsets[block]) };
  }

  goToPlace({ day, piece = 0, below = 0 }) {
    const index = this.indexOf(day);
    const isThere = this.days[index]?.day === day;
    const block = Math.min(this.firstBlock[index] + (isThere ? piece : 0), this.firstBlock[index + 1] - 1);
    this.goTo(this.offsets[block] + (isThere ? below : 0));
  }

  goToDay(index) {
    this.goTo(index <= 0 ? -this.origin : this.placeOfDay(index));
  }

  // Shows a virtual place at once.
  goTo(place) {
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
    if (!this.frame) this.frame = requestAnimationFrame(() => this.#tick());
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.#onRest(), REST_MS);
    // Near an end of the element that is no end of the library there is no time to wait for rest.
    if (this.base !== 0 && (scrollY < innerHeight || scrollY > document.documentElement.scrollHeight - 2 * innerHeight)) this.#settle(this.place);
  }

  #tick() {
    this.frame = 0;
    this.render();
  }

  #onRest() {
    if (this.isHeld) return;
    if (this.base !== 0 && this.total <= TALLEST_PX) this.#settle(this.place);
    this.render();
    this.dispatchEvent(new Event("rest"));
  }

  #onResize() {
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
    const block = this.blocks.length ? this.#blockAt(Math.max(0, this.place)) : -1;
    const share = block >= 0 ? (this.place - this.offsets[block]) / this.blocks[block].height : 0;
    const isTop = this.place <= 0;
    this.#measurePage();
    this.#estimateAll();
    for (const { pieces } of this.sections.values()) for (const [index, element] of pieces) this.#fit(index, element);
    for (const { pieces } of this.sections.values()) for (const [index, element] of pieces) this.#learn(index, element);
    this.#sum();
    if (block >= 0 && !isTop) this.#settle(this.offsets[block] + share * this.blocks[block].height);
    else this.#applyHeight();
    this.render();
  }

  // Makes the elements near the screen, and removes those far from it.
  render() {
    if (!this.blocks.length) return;
    const top = this.place;
    const near = innerHeight * 1.75;
    const first = this.#blockAt(Math.max(0, top - near));
    const last = this.#blockAt(Math.max(0, top + innerHeight + near));
    const isSeen = (index) => this.offsets[index] < top + innerHeight && this.offsets[index + 1] > top;
    this.#removeOutside(first, last);
    const began = performance.now();
    const lacking = [];
    const fresh = [];
    let isCut = false;
    for (const index of this.#fromMiddle(first, last, top + innerHeight / 2)) {
      const section = this.#section(this.blocks[index].day);
      if (section.pieces.get(index)?.isFull) continue;
      const tiles = this.ready.get(index);
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
    if (isCut && !this.frame) this.frame = requestAnimationFrame(() => this.#tick());
    this.#fetch(lacking);
    this.dispatchEvent(new Event("moved"));
  }

  // Block indices from first to last, nearest to a place first.
  #fromMiddle(first, last, place) {
    const indices = [];
    for (let index = first; index <= last; index += 1) indices.push(index);
    const distance = (index) => Math.abs((this.offsets[index] + this.offsets[index + 1]) / 2 - place);
    return indices.sort((a, b) => distance(a) - distance(b));
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
    element.innerHTML = `<h2 class="day-head" id="day-${date}"><time datetime="${date}">${longDay(date)}</time><span class="count">${photos(count)}</span><button type="button" class="pick-day">Select</button></h2>`;
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
    this.ready.delete(index);
    this.ready.set(index, tiles);
  }

  // Gives the pieces of a long day the row height at which they end flush.
  #fit(index, { element, isFull }) {
    const block = this.blocks[index];
    if (!isFull || block.isLast) return;
    element.classList.add("more");
    const ratios = [...element.children].map((tile) => Number(tile.style.getPropertyValue("--r")));
    if (ratios.length) element.style.setProperty("--row", `${flushRow(ratios, this.width, this.row, this.gap)}px`);
  }

  // Takes the true height of a block over from the page; returns whether it was another.
  #learn(index, { element, isFull }) {
    if (!isFull) return false;
    const block = this.blocks[index];
    const height = this.#around(block) + element.getBoundingClientRect().height;
    const isNew = Math.abs(height - block.height) > 0.01;
    block.height = height;
    block.isExact = true;
    return isNew;
  }

  // Learns heights, and holds what is looked at: the first block on the screen whose height was known before.
  #learnAll(indices) {
    const top = this.place;
    // A pixel further in: rounded positions must not make the end of the day before the thing to hold.
    let anchor = this.#blockAt(Math.max(0, top + 1));
    const bottom = top + innerHeight;
    for (let index = anchor; index < this.blocks.length && this.offsets[index] < bottom; index += 1) {
      if (this.blocks[index].isExact) {
        anchor = index;
        break;
      }
    }
    const below = top - this.offsets[anchor];
    let isChanged = false;
    for (const index of indices) {
      const piece = this.sections.get(this.blocks[index].day)?.pieces.get(index);
      if (piece && this.#learn(index, piece)) isChanged = true;
    }
    if (!isChanged) return;
    this.#sum();
    if (top > 0) this.base += this.offsets[anchor] + below - top;
    this.#applyHeight();
  }

  #position() {
    for (const [day, { element, pieces }] of this.sections) {
      const first = this.firstBlock[day];
      const start = this.offsets[first];
      const put = (target, top, height) => {
        if (target.dataset.top !== String(top)) {
          target.dataset.top = top;
          target.style.top = `${top}px`;
        }
        if (height !== undefined) target.style.height = `${height}px`;
      };
      put(element, start - this.base, this.offsets[this.firstBlock[day + 1]] - start);
      for (const [index, { element: piece, isFull }] of pieces) {
        const block = this.blocks[index];
        const head = block.piece === 0 ? this.head : 0;
        put(piece, this.offsets[index] - start + head, isFull ? undefined : Math.max(0, block.height - this.#around(block)));
      }
    }
  }

  // Keeps the days that the server wrote whole.
  #adopt() {
    for (const section of this.root.querySelectorAll(".day")) {
      const index = this.indexOf(section.dataset.day);
      const day = this.days[index];
      const tiles = section.querySelector(".tiles");
      const block = this.firstBlock[index];
      if (day?.day !== section.dataset.day || !tiles || tiles.children.length !== day.count || this.firstBlock[index + 1] - block !== 1) continue;
      tiles.classList.add("chunk");
      this.ready.set(block, tiles);
    }
  }

  // Asks for what is lacking, nearest first; while the scrubber is dragged only where it rests.
  #fetch(lacking) {
    const wanted = new Set(lacking);
    for (const [index, request] of this.loading) {
      if (!wanted.has(index) && !request.blocks.some((block) => wanted.has(block))) request.abort.abort();
    }
    if (this.isHeld || performance.now() < this.failedUntil) return;
    let running = new Set(this.loading.values()).size;
    for (const index of lacking) {
      if (running >= REQUESTS) return;
      if (this.loading.has(index)) continue;
      this.#request(this.#company(index, wanted));
      running += 1;
    }
  }

  // The neighbours of a block that come along in one request.
  #company(index, wanted) {
    const isWhole = (candidate) => this.blocks[candidate].isLast && this.blocks[candidate].piece === 0;
    if (!isWhole(index)) return [index];
    const blocks = [index];
    let count = this.blocks[index].count;
    const takes = (candidate) => candidate >= 0 && candidate < this.blocks.length && wanted.has(candidate) && !this.loading.has(candidate) && isWhole(candidate) && count + this.blocks[candidate].count <= BLOCK;
    for (let next = index + 1; takes(next); next += 1) {
      blocks.push(next);
      count += this.blocks[next].count;
    }
    for (let next = index - 1; takes(next); next -= 1) {
      blocks.unshift(next);
      count += this.blocks[next].count;
    }
    return blocks;
  }

  async #request(blocks) {
    const request = { blocks, abort: new AbortController() };
    for (const index of blocks) this.loading.set(index, request);
    try {
      await this.#load(blocks, request.abort.signal);
    } catch (error) {
      if (error.name !== "AbortError") {
        // The server is away for a moment: leave it in peace for a while, then look again.
        this.failedUntil = performance.now() + 2500;
        setTimeout(() => this.render(), 2600);
      }
    } finally {
      for (const index of blocks) this.loading.delete(index);
      if (!this.frame) this.frame = requestAnimationFrame(() => this.#tick());
    }
  }

  async #load(blocks, signal) {
    const { day, piece } = this.blocks[blocks[0]];
    const newest = this.days[day];
    const oldest = this.days[this.blocks[blocks[blocks.length - 1]].day];
    const query = new URLSearchParams(this.query);
    query.set("newest", newest.day);
    query.set("oldest", oldest.day);
    if (newest.count > BLOCK) {
      if (piece > 0) query.set("after", (await this.#marksOf(newest, signal))[piece - 1] ?? "");
      query.set("limit", newest.step);
    }
    const response = await fetch(`/days?${query}`, { signal, headers: { "HX-Request": "true" } });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const template = document.createElement("template");
    template.innerHTML = await response.text();
    const byDay = new Map([...template.content.querySelectorAll(".day")].map((section) => [section.dataset.day, section.querySelector(".tiles")]));
    for (const index of blocks) {
      const tiles = byDay.get(this.days[this.blocks[index].day].day) ?? document.createElement("ol");
      tiles.className = "tiles chunk";
      this.ready.set(index, tiles);
    }
    this.#forget();
  }

  // Where the pieces of a long day begin: asked once a day.
  #marksOf({ day, step }, signal) {
    if (!this.marks.has(day)) {
      const query = new URLSearchParams(this.query);
      query.set("day", day);
      query.set("every", step);
      const asked = fetch(`/days/marks?${query}`, { signal }).then((response) => {
        if (!response.ok) throw new Error(`the server answered ${response.status}`);
        return response.json();
      });
      asked.catch(() => this.marks.delete(day));
      this.marks.set(day, asked);
    }
    return this.marks.get(day);
  }

  // Drops what was seen longest ago and is not on the page.
  #forget() {
    let tiles = 0;
    for (const list of this.ready.values()) tiles += list.children.length;
    for (const [index, list] of this.ready) {
      if (tiles <= KEPT_TILES) return;
      if (list.isConnected) continue;
      tiles -= list.children.length;
      this.ready.delete(index);
    }
  }
}

// The ruler on the right edge: years and months where they stand in the library, to be dragged, clicked, touched or moved by keys.

import { longMonth } from "./dates.js";

const LABEL_PX = 20;
const SETTLE_MS = 70;
const AWAKE_MS = 1600;

export class Scrubber {
  constructor(timeline) {
    this.timeline = timeline;
    this.element = document.createElement("div");
    this.element.className = "scrubber";
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "slider");
    this.element.setAttribute("aria-orientation", "vertical");
    this.element.setAttribute("aria-label", "Date");
    this.element.setAttribute("aria-valuemin", "0");
    this.element.setAttribute("aria-valuemax", String(Math.max(0, timeline.days.length - 1)));
    this.marks = document.createElement("div");
    this.marks.setAttribute("aria-hidden", "true");
    this.here = document.createElement("div");
    this.here.className = "here";
    this.label = document.createElement("div");
    this.label.className = "label";
    this.label.setAttribute("aria-hidden", "true");
    this.element.append(this.marks, this.here, this.label);
    document.body.append(this.element);
    document.documentElement.classList.add("has-scrubber");
    this.#listen();
    this.draw();
    this.follow();
  }

  #listen() {
    this.timeline.addEventListener("moved", () => this.follow());
    this.timeline.addEventListener("rest", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.element);
    this.element.addEventListener("pointerdown", (event) => this.#grab(event));
    this.element.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) this.element.addEventListener(name, () => this.#release());
    this.element.addEventListener("pointerleave", () => this.follow());
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("wheel", (event) => scrollBy({ top: event.deltaY }), { passive: true });
  }

  // The share of the way down at a pointer.
  #shareAt(event) {
    const { top, height } = this.element.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientY - top) / height));
  }

  #grab(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    this.element.classList.add("dragging");
    this.element.focus({ preventScroll: true });
    this.timeline.isHeld = true;
    this.#jump(this.#shareAt(event));
  }

  #move(event) {
    if (this.timeline.isHeld) this.#jump(this.#shareAt(event));
    else this.#name(this.#shareAt(event));
  }

  #release() {
    if (!this.timeline.isHeld) return;
    clearTimeout(this.settle);
    this.timeline.isHeld = false;
    this.element.classList.remove("dragging");
    this.timeline.render();
    this.timeline.dispatchEvent(new Event("rest"));
  }

  #jump(share) {
    this.timeline.goTo(share * this.timeline.range);
    this.#name(share);
    // Resting while holding shows the pictures.
    clearTimeout(this.settle);
    this.settle = setTimeout(() => {
      if (!this.timeline.isHeld) return;
      this.timeline.isHeld = false;
      this.timeline.render();
      this.timeline.isHeld = true;
    }, SETTLE_MS);
  }

  // Writes the month at a share of the way, there.
  #name(share) {
    const { timeline } = this;
    const place = share * timeline.range;
    let low = 0;
    let high = timeline.days.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (timeline.placeOfDay(middle) <= place) low = middle;
      else high = middle - 1;
    }
    if (timeline.days[low]) this.label.textContent = longMonth(timeline.days[low].day);
    this.label.style.top = `${Math.min(97, Math.max(3, share * 100))}%`;
  }

  #key(event) {
    const { timeline } = this;
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
    const far = { PageDown: 1, PageUp: -1 };
    if (event.key in steps) timeline.goToDay(Math.min(timeline.days.length - 1, Math.max(0, timeline.topDay + steps[event.key])));
    else if (event.key in far) stepMonth(timeline, far[event.key]);
    else if (event.key === "Home") timeline.goToDay(0);
    else if (event.key === "End") timeline.goTo(timeline.range);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Puts the handle where the page is.
  follow() {
    const { timeline } = this;
    const share = Math.min(1, Math.max(0, timeline.place / timeline.range));
    this.here.style.setProperty("--at", `${share * 100}%`);
    const day = timeline.days[timeline.topDay];
    if (!day) return;
    this.element.setAttribute("aria-valuenow", String(timeline.topDay));
    this.element.setAttribute("aria-valuetext", longMonth(day.day));
    if (!timeline.isHeld) this.#name(share);
    this.element.classList.add("awake");
    clearTimeout(this.sleep);
    this.sleep = setTimeout(() => this.element.classList.remove("awake"), AWAKE_MS);
  }

  // Writes years where there is room for them, and a dot for each month between.
  draw() {
    const { timeline } = this;
    const height = this.element.clientHeight;
    if (!height || !timeline.days.length || (this.drawn === timeline.total && this.drawnHeight === height)) return;
    this.drawn = timeline.total;
    this.drawnHeight = height;
    this.marks.textContent = "";
    let lastYear = "";
    let lastMonth = "";
    let lastLabel = -LABEL_PX;
    let lastDot = -LABEL_PX;
    timeline.days.forEach(({ day }, index) => {
      const month = day.slice(0, 7);
      if (month === lastMonth) return;
      lastMonth = month;
      const top = Math.min(1, timeline.placeOfDay(index) / timeline.range) * height;
      const year = day.slice(0, 4);
      if (year !== lastYear && top - lastLabel >= LABEL_PX && top <= height - 6) {
        lastYear = year;
        lastLabel = top;
        this.#mark("year", Math.max(8, top), year);
      } else if (top - lastDot >= 8 && top - lastLabel >= 12) {
        lastDot = top;
        this.#mark("month", top, "");
      }
    });
  }

  #mark(name, top, text) {
    const mark = document.createElement("span");
    mark.className = name;
    mark.style.top = `${top}px`;
    mark.textContent = text;
    this.marks.append(mark);
  }
}

// Goes to the first day of another month (or, by the first four letters, year) down or up the timeline.
export function stepMonth(timeline, direction, letters = 7, go = (index) => timeline.goToDay(index)) {
  const { days } = timeline;
  let index = timeline.topDay;
  if (index < 0) return;
  const unit = (at) => days[at].day.slice(0, letters);
  const from = unit(index);
  const isInside = direction < 0 && timeline.place > firstOf(days, index, letters, timeline) + 4;
  if (direction > 0) while (index < days.length - 1 && unit(index) === from) index += 1;
  else if (!isInside) {
    while (index > 0 && unit(index) === from) index -= 1;
  }
  while (direction < 0 && index > 0 && unit(index - 1) === unit(index)) index -= 1;
  go(index);
}

function firstOf(days, index, letters, timeline) {
  let first = index;
  while (first > 0 && days[first - 1].day.slice(0, letters) === days[index].day.slice(0, letters)) first -= 1;
  return timeline.placeOfDay(first);
}

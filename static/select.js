// Choosing pictures: by checkbox, Space, shift-click, dragging, a whole day or all of the filter; what is chosen outlives the scrolling. And
// what is then done to all of them at once. Without this script the boxes and the bar are an ordinary form.

import { PLACING } from "./edits.js";
import { marksAfter, marksOf, showTileMarks } from "./marks.js";
import { TrackForm } from "./track.js";

const DRAG_PX = 8;
const HOLD_MS = 450;
const EDGE_PX = 90;
const MOST_SPEED_PX = 26;

const boxOf = (tile) => tile.querySelector(".pick input");

export class Selection {
  // `timeline` knows how many pictures there are and which are here; `changed(fields)` is told what was done on the server. Where there is no end
  // of pictures (`hasNoEnd`), all of them are those that are here.
  constructor({ form, root, announce, edits, timeline, changed, hasNoEnd = false }) {
    Object.assign(this, { form, root, announce, edits, timeline, changed, hasNoEnd });
    this.bar = form.closest(".selection");
    // Either these, or all of the filter but these.
    this.isAll = false;
    this.chosen = new Set();
    this.last = null;
    root.addEventListener("change", (event) => this.#onChange(event));
    root.addEventListener("click", (event) => this.#onClick(event), true);
    this.bar.addEventListener("submit", (event) => this.#onSubmit(event));
    this.bar.addEventListener("click", (event) => this.#onBarClick(event));
    this.bar.addEventListener("keydown", (event) => this.#onBarKey(event));
    document.addEventListener("click", (event) => this.#onClickBeside(event), true);
    this.#wireDragging();
    const trackForm = this.bar.querySelector("form.track");
    this.track = trackForm && new TrackForm({ form: trackForm, edits, changed, fields: () => this.#fields() });
    this.mark(root);
    this.#tell();
  }

  get isActive() {
    return this.count > 0;
  }

  // All pictures of the filter, chosen or not.
  get total() {
    return this.timeline?.days.reduce((sum, day) => sum + day.count, 0) ?? this.root.querySelectorAll(".tile").length;
  }

  get count() {
    return this.isAll ? Math.max(0, this.total - this.chosen.size) : this.chosen.size;
  }

  has(id) {
    return this.chosen.has(id) !== this.isAll;
  }

  // Checks the boxes of tiles that have just come onto the page.
  mark(root) {
    for (const box of root.querySelectorAll(".pick input")) box.checked = this.has(box.value);
  }

  toggle(tile, isRange) {
    const box = boxOf(tile);
    if (!box) return;
    if (isRange && this.last && this.last !== tile.dataset.id) this.#extendTo(tile);
    else this.#set([tile.dataset.id], !this.has(tile.dataset.id));
    this.last = tile.dataset.id;
  }

  selectAll() {
    if (this.hasNoEnd) {
      this.#set([...this.root.querySelectorAll(".tile")].map((tile) => tile.dataset.id), true);
      return;
    }
    this.isAll = true;
    this.chosen.clear();
    this.mark(this.root);
    this.#tell();
  }

  clear() {
    this.isAll = false;
    this.chosen.clear();
    this.last = null;
    this.mark(this.root);
    this.#tell();
  }

  #set(ids, isOn) {
    for (const id of ids) {
      if (isOn !== this.isAll) this.chosen.add(id);
      else this.chosen.delete(id);
    }
    this.mark(this.root);
    this.#tell();
  }

  // Everything from the one chosen last up to a tile. Where what lies between is not all on the page, the server knows it.
  async #extendTo(tile) {
    const from = this.last;
    const order = [...this.root.querySelectorAll(".tile")];
    const start = order.findIndex((other) => other.dataset.id === from);
    const end = order.indexOf(tile);
    const between = start < 0 ? [] : order.slice(Math.min(start, end), Math.max(start, end) + 1);
    const isWhole = start >= 0 && !this.root.querySelector(".ghost");
    this.#set([...between.map((other) => other.dataset.id), tile.dataset.id], true);
    if (!isWhole) await this.#ask({ from, to: tile.dataset.id });
  }

  async #selectDay(section) {
    const tiles = [...section.querySelectorAll(".tile")];
    const count = this.timeline?.days[this.timeline.indexOf(section.dataset.day)]?.count ?? tiles.length;
    const isOn = !tiles.every((tile) => this.has(tile.dataset.id));
    this.#set(tiles.map((tile) => tile.dataset.id), isOn);
    if (tiles.length < count) await this.#ask({ day: section.dataset.day }, isOn);
  }

  async #ask(pairs, isOn = true) {
    const query = new URLSearchParams(this.root.dataset.query);
    for (const [key, value] of Object.entries(pairs)) query.set(key, value);
    const response = await fetch(`/images/ids?${query}`).catch(() => null);
    if (response?.ok) this.#set((await response.json()).map(String), isOn);
    else this.edits.fail(new Error("the server does not say which photos lie between"), "Not selected");
  }

  #onChange(event) {
    const box = event.target.closest(".pick input");
    if (!box) return;
    this.#set([box.value], box.checked);
    this.last = box.value;
  }

  #onClick(event) {
    if (this.wasDragged) {
      this.wasDragged = false;
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    const day = event.target.closest(".pick-day");
    if (day) {
      this.#selectDay(day.closest(".day"));
      return;
    }
    const box = event.target.closest(".pick input");
    if (box && event.shiftKey && this.last) {
      event.preventDefault();
      const tile = box.closest(".tile");
      setTimeout(() => this.toggle(tile, true));
      return;
    }
    const link = event.target.closest(".tile > a");
    if (!link || event.ctrlKey || event.metaKey) return;
    if (event.shiftKey || this.isActive) {
      event.preventDefault();
      event.stopPropagation();
      this.toggle(link.closest(".tile"), event.shiftKey);
    }
  }

  // Dragging over pictures chooses them: with a mouse at once, with a finger after holding still, because else it scrolls.
  #wireDragging() {
    const { root } = this;
    let held = null;
    root.addEventListener("dragstart", (event) => event.preventDefault());
    root.addEventListener("pointerdown", (event) => {
      const tile = event.target.closest(".tile");
      if (!tile || event.button !== 0) return;
      this.wasDragged = false;
      held = { tile, x: event.clientX, y: event.clientY, id: event.pointerId, isTouch: event.pointerType === "touch" };
      if (held.isTouch) held.timer = setTimeout(() => held && this.#beginDrag(held), HOLD_MS);
    });
    const move = (event) => {
      if (!held || event.pointerId !== held.id) return;
      const isFar = Math.hypot(event.clientX - held.x, event.clientY - held.y) > DRAG_PX;
      if (this.drag) this.#dragTo(event.clientX, event.clientY);
      else if (isFar && held.isTouch) release();
      else if (isFar) this.#beginDrag(held);
    };
    const release = () => {
      clearTimeout(held?.timer);
      held = null;
      if (this.drag) this.#endDrag();
    };
    addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, release);
    root.addEventListener("touchmove", (event) => this.drag && event.preventDefault(), { passive: false });
    root.addEventListener("contextmenu", (event) => (this.drag || held?.isTouch) && event.preventDefault());
  }

  #beginDrag({ tile, x, y }) {
    this.drag = { anchor: tile, isOn: !this.has(tile.dataset.id), before: new Map(), x, y };
    this.root.classList.add("dragging");
    navigator.vibrate?.(12);
    this.#dragTo(x, y);
    this.#scrollAtEdges();
  }

  #dragTo(x, y) {
    const { drag } = this;
    Object.assign(drag, { x, y });
    const over = document.elementsFromPoint(x, y).find((element) => element.closest?.(".tile"))?.closest(".tile");
    if (!over || !this.root.contains(over) || over === drag.over) return;
    drag.over = over;
    const order = [...this.root.querySelectorAll(".tile")];
    const start = order.indexOf(drag.anchor);
    const end = order.indexOf(over);
    // The tile it began with may have left the page: all up to the edge was passed already.
    const from = start >= 0 ? start : drag.y > innerHeight / 2 ? 0 : order.length - 1;
    const wanted = new Set(order.slice(Math.min(from, end), Math.max(from, end) + 1).map((tile) => tile.dataset.id));
    for (const id of wanted) if (!drag.before.has(id)) drag.before.set(id, this.has(id));
    const back = order.map((tile) => tile.dataset.id).filter((id) => drag.before.has(id) && !wanted.has(id));
    for (const id of back) {
      this.#set([id], drag.before.get(id));
      drag.before.delete(id);
    }
    this.#set([...wanted], drag.isOn);
  }

  #scrollAtEdges() {
    if (!this.drag) return;
    const { x, y } = this.drag;
    const speed = y < EDGE_PX ? y - EDGE_PX : y > innerHeight - EDGE_PX ? y - innerHeight + EDGE_PX : 0;
    if (speed) {
      scrollBy({ top: (speed / EDGE_PX) * MOST_SPEED_PX, behavior: "instant" });
      this.#dragTo(x, y);
    }
    requestAnimationFrame(() => this.#scrollAtEdges());
  }

  #endDrag() {
    this.last = (this.drag.over ?? this.drag.anchor).dataset.id;
    this.drag = null;
    this.root.classList.remove("dragging");
    // The click that follows the drag means nothing.
    this.wasDragged = true;
    setTimeout(() => {
      this.wasDragged = false;
    }, 80);
  }

  #tell() {
    const { count } = this;
    document.documentElement.classList.toggle("selecting", count > 0);
    this.form.querySelector(".how-many").textContent = `${count.toLocaleString("en-GB")} selected`;
    const all = this.bar.querySelector('[data-act="all"]');
    all.hidden = count >= this.total;
    all.textContent = `Select all ${this.total.toLocaleString("en-GB")}`;
    this.bar.querySelector('[data-act="merge"]').disabled = this.isAll || count < 2;
    if (!count) this.bar.querySelector("details.more-edits").open = false;
    if (count) this.announce(`${count} selected`);
  }

  #onBarClick(event) {
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (act === "clear") this.clear();
    else if (act === "all") this.selectAll();
    else if (act === "place-on-map") this.#placeOnMap();
    else if (act === "shut-more") this.#shutMore();
  }

  #shutMore() {
    const details = this.bar.querySelector("details.more-edits");
    details.open = false;
    details.querySelector("summary").focus();
  }

  // On a phone the panel is a sheet that covers its own button: a tap beside it shuts it, and does nothing else.
  #onClickBeside(event) {
    const panel = this.bar.querySelector("details.more-edits[open] .panel");
    if (!panel || event.target.closest(".more-edits, .done-toast") || getComputedStyle(panel).position !== "fixed") return;
    event.preventDefault();
    event.stopPropagation();
    this.#shutMore();
  }

  // Hands what is chosen over to the map, where the place is chosen.
  #placeOnMap() {
    const { count } = this;
    const back = location.pathname + location.search;
    sessionStorage.setItem(PLACING, JSON.stringify({ fields: this.#fields(), count, back }));
    const query = this.root.dataset.query;
    location.assign(`/map?${query}${query ? "&" : ""}pick=selection`);
  }

  #onBarKey(event) {
    const details = this.bar.querySelector("details.more-edits");
    if (event.key !== "Escape" || !details.open || event.defaultPrevented) return;
    event.stopPropagation();
    this.#shutMore();
  }

  #onSubmit(event) {
    const form = event.target;
    const path = new URL(event.submitter?.getAttribute("formaction") ?? form.getAttribute("action"), location.href).pathname;
    if (path !== "/edits") {
      this.#fill();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    const pairs = form === this.form ? [[event.submitter.name, event.submitter.value]] : [...new FormData(form, event.submitter)];
    this.change(pairs).then((isDone) => {
      if (isDone && form !== this.form) form.reset();
    });
  }

  // Does a change to all that is chosen, or to one tile alone. Returns whether it was done.
  async change(fields, tile = null) {
    const pairs = typeof fields[0] === "string" ? [fields] : fields;
    const concerns = tile ? (id) => id === tile.dataset.id : (id) => this.has(id);
    const count = tile ? 1 : this.count;
    if (!count || this.isBusy) return false;
    let wanted = pairs;
    const tiles = this.timeline?.tiles() ?? [...this.root.querySelectorAll(".tile")];
    const chosen = [...tiles].filter((one) => concerns(one.dataset.id));
    const [name, value] = pairs[0];
    // A colour that all have already is taken away, as in the viewer.
    if (name === "color_label" && chosen.length && chosen.every((one) => marksOf(one).color === value)) wanted = [[name, "none"]];
    const before = new Map(chosen.map((one) => [one, marksOf(one)]));
    for (const [one, marks] of before) showTileMarks(one, wanted.reduce(marksAfter, marks));
    const target = tile ? [["image", tile.dataset.id]] : this.#fields();
    if (!tile) this.#busy(count);
    try {
      const answer = await this.edits.sendLong("/edits", [...target, ...wanted], "Changing", (done, total) => this.#tellProgress(done, total));
      const said = answer.querySelector(".said");
      const batch = said.dataset.batch && Number(said.dataset.batch);
      if (batch) this.edits.remember(batch, said.textContent.trim());
      else this.edits.say(said.textContent.trim());
      this.changed(wanted, { isAll: !tile && this.isAll });
      return true;
    } catch (error) {
      for (const [one, marks] of before) showTileMarks(one, marks);
      this.edits.fail(error, `Not saved (${count.toLocaleString("en-GB")} ${count === 1 ? "photo" : "photos"})`);
      return false;
    } finally {
      if (!tile) this.#busy(0);
    }
  }

  #busy(count) {
    this.isBusy = count > 0;
    this.bar.classList.toggle("busy", this.isBusy);
    const progress = this.bar.querySelector("progress");
    progress.hidden = !this.isBusy;
    progress.removeAttribute("value");
    if (this.isBusy) this.form.querySelector(".how-many").textContent = `Changing ${count.toLocaleString("en-GB")} …`;
    else this.#tell();
  }

  // How far the change is, in place of how many are chosen.
  #tellProgress(done, total) {
    if (!this.isBusy) return;
    const words = (number) => number.toLocaleString("en-GB");
    Object.assign(this.bar.querySelector("progress"), { max: total, value: done });
    this.form.querySelector(".how-many").textContent = `Changing ${words(done)} of ${words(total)} …`;
  }

  // What is chosen, as fields of a form.
  #fields() {
    if (!this.isAll) return [...this.chosen].map((id) => ["image", id]);
    return [["all", "1"], ["filter", this.root.dataset.query], ...[...this.chosen].map((id) => ["except", id])];
  }

  // What is chosen but not on the page goes along as hidden fields; the way back leads to this very place.
  #fill() {
    const back = this.form.querySelector('[name="back"]');
    if (back) back.value = location.pathname + location.search;
    for (const field of this.form.querySelectorAll('[type="hidden"][name="image"]')) field.remove();
    const shown = new Set([...document.querySelectorAll(".pick input:checked")].map((box) => box.value));
    for (const id of this.chosen) {
      if (shown.has(id)) continue;
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = "image";
      field.value = id;
      this.form.append(field);
    }
  }
}

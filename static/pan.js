// Moving the map: drag, pinch, wheel, double click and keys. The place under the fingers stays under them.

const MOVED_PX = 5;
const TAP_MS = 450;
const DOUBLE_MS = 300;
const GLIDE_MS = 240;

export class Pan {
  // `changed()` is told of every change, `settled()` when it is over, `tapped(left, top)` of a click on the map itself.
  constructor(stage, view, { changed, settled, tapped }) {
    Object.assign(this, { stage, view, changed, settled, tapped });
    this.pointers = new Map();
    this.isDragging = false;
    this.gliding = 0;
    this.lastTap = -Infinity;
    this.tapping = 0;
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => this.#up(event));
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("keydown", (event) => this.#key(event));
    stage.addEventListener("dragstart", (event) => event.preventDefault());
    // The end of a drag over a mark is no click on it.
    stage.addEventListener("click", (event) => this.wasDragged && event.preventDefault(), true);
  }

  // Goes to another view, softly unless less motion is asked for.
  glide(target) {
    cancelAnimationFrame(this.gliding);
    const { view } = this;
    const from = { x: view.x, y: view.y, zoom: view.zoom };
    const to = { ...from, ...target };
    const east = to.x - from.x;
    to.x = from.x + east - Math.round(east);
    const end = () => {
      view.set(to);
      this.changed();
      this.settled();
    };
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return end();
    const began = performance.now();
    const frame = (now) => {
      const share = Math.min(1, (now - began) / GLIDE_MS);
      if (share >= 1) return end();
      const soft = 1 - (1 - share) ** 3;
      const between = (key) => from[key] + (to[key] - from[key]) * soft;
      view.set({ x: between("x"), y: between("y"), zoom: between("zoom") });
      this.changed();
      this.gliding = requestAnimationFrame(frame);
    };
    this.gliding = requestAnimationFrame(frame);
  }

  // Zooms by some levels and holds the place under a pixel.
  zoomBy(levels, left, top) {
    const { view } = this;
    const before = { x: view.x, y: view.y, zoom: view.zoom };
    view.zoomTo(Math.round((view.zoom + levels) * 4) / 4, left, top);
    const target = { x: view.x, y: view.y, zoom: view.zoom };
    view.set(before);
    this.glide(target);
  }

  #place(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  #down(event) {
    if (event.button !== 0 || event.target.closest("button, .sheet")) return;
    cancelAnimationFrame(this.gliding);
    this.pointers.set(event.pointerId, this.#place(event));
    this.wasDragged = false;
    this.isTap = this.pointers.size === 1;
    this.downAt = performance.now();
    this.downPlace = this.#place(event);
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const here = this.#place(event);
    if (!this.isDragging) {
      if (Math.hypot(here[0] - this.downPlace[0], here[1] - this.downPlace[1]) < MOVED_PX && this.pointers.size === 1) return;
      this.isDragging = true;
      this.isTap = false;
      this.wasDragged = true;
      for (const id of this.pointers.keys()) this.stage.setPointerCapture(id);
    }
    const all = [...this.pointers.entries()];
    this.pointers.set(event.pointerId, here);
    if (all.length === 1) this.view.moveBy(here[0] - before[0], here[1] - before[1]);
    else if (all.length === 2) {
      const other = all.find(([id]) => id !== event.pointerId)[1];
      const distance = ([x, y]) => Math.max(1, Math.hypot(x - other[0], y - other[1]));
      const middle = ([x, y]) => [(x + other[0]) / 2, (y + other[1]) / 2];
      const [from, to] = [middle(before), middle(here)];
      this.view.moveBy(to[0] - from[0], to[1] - from[1]);
      this.view.zoomTo(this.view.zoom + Math.log2(distance(here) / distance(before)), ...to);
    }
    this.changed();
  }

  #up(event) {
    if (!this.pointers.delete(event.pointerId) || this.pointers.size) return;
    if (this.isDragging) {
      this.isDragging = false;
      this.settled();
      return;
    }
    const now = performance.now();
    if (!this.isTap || event.type === "pointercancel" || now - this.downAt > TAP_MS || event.target.closest("a")) return;
    clearTimeout(this.tapping);
    if (now - this.lastTap < DOUBLE_MS) {
      this.lastTap = -Infinity;
      this.zoomBy(1, ...this.downPlace);
      return;
    }
    this.lastTap = now;
    const place = this.downPlace;
    this.tapping = setTimeout(() => this.tapped?.(...place), DOUBLE_MS);
  }

  #wheel(event) {
    if (event.target.closest(".sheet")) return;
    event.preventDefault();
    cancelAnimationFrame(this.gliding);
    const lines = event.deltaMode === 1 ? 33 : event.deltaMode === 2 ? 400 : 1;
    const step = Math.max(-1, Math.min(1, (-event.deltaY * lines) / (event.ctrlKey ? 60 : 240)));
    this.view.zoomTo(this.view.zoom + step, ...this.#place(event));
    this.changed();
    this.settled();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    const { view } = this;
    const [wide, high] = [view.width / 4 / view.scale, view.height / 4 / view.scale];
    const acts = {
      ArrowLeft: () => this.glide({ x: view.x - wide }),
      ArrowRight: () => this.glide({ x: view.x + wide }),
      ArrowUp: () => this.glide({ y: view.y - high }),
      ArrowDown: () => this.glide({ y: view.y + high }),
      "+": () => this.zoomBy(1),
      "=": () => this.zoomBy(1),
      "-": () => this.zoomBy(-1),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }
}

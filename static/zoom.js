// Zooming and moving one picture, and swiping to the next: wheel, pinch, double click, drag and keys. The point under the pointer stays under it.

const SWIPE_PX = 56;
const MOST = 12;

export class Zoom {
  // `turn(-1 | 1)` is a swipe to the newer or older picture, `close()` a swipe down, `enlarged()` is told when more pixels would show.
  constructor(stage, { turn, close, enlarged }) {
    this.stage = stage;
    this.frame = stage.querySelector(".frame");
    this.box = stage.querySelector(".box");
    this.turn = turn;
    this.close = close;
    this.enlarged = enlarged;
    this.pointers = new Map();
    this.reset();
    if (!this.box || this.box.querySelector("video")) return;
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("dblclick", (event) => this.#doubleClick(event));
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => this.#up(event));
  }

  reset() {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.#apply();
  }

  // The scale at which one pixel of the original is one of the screen; 2 for small pictures, where that would shrink them.
  get trueScale() {
    const width = Number(this.box?.dataset.width) || 0;
    const wanted = width / (this.box.offsetWidth * devicePixelRatio);
    return wanted > 1.15 ? Math.min(wanted, MOST) : 2;
  }

  toggle(clientX, clientY) {
    if (!this.box) return;
    if (this.scale > 1.01) this.reset();
    else this.#zoomTo(this.trueScale, clientX, clientY);
  }

  step(factor) {
    if (this.box) this.#zoomTo(this.scale * factor);
  }

  // Changes the scale and holds the point (by default the middle).
  #zoomTo(wanted, clientX, clientY) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    const pointX = (clientX ?? left + width / 2) - left;
    const pointY = (clientY ?? top + height / 2) - top;
    const scale = Math.min(Math.max(wanted, 1), Math.max(MOST, this.trueScale));
    const change = scale / this.scale;
    this.x = pointX - (pointX - this.x) * change;
    this.y = pointY - (pointY - this.y) * change;
    this.scale = scale;
    this.#apply();
    if (scale > 1) this.enlarged(this.box.offsetWidth * scale * devicePixelRatio);
  }

  // Keeps the picture over the middle: no side of it may leave more room than it must.
  #apply() {
    if (!this.frame) return;
    const { clientWidth: width, clientHeight: height } = this.stage;
    const hold = (offset, size, picture) => {
      const half = (picture * this.scale) / 2;
      const middle = offset + (size * this.scale) / 2;
      const room = Math.max(0, half - size / 2);
      return Math.min(size / 2 + room, Math.max(size / 2 - room, middle)) - (size * this.scale) / 2;
    };
    if (this.box) {
      this.x = hold(this.x, width, this.box.offsetWidth);
      this.y = hold(this.y, height, this.box.offsetHeight);
    }
    this.frame.style.transform = this.scale === 1 ? "" : `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.stage.classList.toggle("can-pan", this.scale > 1.01);
  }

  #wheel(event) {
    event.preventDefault();
    const speed = event.deltaMode === 1 ? 0.05 : event.ctrlKey ? 0.01 : 0.002;
    this.#zoomTo(this.scale * Math.exp(-event.deltaY * speed), event.clientX, event.clientY);
  }

  #doubleClick(event) {
    if (event.target.closest("a, button")) return;
    this.toggle(event.clientX, event.clientY);
  }

  #down(event) {
    if (event.button !== 0 || event.target.closest("a, button")) return;
    if (event.pointerType === "touch" && this.pointers.size === 0) {
      const isSecond = performance.now() - (this.tapped ?? -1000) < 280;
      this.tapped = isSecond ? -1000 : performance.now();
      if (isSecond) this.toggle(event.clientX, event.clientY);
    }
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    this.began = { x: event.clientX, y: event.clientY };
    if (this.pointers.size === 2) this.began = null;
    this.stage.classList.toggle("panning", this.scale > 1.01);
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    if (this.pointers.size === 1 && this.scale > 1.01) {
      this.x += now.x - before.x;
      this.y += now.y - before.y;
      this.#apply();
    } else if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y);
      this.x += (now.x - before.x) / 2;
      this.y += (now.y - before.y) / 2;
      if (distance(before) > 0) this.#zoomTo((this.scale * distance(now)) / distance(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    }
    this.pointers.set(event.pointerId, now);
  }

  #up(event) {
    const last = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    this.stage.classList.remove("panning");
    if (!last || !this.began || this.pointers.size || event.type === "pointercancel" || this.scale > 1.01) return;
    const across = last.x - this.began.x;
    const down = last.y - this.began.y;
    if (Math.abs(across) > SWIPE_PX && Math.abs(across) > Math.abs(down) * 1.4) this.turn(across < 0 ? 1 : -1);
    else if (down > SWIPE_PX * 1.6 && down > Math.abs(across) * 1.4) this.close();
  }
}

// Zooming and moving one picture, and swiping to the next: wheel, pinch, double click, drag and keys. The point under the pointer stays under it.

const SWIPE_PX = 56;
const FLICK_PX = 28;
const FLICK_MS = 220;
const TAP_PX = 14;
const TAP_MS = 320;
const VIDEO_CONTROLS_PX = 80;
const MOST = 12;

export class Zoom {
  // `turn(-1 | 1)` is a swipe to the newer or older picture and says whether there is one, `close()` a swipe down, `enlarged()` is told when
  // more pixels would show.
  constructor(stage, { turn, close, enlarged }) {
    this.stage = stage;
    this.frame = stage.querySelector(".frame");
    this.box = stage.querySelector(".box");
    this.turn = turn;
    this.close = close;
    this.enlarged = enlarged;
    this.pointers = new Map();
    this.tapped = null;
    this.tappedTwice = -Infinity;
    this.canZoom = Boolean(this.box) && !this.box.querySelector("video");
    this.reset();
    if (!this.box) return;
    if (this.canZoom) {
      stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
      stage.addEventListener("dblclick", (event) => this.#doubleClick(event));
    }
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
    if (!this.canZoom) return;
    if (this.scale > 1.01) this.reset();
    else this.#zoomTo(this.trueScale, clientX, clientY);
  }

  step(factor) {
    if (this.canZoom) this.#zoomTo(this.scale * factor);
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
    // Lines over the picture stay as thin as they are.
    this.frame.style.setProperty("--zoom", this.scale);
    this.stage.classList.toggle("can-pan", this.scale > 1.01);
  }

  #wheel(event) {
    event.preventDefault();
    const speed = event.deltaMode === 1 ? 0.05 : event.ctrlKey ? 0.01 : 0.002;
    this.#zoomTo(this.scale * Math.exp(-event.deltaY * speed), event.clientX, event.clientY);
  }

  #doubleClick(event) {
    // Two taps were answered already; some browsers call them a double click as well.
    const isTaps = performance.now() - this.tappedTwice < 700;
    if (!isTaps && !event.target.closest("a, button")) this.toggle(event.clientX, event.clientY);
  }

  // Whether a finger or button that goes down here is for the picture. Fingers may begin a swipe on the links to the neighbours, which a mouse
  // clicks, and on a video above its controls.
  #isForUs({ target, button, pointerType, clientY }) {
    if (button !== 0 || target.closest("button, a:not(.turn)")) return false;
    const isTouch = pointerType === "touch";
    if (target.closest("a.turn")) return isTouch;
    if (!this.canZoom) return isTouch && clientY < this.box.getBoundingClientRect().bottom - VIDEO_CONTROLS_PX;
    return true;
  }

  #down(event) {
    if (!this.#isForUs(event)) return;
    if (!event.target.closest("a.turn, video")) this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const isFirst = this.pointers.size === 1;
    this.began = isFirst ? { x: event.clientX, y: event.clientY, at: event.timeStamp, isTouch: event.pointerType === "touch" } : null;
    this.frame.classList.remove("settling");
    if (!isFirst) this.#apply();
    this.stage.classList.toggle("panning", this.scale > 1.01);
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = { x: event.clientX, y: event.clientY };
    this.pointers.set(event.pointerId, now);
    if (this.pointers.size === 2 && this.canZoom) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y);
      this.x += (now.x - before.x) / 2;
      this.y += (now.y - before.y) / 2;
      if (distance(before) > 0) this.#zoomTo((this.scale * distance(now)) / distance(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    } else if (this.pointers.size === 1 && this.scale > 1.01) {
      this.x += now.x - before.x;
      this.y += now.y - before.y;
      this.#apply();
    } else if (this.began?.isTouch) {
      // The picture goes along with the finger, across or down.
      const across = now.x - this.began.x;
      const down = now.y - this.began.y;
      this.frame.style.transform = Math.abs(across) > Math.abs(down) ? `translateX(${across}px)` : `translateY(${Math.max(0, down)}px)`;
    }
  }

  #up(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    this.pointers.delete(event.pointerId);
    this.stage.classList.remove("panning");
    const { began } = this;
    if (this.pointers.size) return;
    this.began = null;
    if (!began || this.scale > 1.01) {
      if (began && event.type === "pointerup") this.#tap(event, began, last);
      return;
    }
    const across = last.x - began.x;
    const down = last.y - began.y;
    // When the finger moved, not when a busy page came to hear of it.
    const far = event.timeStamp - began.at < FLICK_MS ? FLICK_PX : SWIPE_PX;
    const isAcross = Math.abs(across) > far && Math.abs(across) > Math.abs(down) * 1.4;
    const isDown = down > far * 1.6 && down > Math.abs(across) * 1.4;
    if (event.type === "pointercancel" || !(isAcross || isDown)) {
      this.#settle();
      if (event.type === "pointerup") this.#tap(event, began, last);
    } else if (isDown) this.close();
    else if (!this.turn(across < 0 ? 1 : -1)) this.#settle();
  }

  // Back to where it was before the finger took it along.
  #settle() {
    if (!this.frame.style.transform || this.scale !== 1) return;
    this.frame.classList.add("settling");
    this.#apply();
  }

  // The second of two quick taps in one place comes closer, or goes back.
  #tap(event, { x, y, at, isTouch }, last) {
    const now = event.timeStamp;
    const isTap = isTouch && now - at < TAP_MS && Math.hypot(last.x - x, last.y - y) < TAP_PX;
    if (!isTap || !this.canZoom || event.target.closest("a")) return;
    const { tapped } = this;
    if (tapped && now - tapped.at < TAP_MS && Math.hypot(tapped.x - x, tapped.y - y) < 3 * TAP_PX) {
      this.tapped = null;
      this.tappedTwice = now;
      this.toggle(x, y);
    } else this.tapped = { x, y, at: now };
  }
}

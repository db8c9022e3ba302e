// The rating run: what is next is here before it is wanted, a key rates and goes on, and undo goes back to where it was done.

import { changeOfKey, marksAfter, marksOf, showBarMarks, showTileMarks } from "./marks.js";
import { showLack, showPlaceholder } from "./pictures.js";
import { Zoom } from "./zoom.js";

const AHEAD = 12;
const WARM = 3;
const PACE_MS = 120_000;

export class RatingRun {
  constructor({ root, edits, announce }) {
    Object.assign(this, { root, edits, announce });
    this.shots = root.querySelector(".shots");
    this.bar = root.querySelector(".rate-bar");
    this.count = Number(root.dataset.count);
    this.moments = [];
    this.warm = new Map();
    this.decided = new Map();
    this.at = 0;
    this.#take(root.querySelector("template.start").content);
    root.addEventListener("submit", (event) => this.#onSubmit(event));
    root.addEventListener("click", (event) => this.#onClick(event));
    edits.addEventListener("turned", (event) => this.#onTurned(event.detail));
    this.show(0);
  }

  // Moments of an answer go to the end of the run.
  #take(content) {
    const list = content.querySelector(".moments");
    this.next = list?.dataset.next;
    for (const item of list?.children ?? []) this.moments.push([...item.querySelectorAll(".shot")].map((shot) => document.importNode(shot, true)));
  }

  async #fetch() {
    if (!this.next || this.isFetching || this.moments.length - this.at > AHEAD) return;
    this.isFetching = true;
    try {
      const response = await fetch(`/rate/moments?${this.root.dataset.query}&${new URLSearchParams({ after: this.next })}`, { headers: { "HX-Request": "true" } });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const template = document.createElement("template");
      template.innerHTML = await response.text();
      this.#take(template.content);
    } catch (error) {
      this.edits.fail(error, "The next photos could not be loaded");
      setTimeout(() => this.#fetch(), 3000);
      this.isFetching = false;
      return;
    }
    this.isFetching = false;
    this.#warm();
    if (this.isWaiting) this.show(this.at);
  }

  // Decodes the pictures of the next moments.
  #warm() {
    const wanted = new Set();
    for (const moment of this.moments.slice(this.at, this.at + 1 + WARM)) {
      for (const shot of moment) {
        const src = shot.querySelector(".proxy")?.getAttribute("src");
        if (!src) continue;
        wanted.add(src);
        if (this.warm.has(src)) continue;
        const img = new Image();
        img.src = src;
        img.decode().catch(() => {});
        this.warm.set(src, img);
      }
    }
    for (const src of this.warm.keys()) if (!wanted.has(src)) this.warm.delete(src);
  }

  get shot() {
    return this.moments[this.at]?.[this.frame];
  }

  // Shows a moment, and in it one of its photos.
  show(at, frame = 0) {
    this.at = Math.max(0, Math.min(at, this.moments.length));
    const moment = this.moments[this.at];
    this.isWaiting = !moment && Boolean(this.next);
    this.#fetch();
    if (this.isWaiting) return;
    if (!moment) {
      this.#finish();
      return;
    }
    this.root.classList.remove("is-finished");
    this.shots.replaceChildren(...moment);
    this.shots.style.setProperty("--columns", String(this.#columns(moment)));
    this.shots.classList.toggle("many", moment.length > 1);
    for (const shot of moment) this.#dress(shot);
    this.#warm();
    this.#focus(Math.max(0, Math.min(frame, moment.length - 1)));
    this.#tell();
  }

  // As many side by side as make the pictures largest.
  #columns(moment) {
    const { clientWidth: width, clientHeight: height } = this.shots;
    const ratio = moment.reduce((sum, shot) => sum + (Number(shot.querySelector(".box").style.getPropertyValue("--r")) || 1.5), 0) / moment.length;
    let best = { columns: 1, area: 0 };
    for (let columns = 1; columns <= moment.length; columns += 1) {
      const rows = Math.ceil(moment.length / columns);
      const each = Math.min(width / columns, (height / rows) * ratio);
      if (each > best.area + 1) best = { columns, area: each };
    }
    return best.columns;
  }

  #dress(shot) {
    showTileMarks(shot, marksOf(shot));
    if (shot.dataset.dressed) return;
    shot.dataset.dressed = "yes";
    const box = shot.querySelector(".box");
    showPlaceholder(box);
    for (const img of box.querySelectorAll("img")) {
      const done = () => img.classList.add("ready");
      if (img.complete && img.naturalWidth) done();
      img.addEventListener("load", done);
      img.addEventListener("error", () => this.#retry(shot, img, 0));
    }
    const turn = (direction) => {
      shot.zoom.reset();
      this.step(direction);
      return true;
    };
    shot.zoom = new Zoom(shot.querySelector(".stage"), { turn, close: () => shot.zoom.reset(), enlarged: () => this.#sharpen(shot) });
  }

  // The picture may still be in the making.
  #retry(shot, img, round) {
    if (img.dataset.trying) return;
    img.dataset.trying = "yes";
    const address = img.src;
    const ask = async () => {
      if (!img.isConnected) {
        delete img.dataset.trying;
        return;
      }
      const response = await fetch(address).catch(() => null);
      if (response?.ok) img.src = address;
      else if ((!response || response.status === 503) && round < 8) {
        round += 1;
        setTimeout(ask, 800 * 1.6 ** round);
      } else if (!shot.querySelector("img.ready")) showLack(shot.querySelector(".box"), shot.dataset.name, "This picture cannot be shown");
    };
    setTimeout(ask, 600);
  }

  // Whoever comes closer wants to see whether it is sharp: the original, where a browser can show it.
  async #sharpen(shot) {
    if (shot.dataset.sharpened) return;
    shot.dataset.sharpened = "yes";
    const response = await fetch(`/images/${shot.dataset.id}`, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!response?.ok) return;
    const template = document.createElement("template");
    template.innerHTML = await response.text();
    const { original } = template.content.querySelector(".box")?.dataset ?? {};
    if (!original) return;
    const img = new Image();
    img.className = "original";
    img.alt = "";
    img.addEventListener("load", () => img.classList.add("ready"));
    img.addEventListener("error", () => img.remove());
    img.src = original;
    shot.querySelector(".box").append(img);
  }

  #focus(frame) {
    this.frame = frame;
    for (const [index, shot] of this.moments[this.at].entries()) shot.classList.toggle("is-current", index === frame);
    showBarMarks(this.bar, marksOf(this.shot));
    this.shot.focus({ preventScroll: true });
  }

  // One photo on, or one back, over the ends of moments.
  step(by) {
    const moment = this.moments[this.at] ?? [];
    const frame = (this.frame ?? 0) + by;
    if (moment.length && frame >= 0 && frame < moment.length) this.#focus(frame);
    else if (by > 0) this.show(this.at + 1);
    else if (this.at > 0) this.show(this.at - 1, this.moments[this.at - 1].length - 1);
  }

  // Returns whether the key meant something here.
  key(event) {
    const change = changeOfKey(event);
    if (change && this.shot) {
      this.#change(change.field, change.goesOn);
      return true;
    }
    const acts = {
      ArrowRight: () => this.step(1),
      ArrowLeft: () => this.step(-1),
      Backspace: () => this.step(-1),
      ArrowDown: () => this.show(this.at + 1),
      ArrowUp: () => this.show(this.at - 1),
      PageDown: () => this.show(this.at + 1),
      PageUp: () => this.show(this.at - 1),
      " ": () => this.show(this.at + 1),
      z: () => this.shot?.zoom.toggle(),
      f: () => (document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen?.()),
      Escape: () => (this.shot?.zoom.scale > 1.01 ? this.shot.zoom.reset() : location.assign(this.root.querySelector('[data-act="leave"]').href)),
    };
    // Enter is the button's or link's that has the focus.
    const act = event.key === " " && event.target.matches("button, a") ? null : acts[event.key];
    act?.();
    return Boolean(act);
  }

  // Stars and flags decide and go on; with Shift the others of the moment are rejected, and that too is taken back at once.
  #change([name, value], isBest) {
    const { shot } = this;
    const moment = this.moments[this.at];
    const decides = name === "rating" || (name === "flag" && value !== "none");
    if (name === "color_label" && marksOf(shot).color === value) value = "none";
    const others = isBest && decides && value !== "reject" && value !== "0" && moment.length > 1 ? moment.filter((other) => other !== shot) : [];
    this.#send(shot, [name, value], others, { at: this.at, frame: this.frame, decides });
    if (others.length) this.show(this.at + 1);
    else if (decides || isBest) this.step(1);
  }

  async #send(shot, field, others, { at, frame, decides }) {
    const before = new Map([[shot, marksOf(shot)], ...others.map((other) => [other, marksOf(other)])]);
    const decided = new Map([...before.keys()].map((one) => [one, this.decided.get(one)]));
    const show = (one, marks) => {
      showTileMarks(one, marks);
      if (one === this.shot) showBarMarks(this.bar, marks);
    };
    show(shot, marksAfter(before.get(shot), field));
    for (const other of others) show(other, marksAfter(before.get(other), ["flag", "reject"]));
    if (decides) for (const one of before.keys()) this.decided.set(one, performance.now());
    this.#tell();
    const batches = [];
    const words = [];
    const sent = [[["image", shot.dataset.id], field]];
    if (others.length) sent.push([...others.map((other) => ["image", other.dataset.id]), ["flag", "reject"]]);
    // Asked for together, so that nothing comes between.
    const answers = await Promise.allSettled(sent.map((fields) => this.edits.send("/edits", fields)));
    const failure = answers.find(({ status }) => status === "rejected")?.reason;
    for (const [index, { value: answer }] of answers.entries()) {
      const said = answer?.querySelector(".said");
      if (said?.dataset.batch) batches.push(Number(said.dataset.batch));
      if (said) words.push(said.textContent.trim());
      else {
        for (const one of index ? others : [shot]) {
          show(one, before.get(one));
          const time = decided.get(one);
          if (time) this.decided.set(one, time);
          else this.decided.delete(one);
        }
      }
    }
    const step = `${shot.dataset.name}: ${words.map((text) => text.replace(/^1 photo: /, "")).join("; ")}`;
    if (batches.length) {
      this.edits.remember(batches, step, { run: shot.dataset.id, others: others.map((other) => other.dataset.id) }, { isQuiet: true });
      this.#last(step, batches);
    } else if (!failure) this.#last(step);
    if (!failure) return;
    this.edits.fail(failure, `Not saved (${shot.dataset.name})`);
    this.show(at, frame);
  }

  // What was done last, with the way back where it changed anything, in a place of its own: nothing pops up sixty times a minute.
  #last(words, batches) {
    const last = this.root.querySelector(".last");
    last.textContent = `${words} `;
    if (!batches) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Undo";
    button.title = "Ctrl+Z";
    button.addEventListener("click", () => this.edits.undo(batches));
    last.append(button);
  }

  // Something was taken back or done again: there, as the server says.
  async #onTurned({ run, others = [], words, verb }) {
    this.root.querySelector(".last").textContent = verb === "undo" ? `Undone: ${words}` : `Done again: ${words}`;
    for (const id of [run, ...others]) {
      const at = this.moments.findIndex((moment) => moment.some((shot) => shot.dataset.id === id));
      if (at < 0) continue;
      const frame = this.moments[at].findIndex((shot) => shot.dataset.id === id);
      const shot = this.moments[at][frame];
      const response = await fetch(`/images/${id}`, { headers: { "HX-Request": "true" } }).catch(() => null);
      if (response?.ok) {
        const template = document.createElement("template");
        template.innerHTML = await response.text();
        showTileMarks(shot, marksOf(template.content.querySelector(".facts")));
      }
      if (verb === "undo") this.decided.delete(shot);
      else this.decided.set(shot, performance.now());
      if (id === run) this.show(at, frame);
    }
    this.#tell();
  }

  #onSubmit(event) {
    event.preventDefault();
    event.stopPropagation();
    if (this.shot) this.#change([event.submitter.name, event.submitter.value], false);
  }

  #onClick(event) {
    if (event.target.closest('[data-act="skip"]')) {
      this.show(this.at + 1);
      return;
    }
    const shot = event.target.closest(".shot");
    const frame = this.moments[this.at]?.indexOf(shot) ?? -1;
    if (frame >= 0) this.#focus(frame);
  }

  // How far, and how fast: by what was decided within the last two minutes.
  #tell() {
    const times = [...this.decided.values()].sort((a, b) => a - b);
    const recent = times.filter((time) => performance.now() - time < PACE_MS);
    const minutes = recent.length > 4 ? (recent[recent.length - 1] - recent[0]) / 60_000 : 0;
    const pace = minutes > 0 ? ` · ${Math.round((recent.length - 1) / minutes)} a minute` : "";
    const left = Math.max(0, this.count - times.length);
    this.root.querySelector(".done").textContent = `${times.length.toLocaleString("en-GB")} done, ${left.toLocaleString("en-GB")} left${pace}`;
    const progress = this.root.querySelector("progress");
    progress.max = Math.max(1, this.count);
    progress.value = times.length;
    return { done: times.length, left, pace };
  }

  #finish() {
    const { done, pace } = this.#tell();
    const finish = document.importNode(this.root.querySelector("template.finish").content, true);
    finish.querySelector(".sum").textContent = `${done.toLocaleString("en-GB")} ${done === 1 ? "photo" : "photos"} decided in this run${pace}.`;
    this.shots.replaceChildren(finish);
    this.frame = 0;
    this.root.classList.add("is-finished");
    this.shots.querySelector(".finish").focus({ preventScroll: true });
    this.announce("The run is at its end");
  }
}

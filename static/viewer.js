// The viewer: one picture, over the gallery or as a page of its own. Its address is the picture's; going back leads to the very place one came from.

import { showLack, showPlaceholder } from "./pictures.js";
import { Zoom } from "./zoom.js";

const REST_MS = 2600;
const KEPT_PAGES = 24;
const isImagePath = (path) => /^\/images\/\d+$/.test(path);

// Says `entered` when a picture's page is there, `leaving` before another takes its place.
export class Viewer extends EventTarget {
  // `dialog` lies over the gallery; without it the page itself is the viewer. `announce` speaks to screen readers.
  constructor({ dialog, page, announce, timeline }) {
    super();
    this.dialog = dialog;
    this.announce = announce;
    this.timeline = timeline;
    this.pages = new Map();
    this.turnNumber = 0;
    if (page) {
      this.holder = page.parentElement;
      // Whoever listens comes after this.
      queueMicrotask(() => this.#enter(page));
    } else {
      this.holder = dialog;
      dialog.addEventListener("cancel", (event) => {
        event.preventDefault();
        this.close();
      });
    }
    this.isPage = Boolean(page);
    addEventListener("popstate", () => this.#onPop());
    this.holder.addEventListener("click", (event) => this.#onClick(event));
    for (const name of ["pointermove", "pointerdown", "keydown", "focusin"]) this.holder.addEventListener(name, () => this.#wake());
  }

  get isOpen() {
    return this.isPage || this.dialog.open;
  }

  // Opens the picture of a tile over the gallery.
  open(tile) {
    const link = tile.querySelector("a");
    this.opener = tile.dataset.id;
    this.where = this.timeline?.whereabouts();
    history.replaceState({ ...history.state, place: this.where }, "");
    history.pushState({ over: true }, "", link.href);
    this.#stand(tile);
    this.show(link.href);
  }

  // The thumbnail at its final size, at once, while the page of the picture comes.
  #stand(tile) {
    const article = document.createElement("article");
    article.className = `viewer${localStorage.getItem("hm.facts") === "open" && innerWidth > 900 ? " with-facts" : ""}`;
    const thumb = tile.querySelector("img")?.currentSrc;
    article.innerHTML = `<div class="stage"><div class="frame"><div class="box"></div></div></div><aside class="facts"></aside>`;
    const box = article.querySelector(".box");
    box.style.setProperty("--r", tile.style.getPropertyValue("--r"));
    if (thumb) {
      const img = new Image();
      img.alt = "";
      img.className = "ready";
      img.src = thumb;
      box.append(img);
    }
    this.dialog.replaceChildren(article);
    this.#openDialog();
  }

  #openDialog() {
    if (!this.dialog.open) this.dialog.showModal();
  }

  // Shows the picture at an address.
  async show(address) {
    this.turnNumber += 1;
    const number = this.turnNumber;
    let html;
    try {
      html = await this.#page(address);
    } catch {
      if (number === this.turnNumber) this.announce("This photo could not be loaded");
      if (number === this.turnNumber && !this.holder.querySelector(".over-bar")) this.close();
      return;
    }
    if (number !== this.turnNumber) return;
    const template = document.createElement("template");
    template.innerHTML = html;
    const article = template.content.querySelector(".viewer");
    if (!article) return;
    const focusName = this.holder.contains(document.activeElement) ? document.activeElement.dataset.name : undefined;
    this.holder.querySelector(".viewer")?.replaceWith(article) ?? this.holder.append(article);
    if (!this.isPage) this.#openDialog();
    this.#enter(article);
    (focusName && article.querySelector(`[data-name="${focusName}"]:not([hidden])`) || article).focus({ preventScroll: true });
  }

  // The fragment of an address, kept for the way back.
  #page(address) {
    if (!this.pages.has(address)) {
      const asked = fetch(address, { headers: { "HX-Request": "true" } }).then((response) => {
        if (!response.ok) throw new Error(`the server answered ${response.status}`);
        return response.text();
      });
      asked.catch(() => this.pages.delete(address));
      this.pages.set(address, asked);
      if (this.pages.size > KEPT_PAGES) this.pages.delete(this.pages.keys().next().value);
    }
    return this.pages.get(address);
  }

  // The page of an address, asked for anew.
  async fragment(address) {
    const template = document.createElement("template");
    template.innerHTML = await this.#page(address);
    return template.content;
  }

  // Forgets what was kept of a picture that has changed.
  forget(id) {
    for (const address of this.pages.keys()) if (new URL(address).pathname === `/images/${id}`) this.pages.delete(address);
  }

  forgetAll() {
    this.pages.clear();
  }

  // Brings a picture's page to life.
  #enter(article) {
    this.article = article;
    this.stage = article.querySelector(".stage");
    this.box = article.querySelector(".box");
    const isWide = innerWidth > 900;
    // What can be taken back is shown, also where the details are closed otherwise.
    const hasUndo = article.querySelector(".undo-split") !== null;
    article.classList.toggle("with-facts", hasUndo || (this.areFactsOpen ?? (isWide && localStorage.getItem("hm.facts") === "open")));
    this.#tellFacts();
    if (this.box) showPlaceholder(this.box);
    this.zoom = new Zoom(this.stage, {
      turn: (direction) => this.turn(direction),
      close: () => this.close(),
      enlarged: (pixels) => this.#enlarged(pixels),
    });
    this.#load(".thumb");
    this.#load(".proxy");
    for (const video of article.querySelectorAll("video")) video.addEventListener("error", () => this.#noVideo(video), true);
    document.title = article.dataset.title ?? document.title;
    this.announce(article.dataset.alt ?? "");
    this.#prepareNeighbours();
    this.#wake();
    this.dispatchEvent(new Event("entered"));
  }

  #load(name) {
    const img = this.box?.querySelector(name);
    if (!img) return;
    const done = () => img.classList.add("ready");
    if (img.complete && img.naturalWidth) done();
    img.addEventListener("load", done);
    if (name === ".proxy") img.addEventListener("error", () => this.#retry(img, 0));
  }

  // The proxy may still be in the making: ask again while this picture is looked at.
  #retry(img, round) {
    if (img.dataset.trying) return;
    img.dataset.trying = "yes";
    const address = img.src;
    const ask = async () => {
      if (!img.isConnected) return;
      const response = await fetch(address).catch(() => null);
      if (!img.isConnected) return;
      if (response?.ok) img.src = address;
      else if ((!response || response.status === 503) && round < 8) {
        round += 1;
        setTimeout(ask, 1200 * 1.6 ** round);
      } else if (!this.box.querySelector(".thumb.ready")) showLack(this.box, this.article.dataset.name ?? "", "This picture cannot be shown");
    };
    setTimeout(ask, 800);
  }

  #noVideo(video) {
    video.hidden = true;
    this.box.querySelector(".no-video")?.removeAttribute("hidden");
  }

  // More pixels are wanted than the proxy has: the original, where a browser can show it.
  #enlarged(pixels) {
    const { original } = this.box.dataset;
    const has = this.box.querySelector(".proxy")?.naturalWidth ?? 0;
    if (!original || pixels <= has * 1.05 || this.box.querySelector(".original")) return;
    const img = new Image();
    img.className = "original";
    img.alt = "";
    img.addEventListener("load", () => img.classList.add("ready"));
    img.addEventListener("error", () => img.remove());
    img.src = original;
    this.box.append(img);
  }

  // Fetches the pages of the pictures on both sides, and their proxies.
  #prepareNeighbours() {
    for (const link of this.article.querySelectorAll("a.turn")) {
      this.#page(link.href)
        .then((html) => {
          const template = document.createElement("template");
          template.innerHTML = html;
          for (const img of template.content.querySelectorAll(".box img")) new Image().src = img.getAttribute("src");
        })
        .catch(() => {});
    }
  }

  // Goes to the older (1) or newer (-1) picture; returns whether there is one.
  turn(direction) {
    const link = this.article?.querySelector(direction > 0 ? "a.turn.older" : "a.turn.newer");
    if (!link) {
      const { isOldest, isNewest } = this.article?.dataset ?? {};
      this.announce((direction > 0 ? isOldest : isNewest) ?? "");
      return false;
    }
    this.#replace(link.href);
    return true;
  }

  // The newest (-1) or oldest (1) picture: the server knows which, and leads there.
  async end(direction) {
    const href = this.article?.dataset[direction > 0 ? "oldest" : "newest"];
    if (!href) return;
    const response = await fetch(href, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!response?.ok) return;
    this.pages.set(response.url, response.text());
    this.#replace(response.url);
  }

  #replace(href) {
    this.dispatchEvent(new Event("leaving"));
    history.replaceState(history.state, "", href);
    this.show(href);
  }

  toggleFacts() {
    this.areFactsOpen = !this.article.classList.contains("with-facts");
    this.article.classList.toggle("with-facts", this.areFactsOpen);
    localStorage.setItem("hm.facts", this.areFactsOpen ? "open" : "shut");
    this.#tellFacts();
    this.zoom.reset();
    if (!this.areFactsOpen && !this.article.contains(document.activeElement)) this.article.focus({ preventScroll: true });
  }

  #tellFacts() {
    const isOpen = this.article.classList.contains("with-facts");
    this.article.querySelector('[data-act="facts"]')?.setAttribute("aria-pressed", String(isOpen));
  }

  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else (this.dialog ?? document.documentElement).requestFullscreen?.().catch(() => {});
  }

  // Shows the controls, and hides them again when nothing moves.
  #wake() {
    this.article?.classList.remove("resting");
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      const isBusy = this.article?.contains(document.activeElement) && document.activeElement !== this.article && document.activeElement.matches(":focus-visible");
      if (!isBusy && !this.article?.classList.contains("with-facts")) this.article?.classList.add("resting");
    }, REST_MS);
  }

  // Back to where one came from.
  close() {
    if (document.fullscreenElement) document.exitFullscreen();
    this.dispatchEvent(new Event("leaving"));
    if (history.state?.over) history.back();
    else location.assign(this.article.querySelector('[data-act="close"]').href);
  }

  #onPop() {
    this.dispatchEvent(new Event("leaving"));
    const isImage = isImagePath(location.pathname);
    if (isImage) this.show(location.href);
    else if (this.isPage) location.reload();
    else if (this.dialog.open) this.#leave();
  }

  // Closes the dialog, and puts the focus on the picture seen last where it is on the screen, else on the one it began with.
  #leave() {
    this.turnNumber += 1;
    const seen = this.article?.dataset.id;
    document.title = this.dialog.dataset.title ?? document.title;
    this.dialog.close();
    this.dialog.replaceChildren();
    this.article = null;
    const find = (id) => id && document.querySelector(`.tile[data-id="${id}"] > a`);
    const isOnScreen = (link) => {
      const { top, bottom } = link.getBoundingClientRect();
      return bottom > 80 && top < innerHeight - 20;
    };
    const last = find(seen);
    const target = last && isOnScreen(last) ? last : find(this.opener);
    target?.focus({ preventScroll: true });
    this.dispatchEvent(new Event("left"));
  }

  #onClick(event) {
    const control = event.target.closest("[data-act], a.turn");
    if (!control || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const acts = {
      close: () => this.close(),
      facts: () => this.toggleFacts(),
      fullscreen: () => this.toggleFullscreen(),
      zoom: () => this.zoom.toggle(),
    };
    if (control.matches("a.turn")) {
      event.preventDefault();
      this.turn(control.classList.contains("older") ? 1 : -1);
    } else if (acts[control.dataset.act]) {
      event.preventDefault();
      acts[control.dataset.act]();
    }
  }
}

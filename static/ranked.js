// Pictures in the order of their likeness to something: more of them come as one scrolls, and coming back leads to the very place one left.

import { dress } from "./pictures.js";

const AHEAD_PX = 1600;
const REST_MS = 140;
const PEACE_MS = 2500;

export class Ranked {
  constructor(root) {
    this.root = root;
    this.tiles = root.querySelector(".tiles");
    const style = getComputedStyle(root);
    this.bar = Number.parseFloat(style.getPropertyValue("--bar"));
    this.head = 0;
    dress(root);
    addEventListener("scroll", () => this.#onScroll(), { passive: true });
    addEventListener("resize", () => this.#fill());
    this.#comeBack();
  }

  get more() {
    return this.root.querySelector('a[rel="next"]');
  }

  // All tiles that are here.
  tilesOf(id) {
    return [...this.tiles.children].filter((tile) => tile.dataset.id === String(id));
  }

  // What to remember in order to come back.
  whereabouts() {
    return { count: this.tiles.children.length, top: Math.round(scrollY) };
  }

  // Loads as much as there was, and goes where one was.
  async #comeBack() {
    history.scrollRestoration = "manual";
    const place = history.state?.ranked;
    while (place && this.tiles.children.length < place.count && this.more) if (!(await this.#load())) break;
    if (place) scrollTo({ top: place.top, behavior: "instant" });
    this.isBack = true;
    this.root.dataset.ready = "yes";
    this.#fill();
  }

  #onScroll() {
    this.#fill();
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      if (!this.isBack || document.querySelector("dialog.over[open]")) return;
      history.replaceState({ ...history.state, ranked: this.whereabouts() }, "");
    }, REST_MS);
  }

  // Loads until what is here reaches well below the screen.
  async #fill() {
    if (!this.isBack || this.isFilling) return;
    this.isFilling = true;
    const isNear = () => this.tiles.getBoundingClientRect().bottom < innerHeight + AHEAD_PX;
    while (this.more && isNear()) {
      if (await this.#load()) continue;
      // The server is away for a moment: the link stays, and is tried again.
      await new Promise((resolve) => setTimeout(resolve, PEACE_MS));
    }
    this.isFilling = false;
  }

  // Adds the next pictures; returns whether they came.
  async #load() {
    const response = await fetch(this.more.dataset.rows, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!response?.ok) return false;
    const template = document.createElement("template");
    template.innerHTML = await response.text();
    const known = new Set([...this.tiles.children].map((tile) => tile.dataset.id));
    // The order may have moved between two pieces of it: no picture comes twice.
    this.tiles.append(...[...template.content.querySelectorAll(".tile")].filter((tile) => !known.has(tile.dataset.id)));
    this.root.querySelector(".pager").replaceWith(template.content.querySelector(".pager"));
    dress(this.tiles);
    this.root.dispatchEvent(new Event("grown"));
    return true;
  }
}

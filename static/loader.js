// The pictures of the timeline's blocks on their way from the server: what is here, what is asked for, and what may be forgotten.

import { BLOCK } from "./rows.js";

const REQUESTS = 3;
const KEPT_TILES = 4000;
const PEACE_MS = 2500;

export class Loader {
  // `query` is the filter; `arrived()` is called when something came, or when it is time to ask again.
  constructor(rows, query, arrived) {
    this.rows = rows;
    this.query = query;
    this.arrived = arrived;
    this.ready = new Map();
    this.loading = new Map();
    this.marks = new Map();
    this.failedUntil = 0;
  }

  // Keeps the days that the server wrote whole.
  adopt(root) {
    const { days, firstBlock } = this.rows;
    for (const section of root.querySelectorAll(".day")) {
      const index = this.rows.indexOf(section.dataset.day);
      const day = days[index];
      const tiles = section.querySelector(".tiles");
      const block = firstBlock[index];
      if (day?.day !== section.dataset.day || !tiles || tiles.children.length !== day.count || firstBlock[index + 1] - block !== 1) continue;
      tiles.classList.add("chunk");
      this.ready.set(block, tiles);
    }
  }

  // The tiles of a block, if they are here.
  get(index) {
    return this.ready.get(index);
  }

  // Marks a block as the one seen last.
  touch(index) {
    const tiles = this.ready.get(index);
    this.ready.delete(index);
    this.ready.set(index, tiles);
  }

  // Asks for what is lacking, nearest first; while the scrubber is dragged only where it rests.
  fetch(lacking, isHeld) {
    const wanted = new Set(lacking);
    for (const [index, request] of this.loading) {
      if (!wanted.has(index) && !request.blocks.some((block) => wanted.has(block))) request.abort.abort();
    }
    if (isHeld || performance.now() < this.failedUntil) return;
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
    const all = this.rows.blocks;
    const isWhole = (candidate) => all[candidate].isLast && all[candidate].piece === 0;
    if (!isWhole(index)) return [index];
    const blocks = [index];
    let count = all[index].count;
    const takes = (candidate) => candidate >= 0 && candidate < all.length && wanted.has(candidate) && !this.loading.has(candidate) && isWhole(candidate) && count + all[candidate].count <= BLOCK;
    for (let next = index + 1; takes(next); next += 1) {
      blocks.push(next);
      count += all[next].count;
    }
    for (let next = index - 1; takes(next); next -= 1) {
      blocks.unshift(next);
      count += all[next].count;
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
        this.failedUntil = performance.now() + PEACE_MS;
        setTimeout(() => this.arrived(), PEACE_MS + 100);
      }
    } finally {
      for (const index of blocks) this.loading.delete(index);
      this.arrived();
    }
  }

  async #load(blocks, signal) {
    for (const [index, tiles] of await this.#ask(blocks, signal)) this.ready.set(index, tiles);
    this.#forget();
  }

  // Something about the pictures has changed: forgets what is not on the page, and brings the rest up to date by `renew(tile, fresh)`.
  async renew(renew) {
    const shown = [];
    for (const [index, tiles] of this.ready) {
      if (tiles.isConnected) shown.push(index);
      else this.ready.delete(index);
    }
    const left = new Set(shown);
    for (const index of shown.sort((a, b) => a - b)) {
      if (!left.has(index)) continue;
      const blocks = this.#company(index, left);
      for (const block of blocks) left.delete(block);
      const fresh = await this.#ask(blocks).catch(() => new Map());
      for (const [block, tiles] of fresh) {
        const news = new Map([...tiles.children].map((tile) => [tile.dataset.id, tile]));
        for (const tile of this.ready.get(block)?.children ?? []) if (news.has(tile.dataset.id)) renew(tile, news.get(tile.dataset.id));
      }
    }
  }

  // The tiles of blocks of whole days side by side, or of one piece of a long day, from the server.
  async #ask(blocks, signal) {
    const { days, blocks: all } = this.rows;
    const { day, piece } = all[blocks[0]];
    const newest = days[day];
    const oldest = days[all[blocks[blocks.length - 1]].day];
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
    return new Map(blocks.map((index) => {
      const tiles = byDay.get(days[all[index].day].day) ?? document.createElement("ol");
      tiles.className = "tiles chunk";
      return [index, tiles];
    }));
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

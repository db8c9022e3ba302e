// What is seen in the picture: shapes over it and a list in the panel, fetched when somebody asks and shown with every picture until they ask
// no more. A region is lit by pointer or focus in either place, and stays lit once it is chosen.

const KEY = "hm.regions";
const DRAG_PX = 6;

export class Regions {
  constructor({ viewer, announce }) {
    Object.assign(this, { viewer, announce });
    const { holder } = viewer;
    // A page that came with them shows them, too.
    this.isOn = sessionStorage.getItem(KEY) === "on" || holder.querySelector(".drawn") !== null;
    this.number = 0;
    viewer.addEventListener("entered", () => this.#enter());
    viewer.addEventListener("paneled", () => this.#list());
    for (const name of ["pointerover", "focusin"]) holder.addEventListener(name, (event) => this.#point(event));
    for (const name of ["pointerout", "focusout"]) holder.addEventListener(name, (event) => this.#leave(event));
    holder.addEventListener("pointerdown", (event) => {
      this.down = { x: event.clientX, y: event.clientY };
    });
    holder.addEventListener("click", (event) => this.#onClick(event));
  }

  get article() {
    return this.viewer.article;
  }

  // Whether there is a picture that something can be seen in.
  get canShow() {
    return Boolean(this.article?.querySelector('[data-act="regions"]'));
  }

  toggle() {
    if (!this.canShow) return;
    this.isOn = !this.isOn;
    sessionStorage.setItem(KEY, this.isOn ? "on" : "off");
    if (!this.isOn) this.announce("The picture alone");
    this.#enter();
  }

  #enter() {
    this.number += 1;
    const { article, isOn } = this;
    article?.querySelector('[data-act="regions"]')?.setAttribute("aria-pressed", String(isOn));
    article?.classList.toggle("with-regions", isOn && this.canShow);
    if (isOn && this.canShow) this.#load();
    else this.#show(null);
  }

  async #load() {
    const { number } = this;
    const id = this.article.dataset.id;
    if (this.shown?.id === id && this.article.querySelector(".drawn")) return;
    const response = await fetch(this.article.dataset.regions, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (number !== this.number) return;
    if (!response?.ok) {
      this.announce("What is in the picture could not be loaded");
      return;
    }
    const template = document.createElement("template");
    template.innerHTML = await response.text();
    if (number !== this.number) return;
    this.#show({ id, drawn: template.content.querySelector(".drawn"), list: template.content.querySelector(".regions") });
    const names = [...this.shown.list.querySelectorAll("b")].map((name) => name.textContent);
    this.announce(names.length ? `In the picture: ${names.join(", ")}` : this.shown.list.querySelector("h3").textContent);
  }

  // Puts a drawing over the picture and its list into the panel, in the place of any others.
  #show(shown) {
    this.chosen = null;
    this.shown = shown;
    this.article?.querySelector(".drawn")?.remove();
    if (shown) this.article.querySelector(".box").append(shown.drawn);
    this.#list();
  }

  // The list, also after the panel has been replaced.
  #list() {
    const place = this.article?.querySelector(".regions-here");
    if (!place) return;
    place.replaceChildren(...(this.shown ? [this.shown.list] : []));
    this.#light();
  }

  // The region that an element is about, or belongs to.
  #of(element) {
    const about = element?.closest?.("[data-region]");
    return about && this.article?.contains(about) ? about.dataset.region : null;
  }

  #point(event) {
    const region = this.#of(event.target);
    if (!region) return;
    this.pointed = region;
    this.#light();
  }

  #leave(event) {
    if (!this.pointed || !this.#of(event.target)) return;
    this.pointed = null;
    this.#light();
  }

  // A click on a shape or on its line keeps it lit; another click lets it go.
  #onClick(event) {
    if (event.target.closest?.('[data-act="regions"]')) {
      this.toggle();
      return;
    }
    if (!this.shown || event.target.closest?.("a, .over-bar, .rate-bar")) return;
    // The stage takes the pointer for itself while a button is down: what lies under it, the place tells.
    const isOnStage = Boolean(event.target.closest?.(".stage"));
    const wasDragged = isOnStage && this.down && Math.hypot(event.clientX - this.down.x, event.clientY - this.down.y) > DRAG_PX;
    if (wasDragged) return;
    const region = this.#of(isOnStage ? document.elementFromPoint(event.clientX, event.clientY) : event.target);
    if (region) this.#choose(this.chosen === region ? null : region);
    else if (isOnStage && this.chosen) this.#choose(null);
  }

  #choose(region) {
    this.chosen = region;
    if (!region) this.pointed = null;
    this.#light();
    const line = region && this.article.querySelector(`.regions li[data-region="${region}"]`);
    if (line) line.scrollIntoView({ block: "nearest" });
  }

  #light() {
    const lit = this.pointed ?? this.chosen;
    const { article } = this;
    if (!article) return;
    article.classList.toggle("has-lit", Boolean(lit) && Boolean(this.shown));
    for (const one of article.querySelectorAll(".region, .regions li")) one.classList.toggle("lit", one.dataset.region === lit);
    for (const button of article.querySelectorAll(".regions button")) button.setAttribute("aria-pressed", String(button.dataset.region === this.chosen));
    this.#tell(lit);
  }

  // Names the lit region below the picture, with the way to its like, where the panel is shut or below.
  #tell(lit) {
    const line = lit && this.shown?.list.querySelector(`li[data-region="${lit}"]`);
    let told = this.article.querySelector(".region-told");
    if (!line) {
      told?.remove();
      return;
    }
    if (!told) {
      told = document.createElement("p");
      told.className = "region-told";
      this.article.querySelector(".stage").append(told);
    }
    if (told.dataset.of === lit) return;
    told.dataset.of = lit;
    told.dataset.hue = line.dataset.hue;
    const [dot, name, score] = line.querySelector("button").cloneNode(true).children;
    const link = document.createElement("a");
    link.href = line.querySelector("a").href;
    link.textContent = "More like this";
    told.replaceChildren(dot, name, score, link);
  }
}

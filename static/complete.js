// Fields that complete what is typed by what there is. Several stand between commas, unless the field holds one. What is taken is told by
// the event `taken`.

const PAUSE_MS = 110;
let number = 0;

class Completion {
  constructor(field) {
    this.field = field;
    this.list = document.createElement("ul");
    this.list.className = "offered";
    this.list.id = `offered-${(number += 1)}`;
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", field.dataset.offers ?? "Keywords there are");
    this.list.hidden = true;
    field.after(this.list);
    for (const [name, value] of [["role", "combobox"], ["aria-expanded", "false"], ["aria-controls", this.list.id], ["aria-autocomplete", "list"]]) {
      field.setAttribute(name, value);
    }
    field.addEventListener("input", () => this.later());
    field.addEventListener("keydown", (event) => this.key(event));
    field.addEventListener("blur", () => this.close());
    this.list.addEventListener("mousedown", (event) => {
      const option = event.target.closest("li");
      event.preventDefault();
      if (option) this.take(option);
    });
  }

  // What is typed after the last comma, and where it begins.
  get typed() {
    if (this.field.hasAttribute("data-one")) return { at: 0, words: this.field.value.trim() };
    const at = Math.max(...[",", ";"].map((divider) => this.field.value.lastIndexOf(divider))) + 1;
    return { at, words: this.field.value.slice(at).trim() };
  }

  later() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.ask(), PAUSE_MS);
  }

  async ask() {
    this.asking?.abort();
    const { words } = this.typed;
    if (!words) return this.close();
    this.asking = new AbortController();
    try {
      const response = await fetch(`${this.field.dataset.complete}?${new URLSearchParams({ words })}`, { signal: this.asking.signal, headers: { "HX-Request": "true" } });
      if (!response.ok) return this.close();
      this.list.innerHTML = await response.text();
    } catch {
      return undefined;
    }
    for (const [index, option] of [...this.list.children].entries()) option.id = `${this.list.id}-${index}`;
    const isOpen = this.list.children.length > 0 && document.activeElement === this.field;
    this.list.hidden = !isOpen;
    this.field.setAttribute("aria-expanded", String(isOpen));
    return this.choose(-1);
  }

  close() {
    clearTimeout(this.waiting);
    this.asking?.abort();
    this.list.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
    this.choose(-1);
  }

  choose(index) {
    const options = [...this.list.children];
    this.chosen = options[index];
    for (const option of options) option.setAttribute("aria-selected", String(option === this.chosen));
    if (this.chosen) {
      this.field.setAttribute("aria-activedescendant", this.chosen.id);
      this.chosen.scrollIntoView({ block: "nearest" });
    } else this.field.removeAttribute("aria-activedescendant");
  }

  take(option) {
    const { at } = this.typed;
    this.field.value = `${this.field.value.slice(0, at)}${at ? " " : ""}${option.dataset.value}`;
    this.close();
    this.field.dispatchEvent(new CustomEvent("taken", { detail: option }));
  }

  key(event) {
    if (event.isComposing || this.list.hidden) return;
    const options = [...this.list.children];
    const at = options.indexOf(this.chosen);
    if (event.key === "ArrowDown") this.choose((at + 2) % (options.length + 1) - 1);
    else if (event.key === "ArrowUp") this.choose((at + 1 + options.length) % (options.length + 1) - 1);
    else if ((event.key === "Enter" || event.key === "Tab") && this.chosen) {
      this.take(this.chosen);
      // Enter takes it and adds it; Tab takes it, so that more can follow.
      if (event.key === "Enter") return;
    } else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

export function wireCompletion() {
  document.addEventListener("focusin", (event) => {
    const field = event.target;
    if (!field.dataset?.complete || field.dataset.completes) return;
    field.dataset.completes = "yes";
    new Completion(field);
  });
}

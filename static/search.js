// The search box as a combobox: completions from the server while one types, and what is wrong when one asks. Without this script
// it is a form.

const PAUSE_MS = 90;

class SearchBox {
  constructor(form) {
    this.form = form;
    this.field = form.querySelector('input[name="q"]');
    this.panel = document.createElement("div");
    this.panel.className = "found";
    this.panel.hidden = true;
    form.append(this.panel);
    this.chosen = -1;
    // The text that the panel is about; undefined until an answer came.
    this.known = undefined;
    this.asking = undefined;
    const { field } = this;
    for (const [name, value] of [["role", "combobox"], ["aria-expanded", "false"], ["aria-controls", "search-choices"], ["aria-autocomplete", "list"]]) {
      field.setAttribute(name, value);
    }
    field.addEventListener("input", () => this.later());
    field.addEventListener("focus", () => this.later());
    field.addEventListener("click", () => this.later());
    field.addEventListener("keydown", (event) => this.key(event));
    form.addEventListener("submit", (event) => this.submit(event));
    form.addEventListener("focusout", (event) => {
      if (!form.contains(event.relatedTarget)) this.close();
    });
    this.panel.addEventListener("mousedown", (event) => {
      const option = event.target.closest('[role="option"]');
      if (!option) return;
      event.preventDefault();
      this.take(option);
    });
  }

  get options() {
    return [...this.panel.querySelectorAll('[role="option"]')];
  }

  later() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.ask(), PAUSE_MS);
  }

  // Asks for what fits at the cursor; a newer question takes the place of an older one.
  async ask() {
    clearTimeout(this.waiting);
    this.asking?.abort();
    this.asking = new AbortController();
    const text = this.field.value;
    const query = new URLSearchParams(new FormData(this.form));
    query.set("q", text);
    query.set("at", String([...text.slice(0, this.field.selectionStart ?? text.length)].length));
    let answer;
    try {
      const response = await fetch(`/search/suggest?${query}`, { headers: { "HX-Request": "true" }, signal: this.asking.signal });
      if (!response.ok) return;
      answer = await response.text();
    } catch {
      return;
    }
    // What was chosen while the answer was on its way stays chosen, if it is still offered.
    const kept = this.options[this.chosen]?.dataset.text;
    this.panel.innerHTML = answer;
    this.known = text;
    this.panel.classList.remove("is-asked");
    this.field.removeAttribute("aria-invalid");
    this.field.removeAttribute("aria-describedby");
    this.choose(this.options.findIndex((option) => option.dataset.text === kept));
    if (this.form.contains(document.activeElement)) this.open();
  }

  open() {
    this.panel.hidden = false;
    this.field.setAttribute("aria-expanded", String(this.options.length > 0));
  }

  close() {
    clearTimeout(this.waiting);
    this.asking?.abort();
    this.panel.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
    this.choose(-1);
  }

  choose(index) {
    const { options } = this;
    this.chosen = options.length ? Math.min(index, options.length - 1) : -1;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === this.chosen)));
    const option = options[this.chosen];
    if (option) {
      this.field.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else {
      this.field.removeAttribute("aria-activedescendant");
    }
  }

  take(option) {
    this.field.value = option.dataset.text;
    const cursor = Number(option.dataset.cursor);
    this.field.setSelectionRange(cursor, cursor);
    this.field.focus();
    // What is taken is no longer chosen: the next Enter searches, even before the next offers are there.
    this.choose(-1);
    this.ask();
  }

  key(event) {
    if (event.isComposing) return;
    const { options } = this;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      event.stopPropagation();
      if (this.panel.hidden) {
        this.ask();
        return;
      }
      const step = event.key === "ArrowDown" ? 1 : -1;
      const count = options.length + 1;
      // One place beside the options is the field itself.
      this.choose(((this.chosen + 1 + step + count) % count) - 1);
    } else if (event.key === "Enter" && !this.panel.hidden && this.chosen >= 0) {
      event.preventDefault();
      this.take(options[this.chosen]);
    } else if (event.key === "Escape" && !this.panel.hidden) {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    } else if (event.key === "Tab") {
      if (this.chosen >= 0) {
        event.preventDefault();
        this.take(options[this.chosen]);
      }
    }
  }

  // A search that is not understood stays in the box, with the place shown below it and the old result behind.
  async submit(event) {
    if (this.isSure) return;
    const { value } = this.field;
    const troubleOf = () => (this.known === value ? this.panel.querySelector("[data-trouble]") : null);
    if (this.known === value && !troubleOf()) return;
    event.preventDefault();
    // Only after this event may the form be submitted anew.
    await (this.known === value ? undefined : this.ask());
    const trouble = troubleOf();
    if (!trouble) {
      this.isSure = true;
      this.form.requestSubmit();
      this.isSure = false;
      return;
    }
    trouble.setAttribute("role", "alert");
    this.panel.classList.add("is-asked");
    this.field.setAttribute("aria-invalid", "true");
    this.field.setAttribute("aria-describedby", "search-trouble");
    this.open();
  }
}

export function wireSearch() {
  const form = document.querySelector("form.search");
  if (form) new SearchBox(form);
}

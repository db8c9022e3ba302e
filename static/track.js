// Places from a GPX track for what is selected: the file goes to the server once, what it would do is shown while the clock is set, and then
// it is done as one change.

const PAUSE_MS = 250;

export class TrackForm {
  // `fields()` are the selected photos as fields of a form.
  constructor({ form, edits, fields, changed }) {
    Object.assign(this, { form, edits, fields, changed });
    this.told = form.querySelector(".told");
    this.button = form.querySelector('[type="submit"]');
    form.querySelector('[type="file"]').addEventListener("change", () => this.#upload());
    form.addEventListener("input", (event) => {
      if (event.target.type === "file") return;
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.preview(), PAUSE_MS);
    });
    form.closest("details").addEventListener("toggle", () => this.preview());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      event.stopPropagation();
      this.#apply();
    });
  }

  #say(words, canApply = false) {
    this.told.textContent = words;
    this.button.disabled = !canApply;
  }

  async #ask(address, options) {
    const response = await fetch(address, { method: "POST", headers: { "HX-Request": "true" }, ...options }).catch(() => null);
    const template = document.createElement("template");
    template.innerHTML = (await response?.text()) ?? "";
    if (response?.ok) return template.content;
    throw new Error(template.content.querySelector(".empty p")?.textContent ?? "The server does not answer.");
  }

  async #upload() {
    const [file] = this.form.querySelector('[type="file"]').files;
    this.track = undefined;
    if (!file) return this.#say("");
    this.#say("Reading …");
    try {
      const held = (await this.#ask("/tracks", { body: file })).querySelector(".track-in-hand");
      this.track = held.dataset.track;
      this.about = held.textContent;
      return this.preview();
    } catch (error) {
      return this.#say(error.message);
    }
  }

  #pairs() {
    const own = [...new FormData(this.form)].filter(([, value]) => typeof value === "string");
    return [...this.fields(), ...own];
  }

  async preview() {
    if (!this.track) return;
    const number = (this.number = (this.number ?? 0) + 1);
    try {
      const said = (await this.#ask(`/tracks/${this.track}/preview`, { body: new URLSearchParams(this.#pairs()) })).querySelector(".said");
      if (number === this.number) this.#say(`${this.about}. ${said.textContent.trim()}.`, Number(said.dataset.changed) > 0);
    } catch (error) {
      if (number === this.number) this.#say(error.message);
    }
  }

  async #apply() {
    if (!this.track) return;
    this.button.disabled = true;
    try {
      const said = (await this.edits.sendLong(`/tracks/${this.track}/apply`, this.#pairs(), "Placing")).querySelector(".said");
      this.edits.remember(Number(said.dataset.batch), said.textContent.trim());
      this.changed([["place"]], {});
    } catch (error) {
      this.edits.fail(error, "No places were set");
    }
    this.preview();
  }
}

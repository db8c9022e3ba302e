// What people change about the picture in the viewer: stars, flag and colour by key or click, and the forms of the panel. What is shown
// changes at once; what the server answers is what stays, and where it refuses, what was there before is shown again.

import { changeOfKey, marksAfter, marksOf, showBarMarks } from "./marks.js";

const PLACE = "hm.place";
const MARKS = new Set(["rating", "step_rating", "flag", "color_label"]);

export class Panel {
  // `marked(id, marks)` is told what is shown of an image from now on, `changed(id, fields)` what the server took.
  constructor({ viewer, edits, marked, changed }) {
    Object.assign(this, { viewer, edits, marked, changed });
    this.pending = new Map();
    const { holder } = viewer;
    holder.addEventListener("submit", (event) => this.#onSubmit(event));
    holder.addEventListener("change", (event) => this.#onChange(event));
    holder.addEventListener("toggle", (event) => this.#onToggle(event), true);
    holder.addEventListener("click", (event) => {
      if (event.target.closest('[data-act="copy-place"]')) this.#copyPlace(event.target.closest("[data-act]"));
    });
    holder.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches(".facts textarea")) event.target.form.requestSubmit();
    });
    viewer.addEventListener("entered", () => this.#enter());
    viewer.addEventListener("leaving", () => this.flush());
    edits.addEventListener("turned", () => this.refresh());
  }

  get facts() {
    return this.viewer.article?.querySelector(".facts");
  }

  // A key that changes something; returns whether it did.
  key(event) {
    const change = changeOfKey(event);
    if (!change || !this.facts?.querySelector(".words")) return false;
    let { field } = change;
    if (field[0] === "color_label" && marksOf(this.facts).color === field[1]) field = ["color_label", "none"];
    this.#send([field]);
    if (change.goesOn) this.viewer.turn(1);
    return true;
  }

  // Texts that were typed and not sent yet go before the picture does.
  flush() {
    for (const field of this.viewer.article?.querySelectorAll(".facts .words [name]") ?? []) this.#sendWords(field);
  }

  #enter() {
    const { facts } = this;
    if (!facts) return;
    let place = null;
    try {
      place = JSON.parse(sessionStorage.getItem(PLACE) ?? "null");
    } catch {
      // Not ours.
    }
    const form = facts.querySelector(".paste-place");
    if (form && place && place.id !== facts.dataset.id) {
      form.hidden = false;
      form.querySelector("button").value = place.id;
      form.querySelector("button").textContent = `Use the place of ${place.words}`;
    }
  }

  #copyPlace(button) {
    const words = button.dataset.words;
    sessionStorage.setItem(PLACE, JSON.stringify({ id: this.facts.dataset.id, words }));
    this.edits.say(`The place of ${words} is copied: use it in the details of another photo, or for the selected ones`);
  }

  #onSubmit(event) {
    const form = event.target;
    const action = event.submitter?.getAttribute("formaction") ?? form.getAttribute("action");
    const path = new URL(action, location.href).pathname;
    const isEdit = /^\/images\/\d+\/edit$/.test(path);
    if (!isEdit && !/^\/images\/\d+\/history\/\d+\/(undo|redo)$/.test(path)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!isEdit) {
      this.#turn(action);
      return;
    }
    const words = form.matches(".words") ? form.querySelector("[name]") : null;
    if (words) this.#sendWords(words);
    else this.#send([...new FormData(form, event.submitter)]);
    if (form.matches(".completes")) form.reset();
  }

  #onChange(event) {
    if (event.target.matches(".facts .words [name]")) this.#sendWords(event.target);
  }

  #sendWords(field) {
    const said = field.dataset.sent ?? field.defaultValue;
    if (field.value === said) return;
    field.dataset.sent = field.value;
    this.#send([[field.name, field.value]], field);
  }

  // Does one change to the picture that is shown.
  async #send(fields, field) {
    const { facts, edits } = this;
    const { id } = facts.dataset;
    const action = facts.querySelector(".words").getAttribute("action");
    const before = marksOf(facts);
    const after = fields.reduce(marksAfter, before);
    this.#show(id, after);
    const isAlone = !this.pending.get(id);
    this.pending.set(id, (this.pending.get(id) ?? 0) + 1);
    let answer = null;
    try {
      answer = (await edits.send(action, fields)).querySelector(".facts");
    } catch (error) {
      edits.fail(error);
      if (field?.isConnected) field.dataset.sent = field.defaultValue;
    }
    const left = this.pending.get(id) - 1;
    if (left) this.pending.set(id, left);
    else this.pending.delete(id);
    this.viewer.forget(id);
    if (!answer) {
      this.#show(id, before);
      // If others went before or after, only the server knows what is true now.
      if (left || !isAlone) this.refresh();
      return;
    }
    const batch = answer.dataset.batch && Number(answer.dataset.batch);
    if (batch) edits.remember(batch, answer.dataset.said, { id });
    else edits.say(`${answer.dataset.said}: as before`);
    // Stars and their like are shown already: the panel may be in use, and is left alone.
    const isMarks = fields.every(([name]) => MARKS.has(name)) && !this.facts?.querySelector(".history")?.open;
    if (left === 0 && isMarks) this.#show(id, marksOf(answer));
    else if (left === 0) this.#replace(answer);
    this.changed(id, fields);
  }

  // Takes one change of the history back, or does it again.
  async #turn(action) {
    const { id } = this.facts.dataset;
    try {
      const said = await this.edits.send(action, []);
      this.edits.say(said.querySelector(".said").textContent.trim());
    } catch (error) {
      this.edits.fail(error, "Not undone");
    }
    this.viewer.forget(id);
    await this.refresh();
    this.changed(id, []);
  }

  #show(id, marks) {
    this.marked(id, marks);
    if (this.facts?.dataset.id !== id) return;
    Object.assign(this.facts.dataset, marks);
    showBarMarks(this.viewer.article.querySelector(".rate-bar"), marks);
  }

  // Asks the server what is true of the picture that is shown.
  async refresh() {
    const { viewer, facts } = this;
    viewer.forgetAll();
    if (!facts) return;
    const fresh = await viewer.fragment(location.href).catch(() => null);
    const panel = fresh?.querySelector(".facts");
    if (panel) this.#replace(panel);
  }

  // Puts another panel in the place of the one that is shown, and leaves people where they were in it.
  #replace(fresh) {
    const { facts: old } = this;
    this.marked(fresh.dataset.id, marksOf(fresh));
    if (!old || old.dataset.id !== fresh.dataset.id) return;
    const focused = old.contains(document.activeElement) ? document.activeElement.dataset.name : undefined;
    for (const details of fresh.querySelectorAll("details[data-name]")) {
      const was = old.querySelector(`details[data-name="${details.dataset.name}"]`);
      details.open = Boolean(was?.open) && (details.dataset.name === "history" || was.contains(document.activeElement));
    }
    for (const field of fresh.querySelectorAll(".words [name], .add [name]")) {
      const was = old.querySelector(`${field.matches(".add *") ? ".add" : ".words"} [name="${field.name}"]`);
      if (was && was.value !== (was.dataset.sent ?? was.defaultValue)) field.value = was.value;
    }
    const place = old.scrollTop;
    old.replaceWith(fresh);
    this.viewer.dispatchEvent(new Event("paneled"));
    fresh.scrollTop = place;
    showBarMarks(this.viewer.article.querySelector(".rate-bar"), marksOf(fresh));
    this.#enter();
    const target = focused && [...fresh.querySelectorAll("[data-name]")].find((one) => one.dataset.name === focused);
    if (target) target.focus({ preventScroll: true });
    else if (focused) (fresh.querySelector('[data-name="add-keywords"]') ?? this.viewer.article).focus({ preventScroll: true });
  }

  // The history comes when somebody looks.
  async #onToggle(event) {
    const details = event.target;
    if (!details.matches?.("details.history") || !details.open) return;
    const holder = details.querySelector(".entries-here");
    const load = async (address) => {
      const response = await fetch(address, { headers: { "HX-Request": "true" } }).catch(() => null);
      if (!response?.ok) return "<p>The history could not be loaded.</p>";
      return response.text();
    };
    holder.innerHTML = await load(details.dataset.src);
    holder.onclick = async (click) => {
      const older = click.target.closest("[data-older]");
      if (!older) return;
      click.preventDefault();
      const more = document.createElement("div");
      older.parentElement.replaceWith(more);
      more.innerHTML = await load(older.href);
    };
  }
}

// Groups of duplicates by keyboard: arrows walk groups and their photos, one key decides, and the next group is there.

export class Duplicates {
  constructor(root, edits) {
    this.root = root;
    this.edits = edits;
    root.addEventListener("submit", (event) => this.#onSubmit(event));
    edits.addEventListener("turned", () => edits.reload());
    this.#focus(this.groups[0]?.querySelector(".photo"));
  }

  get groups() {
    return [...this.root.querySelectorAll(".group")];
  }

  // Returns whether the key meant something here.
  key(event) {
    const photo = event.target.closest?.(".photo");
    const group = event.target.closest?.(".group");
    const { groups } = this;
    const down = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    const aside = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (down && groups.length) {
      const at = groups.indexOf(group);
      const next = groups[at < 0 ? 0 : Math.min(groups.length - 1, Math.max(0, at + down))];
      this.#focus(next.querySelector(".photo"));
    } else if (aside && group) {
      const photos = [...group.querySelectorAll(".photo")];
      this.#focus(photos[Math.min(photos.length - 1, Math.max(0, photos.indexOf(photo) + aside))]);
    } else if (event.key === "p" && photo) photo.querySelector('[data-act="best"]')?.click();
    else if (event.key === "n" && group) group.querySelector('[data-act="apart"]')?.click();
    else if (event.key === " " && event.target === photo) photo.querySelector('[type="checkbox"]')?.click();
    else if (event.key === "Enter" && (event.target === photo || event.target.matches('[type="checkbox"]'))) this.#keep(group, photo);
    else return false;
    return true;
  }

  // Nothing marked: whoever presses Enter wants to look.
  #keep(group, photo) {
    if (group.querySelector(":checked")) group.querySelector('[data-act="keep"]')?.click();
    else photo.querySelector(".picture").click();
  }

  #focus(photo) {
    photo?.focus({ preventScroll: true });
    photo?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  async #onSubmit(event) {
    const form = event.target;
    event.preventDefault();
    const group = form.closest(".group");
    if (form.matches(".deciding")) return;
    const { groups } = this;
    const next = groups[groups.indexOf(group) + 1] ?? groups[groups.indexOf(group) - 1];
    const hadFocus = form.contains(document.activeElement);
    form.classList.add("deciding");
    const action = event.submitter?.getAttribute("formaction") ?? form.getAttribute("action");
    const fields = [...new FormData(form, event.submitter)];
    try {
      const said = (await this.edits.send(action, fields)).querySelector(".said");
      const words = said.textContent.trim();
      const isLast = !group || groups.length === 1;
      const { batch, undo } = said.dataset;
      if (batch) this.edits.remember(Number(batch), words);
      else if (undo) this.edits.remember(undo, words, { redo: [action, fields.filter(([name]) => name === "image")] });
      else {
        this.edits.forget(action);
        this.edits.say(words);
      }
      if (isLast) {
        this.edits.reload();
        return;
      }
      // What was decided elsewhere meanwhile keeps its focus.
      form.remove();
      if (hadFocus) this.#focus(next?.querySelector(".photo"));
    } catch (error) {
      form.classList.remove("deciding");
      this.edits.fail(error, "Not decided");
    }
  }
}

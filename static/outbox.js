// The outbox by keyboard: one key chooses a side of a conflict, and the next one is there.

export class Outbox {
  constructor(root, edits) {
    this.root = root;
    this.edits = edits;
    root.addEventListener("submit", (event) => this.#onSubmit(event));
    edits.addEventListener("turned", () => edits.reload());
    this.conflicts[0]?.focus({ preventScroll: true });
  }

  get conflicts() {
    return [...this.root.querySelectorAll(".conflict")];
  }

  // Returns whether the key meant something here.
  key(event) {
    const { conflicts } = this;
    const at = conflicts.indexOf(event.target.closest?.(".conflict"));
    const choice = { 1: "ours", 2: "theirs", ArrowLeft: "ours", ArrowRight: "theirs" }[event.key];
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (step && conflicts.length) {
      const next = conflicts[at < 0 ? 0 : Math.min(conflicts.length - 1, Math.max(0, at + step))];
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "nearest" });
    } else if (choice && at >= 0) conflicts[at].querySelector(`[value="${choice}"]`).click();
    else if (event.key === "r") this.root.querySelector('form[action="/outbox/retry"]')?.requestSubmit();
    else return false;
    return true;
  }

  async #onSubmit(event) {
    const form = event.target;
    event.preventDefault();
    const item = form.closest(".conflict");
    if (item?.matches(".deciding")) return;
    const { conflicts } = this;
    const next = conflicts[conflicts.indexOf(item) + 1] ?? conflicts[conflicts.indexOf(item) - 1];
    item?.classList.add("deciding");
    const hadFocus = item?.contains(document.activeElement);
    if (hadFocus) next?.focus({ preventScroll: true });
    next?.scrollIntoView({ block: "nearest" });
    try {
      const said = (await this.edits.send(form.getAttribute("action"), [...new FormData(form, event.submitter)])).querySelector(".said");
      const words = said.textContent.trim();
      if (!item) {
        location.reload();
        return;
      }
      if (said.dataset.batch) this.edits.remember(Number(said.dataset.batch), words);
      else this.edits.say(words);
      item.remove();
      if (!this.conflicts.length) location.reload();
    } catch (error) {
      item?.classList.remove("deciding");
      if (hadFocus) item.focus();
      this.edits.fail(error, "Not decided");
    }
  }
}

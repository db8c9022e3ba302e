// The tasks by keyboard: arrows walk lanes and failures, p pauses or resumes, r tries again. What is drawn anew every few seconds keeps its focus,
// because htmx gives it back by id.

export class Tasks {
  constructor(root, edits) {
    this.root = root;
    document.body.addEventListener("hm-said", (event) => edits.say(event.detail.value));
    document.body.addEventListener("htmx:responseError", (event) => {
      const answer = document.createElement("template");
      answer.innerHTML = event.detail.xhr.responseText;
      // A look that fails is followed by the next one.
      if (event.detail.requestConfig.verb !== "post") return;
      const words = answer.content.querySelector(".empty p")?.textContent ?? `the server answered ${event.detail.xhr.status}`;
      edits.fail(new Error(words.replace(/\.$/, "")), "Not done");
    });
  }

  // Returns whether the key meant something here.
  key(event) {
    const items = [...this.root.querySelectorAll(".lane, .failures > li")];
    const at = items.indexOf(event.target.closest?.(".lane, .failures > li"));
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (step && items.length) {
      const next = items[at < 0 ? 0 : Math.min(items.length - 1, Math.max(0, at + step))];
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "nearest" });
      return true;
    }
    const lane = items[at]?.matches(".lane") ? items[at] : this.root.querySelectorAll(".lane").length === 1 ? this.root.querySelector(".lane") : null;
    const failed = items[at]?.matches(".lane") ? null : items[at];
    const form = { p: lane?.querySelector("form"), r: failed?.querySelector("form"), R: this.root.querySelector("#retry-all")?.form }[event.key];
    if (!form) return false;
    form.requestSubmit();
    return true;
  }
}

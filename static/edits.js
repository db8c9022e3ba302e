// Changes on their way to the server, one after another in the order they were made; what was done, said with a way back; undo and redo.

const SAID_MS = 9000;
const TROUBLE_MS = 20000;
const MOST_STEPS = 100;
// How far a change is is said once it has taken a while, and then again and again.
const SLOW_MS = 1000;
const LOOK_MS = 500;
const KEY = "hm.steps";
const LATER = "hm.said";

// Where the selection waits for its place while the map is open.
export const PLACING = "hm.placing";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const fragment = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
};

// Sends the fields of a form and returns what the server answers, as a fragment.
async function post(address, fields) {
  const body = new URLSearchParams(fields);
  let response;
  try {
    response = await fetch(address, { method: "POST", body, headers: { "HX-Request": "true" } });
  } catch {
    throw new Error("the server does not answer");
  }
  const content = fragment(await response.text());
  if (response.ok) return content;
  const words = content.querySelector(".empty p")?.textContent ?? `the server answered ${response.status}`;
  throw Object.assign(new Error(words.replace(/\.$/, "")), { status: response.status });
}

// Where a batch is taken back or done again, and with which fields. What is no edit of photos is named by the address that takes it back, and
// its step knows the other way.
const wayOf = (verb, batch, { redo }) => (!redo ? [`/edits/${batch}/${verb}`, []] : verb === "undo" ? [batch, []] : redo);

export class Edits extends EventTarget {
  constructor(announce) {
    super();
    this.announce = announce;
    this.queue = Promise.resolve();
    this.waiting = 0;
    // What was done in this tab and can be taken back, and what was taken back; across its pages.
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
      this.done = kept.done ?? [];
      this.undone = kept.undone ?? [];
    } catch {
      this.done = [];
      this.undone = [];
    }
    const later = JSON.parse(sessionStorage.getItem(LATER) ?? "null");
    sessionStorage.removeItem(LATER);
    if (later) this.say(later.words, later.batch);
    addEventListener("beforeunload", (event) => {
      if (this.waiting) event.preventDefault();
    });
  }

  // Sends a change after those before it. Resolves to the answer; a failure is said, and thrown on.
  send(address, fields) {
    this.#wait(1);
    const sent = this.queue.then(() => post(address, fields));
    this.queue = sent.then(
      () => {},
      () => {},
    );
    return sent.finally(() => {
      this.#wait(-1);
      document.body.dispatchEvent(new Event("hm-look"));
    });
  }

  // As `send`, for a change that may take long: `told` hears how many photos are done, and of how many; else it is shown behind `words`.
  async sendLong(address, fields, words, told = this.#teller(words)) {
    const word = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    let isOver = false;
    const follow = async () => {
      for (await pause(SLOW_MS); !isOver; await pause(LOOK_MS)) {
        const response = await fetch(`/edits/progress/${word}`).catch(() => null);
        const { done, total } = response?.status === 200 ? await response.json() : {};
        if (total && !isOver) told(done, total);
      }
    };
    follow();
    try {
      return await this.send(address, [...fields, ["progress", word]]);
    } finally {
      isOver = true;
    }
  }

  // Shows how far it is where all else is said; whatever is said next takes its place.
  #teller(words) {
    let toast = null;
    return (done, total) => {
      if (!toast?.isConnected) {
        toast = this.#toast("");
        toast.innerHTML = '<span><b></b><b aria-hidden="true"></b></span><progress></progress>';
        toast.querySelector("b").textContent = words;
        toast.querySelector("progress").setAttribute("aria-label", words);
      }
      const count = (number) => number.toLocaleString("en-GB");
      toast.querySelector("[aria-hidden]").textContent = ` ${count(done)} of ${count(total)} …`;
      Object.assign(toast.querySelector("progress"), { max: total, value: done });
    };
  }

  // How many changes are on their way; the page says so as long as there are some.
  #wait(more) {
    this.waiting += more;
    document.documentElement.toggleAttribute("data-saving", this.waiting > 0);
  }

  // Remembers a batch (or several that belong together), so that it can be taken back, and says what was done. Of what is no edit of photos,
  // `batch` is the address that takes it back, and `more.redo` the address and the fields that do it again.
  remember(batch, words, more = {}, { isQuiet = false } = {}) {
    this.done.push({ batch, words, ...more });
    if (this.done.length > MOST_STEPS) this.done.shift();
    this.undone = [];
    this.#keep();
    if (!isQuiet) this.say(words, batch);
  }

  // As `remember`, and said on the page that comes next.
  rememberForNextPage(batch, words) {
    this.remember(batch, words, {}, { isQuiet: true });
    sessionStorage.setItem(LATER, JSON.stringify({ batch, words }));
  }

  // Forgets what was taken back by a button of its own.
  forget(batch) {
    this.done = this.done.filter((step) => String(step.batch) !== String(batch));
    this.#keep();
  }

  // Shows the page anew, and there once more what was said last.
  reload() {
    if (this.said) sessionStorage.setItem(LATER, JSON.stringify(this.said));
    location.reload();
  }

  #keep() {
    sessionStorage.setItem(KEY, JSON.stringify({ done: this.done, undone: this.undone }));
  }

  async undo(batch) {
    await this.#settled();
    const at = batch === undefined ? this.done.length - 1 : this.done.findLastIndex((step) => String(step.batch) === String(batch));
    return this.#turn("undo", this.done, at, this.undone);
  }

  async redo() {
    await this.#settled();
    return this.#turn("redo", this.undone, this.undone.length - 1, this.done);
  }

  // Whoever takes back means what they did last, also while that is still on its way.
  async #settled() {
    while (this.waiting) {
      await this.queue;
      // Whoever sent it remembers it once it is answered.
      await pause(0);
    }
  }

  async #turn(verb, from, at, to) {
    const [step] = at >= 0 ? from.splice(at, 1) : [];
    if (!step) {
      this.say(verb === "undo" ? "There is nothing to undo" : "There is nothing to redo");
      return;
    }
    try {
      const batches = [step.batch].flat();
      const said = [];
      for (const batch of verb === "undo" ? batches.toReversed() : batches) {
        const [address, fields] = wayOf(verb, batch, step);
        const answer = (await this.sendLong(address, fields, verb === "undo" ? "Taking back" : "Doing again")).querySelector(".said");
        said.push(answer.textContent.trim());
        // What is said anew is taken back elsewhere than before.
        if (answer.dataset.undo) step.batch = answer.dataset.undo;
      }
      to.push(step);
      this.#keep();
      const words = said.join(", ");
      this.say(words === step.words ? words : `${words} (${step.words})`, verb === "redo" ? step.batch : undefined);
      this.dispatchEvent(new CustomEvent("turned", { detail: { ...step, verb } }));
    } catch (error) {
      // What is there no more was taken back elsewhere, and must not stand before what was done earlier.
      if (error.status === 404) this.#keep();
      else from.splice(at, 0, step);
      this.fail(error, verb === "undo" ? "Not undone" : "Not done again");
    }
  }

  // Says what was done, with a button that takes it back where there is a batch.
  say(words, batch) {
    this.said = { words, batch };
    const toast = this.#toast("");
    const text = document.createElement("span");
    text.textContent = words;
    toast.append(text);
    if (batch !== undefined) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Undo";
      button.title = "Ctrl+Z";
      button.dataset.act = "undo";
      button.addEventListener("click", (event) => {
        event.stopPropagation();
        toast.remove();
        this.undo(batch);
      });
      toast.append(button);
    }
    this.#vanish(toast, SAID_MS);
  }

  // Says what went wrong; what was shown before is shown again by whoever asked.
  fail(error, what = "Not saved") {
    const toast = this.#toast("alarm");
    const text = document.createElement("span");
    text.textContent = `${what}: ${error.message}`;
    toast.append(text);
    this.#vanish(toast, TROUBLE_MS);
  }

  // One word at a time, inside the dialog that is open: what lies outside of it cannot be reached.
  #toast(kind) {
    for (const old of document.querySelectorAll(".done-toast")) old.remove();
    const toast = document.createElement("div");
    toast.className = `done-toast ${kind}`;
    toast.setAttribute("role", kind ? "alert" : "status");
    (document.querySelector("dialog.over[open]") ?? document.body).append(toast);
    return toast;
  }

  #vanish(toast, ms) {
    const close = document.createElement("button");
    close.type = "button";
    close.className = "shut";
    close.textContent = "×";
    close.setAttribute("aria-label", "Close this message");
    close.addEventListener("click", (event) => {
      event.stopPropagation();
      toast.remove();
    });
    toast.append(close);
    const go = () => {
      if (toast.matches(":hover, :focus-within")) setTimeout(go, 1500);
      else toast.remove();
    };
    setTimeout(go, ms);
  }
}

// Ctrl+Z, Ctrl+Shift+Z, Ctrl+Y and their like on a Mac. In a field that is typed in they are the browser's.
export function turnOfKey(event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey) return null;
  const key = event.key.toLowerCase();
  if (key === "z") return event.shiftKey ? "redo" : "undo";
  return key === "y" && !event.shiftKey ? "redo" : null;
}

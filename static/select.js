// Choosing pictures: by checkbox, x, shift-click or a whole day; what is chosen outlives the scrolling, and goes to the server as an ordinary form.

export class Selection {
  constructor(form, root, announce) {
    this.form = form;
    this.root = root;
    this.announce = announce;
    this.chosen = new Set();
    this.last = null;
    root.addEventListener("change", (event) => this.#onChange(event));
    root.addEventListener("click", (event) => this.#onClick(event), true);
    form.addEventListener("submit", () => this.#fill());
    form.querySelector('[data-act="clear"]').addEventListener("click", () => this.clear());
    this.mark(root);
    this.#tell();
  }

  get isActive() {
    return this.chosen.size > 0;
  }

  // Checks the boxes of tiles that have just come onto the page.
  mark(root) {
    for (const box of root.querySelectorAll(".pick input")) {
      if (box.checked && !this.chosen.has(box.value)) this.chosen.add(box.value);
      box.checked = this.chosen.has(box.value);
    }
  }

  toggle(tile, isRange) {
    const box = tile.querySelector(".pick input");
    if (!box) return;
    this.#set([tile], !box.checked, isRange);
  }

  clear() {
    this.chosen.clear();
    for (const box of this.root.querySelectorAll(".pick input:checked")) box.checked = false;
    this.last = null;
    this.#tell();
  }

  #onChange(event) {
    const box = event.target.closest(".pick input");
    if (box) this.#set([box.closest(".tile")], box.checked, false);
  }

  #onClick(event) {
    const day = event.target.closest(".pick-day");
    if (day) {
      const tiles = [...day.closest(".day").querySelectorAll(".tile")];
      this.#set(tiles, !tiles.every((tile) => tile.querySelector(".pick input").checked), false);
      return;
    }
    const link = event.target.closest(".tile > a");
    if (!link || event.ctrlKey || event.metaKey) return;
    if (event.shiftKey || this.isActive) {
      event.preventDefault();
      event.stopPropagation();
      this.toggle(link.closest(".tile"), event.shiftKey);
    }
  }

  #set(tiles, isOn, isRange) {
    let all = tiles;
    const tile = tiles[tiles.length - 1];
    if (isRange && this.last?.isConnected) {
      const order = [...this.root.querySelectorAll(".tile")];
      const [from, to] = [order.indexOf(this.last), order.indexOf(tile)].sort((a, b) => a - b);
      all = order.slice(from, to + 1);
    }
    for (const each of all) {
      const box = each.querySelector(".pick input");
      box.checked = isOn || (isRange && all.length > 1);
      if (box.checked) this.chosen.add(box.value);
      else this.chosen.delete(box.value);
    }
    this.last = tile;
    this.#tell();
  }

  #tell() {
    const count = this.chosen.size;
    document.documentElement.classList.toggle("selecting", count > 0);
    this.form.querySelector(".how-many").textContent = `${count.toLocaleString("en-GB")} selected`;
    this.form.querySelector('[type="submit"]').disabled = count < 2;
    if (count) this.announce(`${count} selected`);
  }

  // What is chosen but not on the page goes along as hidden fields; the way back leads to this very place.
  #fill() {
    const back = this.form.querySelector('[name="back"]');
    if (back) back.value = location.pathname + location.search;
    for (const field of this.form.querySelectorAll('[type="hidden"][name="image"]')) field.remove();
    const shown = new Set([...document.querySelectorAll(".pick input:checked")].map((box) => box.value));
    for (const id of this.chosen) {
      if (shown.has(id)) continue;
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = "image";
      field.value = id;
      this.form.append(field);
    }
  }
}

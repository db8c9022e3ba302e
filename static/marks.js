// Stars, flag and colour as they are shown: on a tile, in the viewer's bar, and what they will be after a change. The rules are those of
// models/edit/change.rs.

export const NO_MARKS = { rating: 0, pick: "none", color: "none" };

// What an element says of itself.
export function marksOf(element) {
  const { rating, pick, color } = element.dataset;
  return { rating: Number(rating) || 0, pick: pick || "none", color: color || "none" };
}

// What marks become by one field of a form; the same object where it concerns other things.
export function marksAfter(marks, [name, value]) {
  const { rating } = marks;
  if (name === "rating") return { ...marks, rating: Number(value) };
  if (name === "color_label") return { ...marks, color: value };
  if (name === "step_rating") {
    const by = Number(value);
    return rating < 0 && by < 0 ? marks : { ...marks, rating: Math.min(5, Math.max(0, Math.max(0, rating) + by)) };
  }
  if (name === "flag" && value === "reject") return { ...marks, rating: -1, pick: "none" };
  if (name === "flag") return { ...marks, rating: Math.max(0, rating), pick: value === "pick" ? "picked" : "none" };
  return marks;
}

const icon = (name) => `<svg class="icon" aria-hidden="true"><use href="${new URL("icons.svg", import.meta.url).pathname}#${name}"/></svg>`;

// The same badges as the server draws (templates/macros.html). What stands in them comes from fixed lists.
export function showTileMarks(tile, marks) {
  Object.assign(tile.dataset, marks);
  const holder = tile.querySelector(".marks");
  if (!holder) return;
  const color = /^[a-z]+$/.test(marks.color) ? marks.color : "none";
  const badges = [
    marks.rating < 0 && `<span class="badge is-rejected">${icon("reject")}<span class="aside">Rejected</span></span>`,
    marks.rating > 0 && `<span class="badge"><span class="aside">Rated </span>${marks.rating}${icon("star")}</span>`,
    marks.pick === "picked" && `<span class="badge is-picked">${icon("flag")}<span class="aside">Picked</span></span>`,
    color !== "none" && `<span class="badge is-color" data-color="${color}"><span class="dot"></span><span class="aside">${color}</span></span>`,
  ];
  holder.innerHTML = badges.filter(Boolean).join("");
}

// A bar of buttons: what is on is pressed, and pressing it again takes it away.
export function showBarMarks(bar, { rating, pick, color }) {
  // Who may only look has none.
  if (!bar) return;
  for (const button of bar.querySelectorAll("[data-star]")) {
    const star = Number(button.dataset.star);
    button.classList.toggle("lit", star <= rating);
    button.setAttribute("aria-pressed", String(star === rating));
    button.value = star === rating ? "0" : String(star);
  }
  for (const button of bar.querySelectorAll("[data-flag]")) {
    const isOn = button.dataset.flag === "pick" ? pick === "picked" : rating < 0;
    button.setAttribute("aria-pressed", String(isOn));
    button.value = isOn ? "none" : button.dataset.flag;
  }
  for (const button of bar.querySelectorAll("[data-color]")) {
    const isOn = button.dataset.color === color;
    button.setAttribute("aria-pressed", String(isOn));
    button.value = isOn ? "none" : button.dataset.color;
  }
}

const COLOR_KEYS = { 6: "red", 7: "yellow", 8: "green", 9: "blue" };
const FLAG_KEYS = { p: "pick", x: "reject", u: "none" };
const STEP_KEYS = { "[": "-1", "{": "-1", "]": "1", "}": "1" };

// The change that a key asks for, as a field of a form and whether to go on to the next picture; null for other keys. Digits count by their
// place on the keyboard, because with Shift they are other characters, which differ from country to country.
export function changeOfKey(event) {
  const digit = /^(?:Digit|Numpad)([0-5])$/.exec(event.code)?.[1] ?? (/^[0-5]$/.test(event.key) ? event.key : null);
  if (digit !== null) return { field: ["rating", digit], goesOn: event.shiftKey };
  if (COLOR_KEYS[event.key]) return { field: ["color_label", COLOR_KEYS[event.key]], goesOn: event.shiftKey };
  if (STEP_KEYS[event.key]) return { field: ["step_rating", STEP_KEYS[event.key]], goesOn: event.shiftKey };
  const flag = event.key.length === 1 ? FLAG_KEYS[event.key.toLowerCase()] : undefined;
  return flag ? { field: ["flag", flag], goesOn: event.shiftKey } : null;
}

// Every key of the gallery and the viewer in one table's worth of code, and walking the grid by arrows.

import { turnOfKey } from "./edits.js";
import { changeOfKey } from "./marks.js";
import { stepMonth } from "./scrubber.js";

const isTyping = (target) => target.closest?.("input:not([type=checkbox]), select, textarea, [contenteditable]");

// The tile in a direction from another, by where they stand on the screen.
function neighbour(tile, key) {
  const tiles = [...document.querySelectorAll(".tile")];
  const at = tiles.indexOf(tile);
  if (key === "ArrowRight") return tiles[at + 1];
  if (key === "ArrowLeft") return tiles[at - 1];
  const from = tile.getBoundingClientRect();
  const middle = (from.left + from.right) / 2;
  const isBelow = key === "ArrowDown";
  let best = null;
  for (const other of tiles) {
    const rect = other.getBoundingClientRect();
    const gap = isBelow ? rect.top - from.bottom : from.top - rect.bottom;
    if (gap < -1) continue;
    const aside = Math.max(0, rect.left - middle, middle - rect.right);
    if (!best || gap < best.gap - 2 || (Math.abs(gap - best.gap) <= 2 && aside < best.aside)) best = { other, gap, aside };
  }
  return best?.other;
}

// Moves the focus to a tile, and the page only as far as it must.
function focusTile(tile, timeline) {
  tile.querySelector("a").focus({ preventScroll: true });
  const { top, bottom } = tile.getBoundingClientRect();
  const ceiling = timeline.bar + timeline.head + 4;
  if (top < ceiling) scrollBy({ top: top - ceiling, behavior: "instant" });
  else if (bottom > innerHeight - 12) scrollBy({ top: bottom - innerHeight + 12, behavior: "instant" });
}

function firstTileOnScreen(timeline) {
  const ceiling = timeline.bar + timeline.head - 2;
  return [...document.querySelectorAll(".tile")].find((tile) => tile.getBoundingClientRect().top >= ceiling);
}

// Goes to a day and puts the focus on its first picture, as soon as it is here and unless the focus is needed elsewhere: days may stand side by
// side, and only the focus tells which one is meant.
export function arriveAt(timeline, index) {
  const { day } = timeline.days[index];
  timeline.goToDay(index);
  const focus = () => {
    const isFree = document.activeElement === document.body || document.activeElement?.closest(".tile");
    if (isFree && timeline.days[timeline.topDay]?.day === day) document.querySelector(`.day[data-day="${day}"] .tile > a`)?.focus({ preventScroll: true });
  };
  focus();
  if (document.activeElement?.closest(".day")?.dataset.day !== day) timeline.addEventListener("mounted", focus, { once: true });
}

// Brackets need AltGr on some keyboards, which browsers report as Ctrl and Alt.
const isShortcut = (event) => (event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph");

// Listens to the whole page. `parts` are the things there are: timeline, viewer, panel, selection, edits, help, goTo.
export function listen(parts) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog.card[open]")) return;
    const turn = turnOfKey(event);
    const isAll = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "a" && !parts.viewer?.isOpen && parts.selection;
    if (turn || isAll) {
      event.preventDefault();
      if (turn) parts.edits[turn]();
      else parts.selection.selectAll();
      return;
    }
    if (isShortcut(event)) return;
    const isDone = event.key === "?" ? help(parts) : parts.run ? parts.run.key(event) : parts.viewer?.isOpen ? inViewer(event, parts) : inGallery(event, parts);
    if (isDone) event.preventDefault();
  });
}

function help({ help: dialog }) {
  dialog?.showModal();
  return Boolean(dialog);
}

function inViewer(event, { viewer, panel, regions }) {
  if (event.target.closest("video") && event.key !== "Escape") return false;
  if (panel?.key(event)) return true;
  const acts = {
    ArrowRight: () => viewer.turn(1),
    ArrowLeft: () => viewer.turn(-1),
    PageDown: () => viewer.turn(1),
    PageUp: () => viewer.turn(-1),
    Home: () => viewer.end(-1),
    End: () => viewer.end(1),
    Escape: () => viewer.close(),
    i: () => viewer.toggleFacts(),
    f: () => viewer.toggleFullscreen(),
    m: () => regions?.toggle(),
    z: () => viewer.zoom.toggle(),
    "+": () => viewer.zoom.step(1.4),
    "=": () => viewer.zoom.step(1.4),
    "-": () => viewer.zoom.step(1 / 1.4),
  };
  const act = acts[event.key];
  act?.();
  return Boolean(act);
}

function inGallery(event, { timeline, ranked, selection, outbox, duplicates, tasks, goTo }) {
  if (event.key === "/") {
    document.querySelector(".search input")?.focus();
    return true;
  }
  if (outbox) return outbox.key(event);
  if (duplicates) return duplicates.key(event);
  if (tasks) return tasks.key(event);
  const grid = timeline ?? ranked;
  if (!grid) return false;
  const tile = event.target.closest?.(".tile");
  if (event.key.startsWith("Arrow")) return walk(event, tile, grid);
  // A checkbox is ticked by Space itself.
  if (event.key === " " && tile && !event.target.matches("input")) {
    selection?.toggle(tile, event.shiftKey);
    return true;
  }
  const change = changeOfKey(event);
  if (change && selection) {
    const isAlone = !selection.isActive;
    if (isAlone && !tile) return false;
    selection.change(change.field, isAlone ? tile : null);
    const next = isAlone && change.goesOn && neighbour(tile, "ArrowRight");
    if (next) focusTile(next, grid);
    return true;
  }
  if (event.key === "Escape" && selection?.isActive) {
    selection.clear();
    return true;
  }
  // Without days there is nowhere else to go.
  if (!timeline) return false;
  const letter = event.key.toLowerCase();
  const direction = event.shiftKey ? -1 : 1;
  const go = (index) => arriveAt(timeline, index);
  if (letter === "d") go(Math.min(timeline.days.length - 1, Math.max(0, timeline.topDay + direction)));
  else if (letter === "m") stepMonth(timeline, direction, 7, go);
  else if (letter === "y") stepMonth(timeline, direction, 4, go);
  else if (letter === "g") goTo?.();
  else if (letter === "r") document.querySelector('[data-act="rate"]')?.click();
  else if (event.key === "Home") timeline.goToDay(0);
  else if (event.key === "End") timeline.goTo(timeline.range);
  else return false;
  return true;
}

function walk(event, tile, timeline) {
  if (!tile) {
    if (event.target !== document.body) return false;
    const first = firstTileOnScreen(timeline);
    if (first) focusTile(first, timeline);
    return Boolean(first);
  }
  const next = neighbour(tile, event.key);
  if (next) focusTile(next, timeline);
  return true;
}

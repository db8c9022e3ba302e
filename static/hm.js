// What starts on every page: the theme's button, dialogs, and, where the page has them, the timeline, the viewer, the selection and the filters.

import { wireCompletion } from "./complete.js";
import { photos } from "./dates.js";
import { Duplicates } from "./duplicates.js";
import { Edits } from "./edits.js";
import { wireFilters } from "./filters.js";
import { arriveAt, listen } from "./keys.js";
import { showTileMarks } from "./marks.js";
import { Outbox } from "./outbox.js";
import { Panel } from "./panel.js";
import { dress, dressCovers } from "./pictures.js";
import { Ranked } from "./ranked.js";
import { RatingRun } from "./rate.js";
import { Regions } from "./regions.js";
import { Scrubber } from "./scrubber.js";
import { wireSearch } from "./search.js";
import { Selection } from "./select.js";
import { Tasks } from "./tasks.js";
import { Timeline } from "./timeline.js";
import { Viewer } from "./viewer.js";

const live = document.getElementById("live");
let speaking = 0;

// Speaks to screen readers, politely.
function announce(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    live.textContent = text;
  }, 60);
}

function wireTheme() {
  for (const button of document.querySelectorAll('[data-act="theme"]')) {
    button.addEventListener("click", () => {
      const root = document.documentElement;
      const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = isDark ? "light" : "dark";
      localStorage.setItem("hm.theme", root.dataset.theme);
      announce(isDark ? "Light colours" : "Dark colours");
    });
  }
}

function wireDialogs(help) {
  for (const button of document.querySelectorAll('[data-act="help"]')) button.addEventListener("click", () => help.showModal());
  for (const dialog of document.querySelectorAll("dialog.card")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest('[data-act="shut"]')) dialog.close();
    });
  }
}

// Empty fields only lengthen the address. A page that one comes back to after it has changed the library is asked for again: the browser may
// have kept it as it was.
function wireForms() {
  let hasWritten = false;
  addEventListener("submit", (event) => {
    if (event.target.method === "post") hasWritten = true;
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted && hasWritten) location.reload();
  });
  addEventListener("submit", (event) => {
    const form = event.target.closest('form[method="get"]');
    if (!form) return;
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
    setTimeout(() => {
      for (const field of form.elements) field.disabled = false;
    }, 0);
  });
}

// Without a timeline there is no date to go to.
function hideGoTo() {
  for (const button of document.querySelectorAll('[data-act="go-to"]')) button.hidden = true;
}

function wireGoTo(timeline) {
  const dialog = document.getElementById("go-to");
  if (!dialog) return undefined;
  const field = dialog.querySelector("input");
  field.min = timeline.days[timeline.days.length - 1]?.day ?? "";
  field.max = timeline.days[0]?.day ?? "";
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close();
    if (!field.value) return;
    document.activeElement?.blur();
    arriveAt(timeline, timeline.indexOf(field.value));
  });
  const open = () => {
    field.value = timeline.days[timeline.topDay]?.day ?? "";
    dialog.showModal();
    field.focus();
  };
  for (const button of document.querySelectorAll('[data-act="go-to"]')) button.addEventListener("click", open);
  return open;
}

// Remembers the place in the address and in this entry of the history.
function rememberPlace(timeline) {
  if (document.querySelector("dialog.over[open]")) return;
  const url = new URL(location.href);
  if (url.pathname.startsWith("/images/")) return;
  for (const key of ["at", "before", "after"]) url.searchParams.delete(key);
  const place = timeline.whereabouts();
  if (place && timeline.place > innerHeight / 3) url.searchParams.set("at", place.day);
  history.replaceState({ ...history.state, place: timeline.place > 0 ? place : null }, "", url);
}

async function startTimeline(root) {
  const response = await fetch(root.dataset.timeline);
  if (!response.ok) return undefined;
  const days = Timeline.daysFrom(await response.json());
  if (!days.length) return undefined;
  const timeline = new Timeline(root, days, root.dataset.query);
  const asked = new URLSearchParams(location.search).get("at");
  const at = root.dataset.at || asked;
  const place = history.state?.place ?? (at ? { day: at.length === 7 ? `${at}-31` : at.length === 4 ? `${at}-12-31` : at } : null);
  timeline.start(place);
  timeline.addEventListener("rest", () => rememberPlace(timeline));
  return timeline;
}

async function startGallery(parts) {
  const root = document.getElementById("timeline");
  if (!root) return hideGoTo();
  dress(root);
  const timeline = await startTimeline(root);
  const dialog = document.getElementById("viewer");
  dialog.dataset.title = document.title;
  parts.viewer = new Viewer({ dialog, announce, timeline });
  wirePanel(parts);
  parts.viewer.addEventListener("left", () => {
    if (parts.isStale) location.reload();
  });
  const form = document.getElementById("selection");
  const changed = (fields, { isAll }) => onEdited(parts, fields, isAll);
  if (form) parts.selection = new Selection({ form, root, announce, edits: parts.edits, timeline, changed });
  parts.edits.addEventListener("turned", () => {
    timeline?.renew();
    onEdited(parts, [["captured_at"]], parts.selection?.isAll);
  });
  root.addEventListener("click", (event) => {
    const link = event.target.closest(".tile > a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    parts.viewer.open(link.closest(".tile"));
  });
  if (!timeline) return;
  parts.timeline = timeline;
  timeline.addEventListener("mounted", () => parts.selection?.mark(root));
  new Scrubber(timeline);
  parts.goTo = wireGoTo(timeline);
  root.dataset.ready = "yes";
}

// Pictures in an order that is no matter of time: all of it that is here can be opened, walked and selected as in the gallery.
function startRanked(parts) {
  const root = document.getElementById("ranked");
  if (!root) return;
  parts.ranked = new Ranked(root);
  const dialog = document.getElementById("viewer");
  dialog.dataset.title = document.title;
  parts.viewer = new Viewer({ dialog, announce, timeline: parts.ranked });
  wirePanel(parts);
  const form = document.getElementById("selection");
  if (form) parts.selection = new Selection({ form, root, announce, edits: parts.edits, hasNoEnd: true, changed: () => {} });
  root.addEventListener("grown", () => parts.selection?.mark(root));
  parts.edits.addEventListener("turned", () => parts.viewer.isOpen || offer("Show the photos as they are now"));
  root.addEventListener("click", (event) => {
    const link = event.target.closest(".tile > a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    parts.viewer.open(link.closest(".tile"));
  });
}

// The forms of the viewer; where a gallery lies below, its tiles show the same.
function wirePanel(parts) {
  const marked = (id, marks) => {
    for (const tile of (parts.timeline ?? parts.ranked)?.tilesOf(id) ?? []) showTileMarks(tile, marks);
  };
  const changed = (id, fields) => {
    if (fields.some(([name]) => name === "captured_at" || name === "shift_time")) parts.isStale = true;
  };
  parts.panel = new Panel({ viewer: parts.viewer, edits: parts.edits, marked, changed });
  parts.regions = new Regions({ viewer: parts.viewer, announce });
}

// After a change the filter may let other pictures pass, and days may hold others: says so, and offers to show it. What "all of the filter"
// means is another thing then.
async function onEdited(parts, fields, isAll) {
  const { timeline, selection } = parts;
  const root = document.getElementById("timeline");
  const isMoved = fields.some(([name]) => name === "captured_at" || name === "shift_time");
  if (!timeline || (!root.dataset.query && !isMoved)) return;
  const response = await fetch(root.dataset.timeline).catch(() => null);
  if (!response?.ok) return;
  const days = Timeline.daysFrom(await response.json());
  const text = (list) => list.map(({ day, count }) => `${day} ${count}`).join();
  const isSame = text(days) === text(timeline.days);
  if (isSame) document.querySelector("button.toast")?.remove();
  if (isSame) return;
  if (isAll) selection.clear();
  offer("Show the photos as they are now");
}

// The strip at rest looks again when one comes back to the page.
function wireStatus() {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) document.body.dispatchEvent(new Event("hm-look"));
  });
}

const GROWTH_MS = 8000;

// While photos are being found: an empty library shows them when the first are here, a gallery offers those it does not show yet.
function wireGrowth(parts) {
  const empty = document.querySelector("[data-library=empty]");
  let looked = -GROWTH_MS;
  let wasBusy = false;
  document.body.addEventListener("htmx:afterSwap", async () => {
    const isBusy = Boolean(document.querySelector("#status .turning"));
    const isDue = wasBusy && (!isBusy || performance.now() - looked > GROWTH_MS);
    wasBusy = isBusy;
    if (!isDue || (!empty && !parts.timeline)) return;
    looked = performance.now();
    const address = document.getElementById("timeline")?.dataset.timeline ?? "/timeline.json";
    const response = await fetch(address).catch(() => null);
    if (!response?.ok) return;
    const count = (days) => days.reduce((sum, day) => sum + day.count, 0);
    const more = count(Timeline.daysFrom(await response.json())) - count(parts.timeline?.days ?? []);
    if (more > 0 && empty) location.reload();
    else if (more > 0) offer(`Show ${photos(more).replace("photo", "new photo")}`);
  });
}

function offer(words) {
  const button = document.querySelector("button.toast") ?? document.createElement("button");
  button.type = "button";
  button.className = "toast";
  button.textContent = words;
  button.onclick = () => location.reload();
  document.body.append(button);
  announce(button.textContent);
}

const parts = { help: document.getElementById("help"), edits: new Edits(announce) };
wireTheme();
wireDialogs(parts.help);
wireFilters(announce);
wireForms();
dressCovers();
wireSearch();
wireCompletion();
wireStatus();
wireGrowth(parts);
listen(parts);
const page = document.querySelector("main > .viewer");
if (page) {
  parts.viewer = new Viewer({ page, announce });
  wirePanel(parts);
}
const outbox = document.querySelector("main .outbox");
if (outbox) parts.outbox = new Outbox(outbox, parts.edits);
const duplicates = document.querySelector("main .duplicates");
if (duplicates) parts.duplicates = new Duplicates(duplicates, parts.edits);
const tasks = document.querySelector("main .tasks");
if (tasks) parts.tasks = new Tasks(tasks, parts.edits);
const run = document.querySelector(".rating-run");
if (run) parts.run = new RatingRun({ root: run, edits: parts.edits, announce });
startRanked(parts);
startGallery(parts);

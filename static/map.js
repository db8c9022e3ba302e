// The map: land and sea, a mark for each cluster of photos, a list of them beside it, and the place in the address. With ?pick= it is
// there to choose the place of one photo.

import { photos } from "./dates.js";
import { Earth, Tiles } from "./earth.js";
import { Edits, PLACING } from "./edits.js";
import { View, project, unproject } from "./mercator.js";
import { Pan } from "./pan.js";

// From this zoom on the finer coastline is drawn.
const FINE_ZOOM = 5;
const ASK_MS = 120;
const REMEMBER_MS = 250;
// Marks that would cover each other move apart, but no farther than this.
const MARK_PX = 50;
const FARTHEST_PX = 26;
const LISTED = 60;
// What of a town one wants to see at least.
const TOWN_ZOOM = 12;
// So few photos are shown as they are rather than zoomed to.
const FEW = 12;
const KEPT_ANSWERS = 60;
// Where the view is kept in which a place was set last.
const PLACED = "hm.placed";

const page = document.getElementById("map");
const stage = page.querySelector(".map-stage");
const canvas = stage.querySelector("canvas");
const context = canvas.getContext("2d");
const layer = stage.querySelector(".marks");
const list = document.getElementById("map-list");
const count = document.getElementById("map-count");
const live = document.getElementById("live");
const view = new View();
const filter = new URLSearchParams(page.dataset.query);
const pick = page.dataset.pick;

// --- land, sea and the names of towns -----------------------------------------------------------------------------------------------

const earths = { coarse: null, fine: null };
let asked = "";
let colours = {};
let towns = [];
let isDue = false;
const tiles = page.dataset.tiles ? new Tiles(page.dataset.tiles, () => draw()) : null;

function readColours() {
  const style = getComputedStyle(page);
  for (const name of ["sea", "land", "coast", "border", "ink", "soft"]) colours[name] = style.getPropertyValue(`--${name}`).trim();
}

async function loadEarth(name, size) {
  if (earths[name] || asked.includes(name)) return;
  asked += name;
  try {
    earths[name] = await Earth.load(`${page.dataset.assets}/world-${size}.bin`);
    draw();
  } catch {
    asked = asked.replace(name, "");
  }
}

function draw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    paint();
  });
}

function paint() {
  const density = Math.min(devicePixelRatio || 1, 2);
  const [wide, high] = [Math.round(view.width * density), Math.round(view.height * density)];
  if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
  if (view.zoom >= FINE_ZOOM) loadEarth("fine", "10m");
  const earth = (view.zoom >= FINE_ZOOM && earths.fine) || earths.coarse;
  if (earth) earth.draw(context, view, density, colours);
  else {
    context.setTransform(density, 0, 0, density, 0, 0);
    context.fillStyle = colours.sea;
    context.fillRect(0, 0, view.width, view.height);
  }
  if (tiles) tiles.draw(context, view);
  else drawTowns();
  placeMarks();
}

function drawTowns() {
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const taken = [];
  for (const town of towns) {
    const [left, top] = view.at(...project(town.latitude_deg, town.longitude_deg));
    if (left < -40 || top < 0 || left > view.width || top > view.height) continue;
    const size = town.people > 1e6 ? 13 : 12;
    context.font = `${town.people > 1e6 ? 600 : 450} ${size}px system-ui, sans-serif`;
    const wide = context.measureText(town.name).width;
    const box = [left - 4, top - size, left + wide + 10, top + size];
    if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
    taken.push(box);
    context.fillStyle = colours.soft;
    context.beginPath();
    context.arc(left, top, 2, 0, 7);
    context.fill();
    context.strokeStyle = colours.land;
    context.lineWidth = 3;
    context.strokeText(town.name, left + 6, top);
    context.fillStyle = colours.soft;
    context.fillText(town.name, left + 6, top);
  }
}

async function askTowns() {
  if (tiles) return;
  const response = await fetch(`/map/towns.json?bbox=${box()}&zoom=${Math.floor(view.zoom)}`).catch(() => null);
  if (!response?.ok) return;
  towns = await response.json();
  draw();
}

// --- clusters -----------------------------------------------------------------------------------------------------------------------

const answers = new Map();
let clusters = [];
let marks = [];
let shownKey = "";
let asking = 0;

const box = () => view.box.map((degrees) => degrees.toFixed(5)).join(",");

// The blocks that the answer will consist of: within them nothing has to be asked for again.
function blocks() {
  const zoom = Math.floor(view.zoom);
  const side = 2 ** Math.max(0, zoom - 1);
  const [west, north] = view.from(0, 0);
  const [east, south] = view.from(view.width, view.height);
  return [zoom, ...[west, north, east, south].map((place) => Math.floor(place * side))].join(" ");
}

async function ask() {
  const key = blocks();
  if (key === shownKey) return listClusters();
  let answer = answers.get(key);
  if (!answer) {
    const query = new URLSearchParams(filter);
    query.set("bbox", box());
    query.set("zoom", Math.floor(view.zoom));
    const response = await fetch(`/api/v1/map?${query}`).catch(() => null);
    if (!response?.ok) return say("The map cannot be counted now.");
    answer = await response.json();
    answers.set(key, answer);
    if (answers.size > KEPT_ANSWERS) answers.delete(answers.keys().next().value);
    // Meanwhile one may have gone elsewhere.
    if (key !== blocks()) return undefined;
  }
  shownKey = key;
  clusters = answer.clusters;
  drawMarks();
  listClusters();
  page.dataset.ready = key;
  return undefined;
}

function hrefOf(cluster) {
  const query = new URLSearchParams(filter);
  const words = query.get("q");
  query.set("q", words ? `(${words}) ${cluster.query}` : cluster.query);
  return cluster.image_count === 1 ? `/images/${cluster.image}?${query}` : `/?${query}`;
}

function nameOf(cluster) {
  const { city, state, country } = cluster.place ?? {};
  const head = city ?? state ?? country ?? "At sea, or far from any town";
  const rest = [city && state, city || state ? country : null].filter((name) => name && name !== head);
  return [head, rest.join(", ")];
}

function drawMarks() {
  marks = clusters.map((cluster) => {
    const mark = document.createElement("a");
    mark.className = cluster.image_count === 1 ? "mark" : "mark many";
    mark.href = hrefOf(cluster);
    mark.draggable = false;
    const [name] = nameOf(cluster);
    mark.setAttribute("aria-label", `${photos(cluster.image_count)}, ${name}`);
    mark.title = name;
    if (cluster.thumbnail_url) mark.append(thumbnail(cluster));
    if (cluster.image_count > 1) {
      const badge = document.createElement("span");
      badge.textContent = short(cluster.image_count);
      mark.append(badge);
    }
    mark.addEventListener("click", (event) => open(event, cluster));
    const [x, y] = project(cluster.latitude_deg, cluster.longitude_deg);
    return { mark, x, y, cluster };
  });
  const focused = layer.contains(document.activeElement) ? document.activeElement.href : "";
  layer.replaceChildren(...marks.map(({ mark }) => mark));
  if (focused) marks.find(({ mark }) => mark.href === focused)?.mark.focus({ preventScroll: true });
  placeMarks();
}

function thumbnail(cluster) {
  const image = document.createElement("img");
  image.src = `${cluster.thumbnail_url}&wait=0`;
  image.alt = "";
  image.loading = "lazy";
  image.draggable = false;
  image.addEventListener("error", () => image.remove());
  return image;
}

// 987, 12k, 1.3M.
function short(number) {
  if (number < 1000) return String(number);
  const [value, unit] = number < 999_500 ? [number / 1000, "k"] : [number / 1e6, "M"];
  return `${value < 9.95 ? value.toFixed(1).replace(".0", "") : Math.round(value)}${unit}`;
}

function placeMarks() {
  const seen = [];
  for (const one of marks) {
    [one.left, one.top] = view.at(one.x, one.y);
    const isSeen = one.left > -40 && one.top > -40 && one.left < view.width + 40 && one.top < view.height + 40;
    if (one.mark.hidden === isSeen) one.mark.hidden = !isSeen;
    if (isSeen) seen.push(Object.assign(one, { trueLeft: one.left, trueTop: one.top }));
  }
  for (let round = 0; round < 3; round += 1) moveApart(seen);
  for (const { mark, left, top } of seen) mark.style.transform = `translate(${left.toFixed(1)}px, ${top.toFixed(1)}px)`;
}

function moveApart(seen) {
  for (let at = 0; at < seen.length; at += 1) {
    for (let next = at + 1; next < seen.length; next += 1) {
      const [one, other] = [seen[at], seen[next]];
      const [left, top] = [other.left - one.left, other.top - one.top];
      if (Math.abs(left) >= MARK_PX || Math.abs(top) >= MARK_PX) continue;
      const distance = Math.hypot(left, top) || 1;
      const push = Math.max(0, MARK_PX - distance) / 2 / distance;
      for (const [mark, sign] of [[one, -1], [other, 1]]) {
        mark.left = Math.max(mark.trueLeft - FARTHEST_PX, Math.min(mark.trueLeft + FARTHEST_PX, mark.left + sign * push * (left || 1)));
        mark.top = Math.max(mark.trueTop - FARTHEST_PX, Math.min(mark.trueTop + FARTHEST_PX, mark.top + sign * push * (top || 1)));
      }
    }
  }
}

// A few photos, or those that no zooming parts, are shown; others are gone closer to.
function open(event, cluster) {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented || pick) {
    if (pick && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      pan.glide({ ...placeOf(cluster), zoom: view.zoom + 1 });
    }
    return;
  }
  if (cluster.image_count <= FEW || view.zoom >= 17) return;
  event.preventDefault();
  remember("push");
  pan.glide({ ...placeOf(cluster), zoom: view.zoom + 2 });
  stage.focus({ preventScroll: true });
}

function placeOf(cluster) {
  const [x, y] = project(cluster.latitude_deg, cluster.longitude_deg);
  return { x, y };
}

// The same beside the map, by keys and readers: what is in the window, most first.
function listClusters() {
  const seen = marks.filter(({ mark }) => !mark.hidden).map(({ cluster }) => cluster);
  seen.sort((one, other) => other.image_count - one.image_count);
  const total = seen.reduce((sum, cluster) => sum + cluster.image_count, 0);
  count.textContent = total ? `${photos(total)} on this part of the map` : "No photos on this part of the map";
  const rows = seen.slice(0, LISTED).map((cluster) => {
    const row = document.createElement("li");
    const link = document.createElement("a");
    link.href = hrefOf(cluster);
    const frame = document.createElement("span");
    frame.className = "shot";
    if (cluster.thumbnail_url) frame.append(thumbnail(cluster));
    const [name, rest] = nameOf(cluster);
    const text = document.createElement("span");
    for (const [tag, words] of [["b", name], ["small", rest], ["small", photos(cluster.image_count)]]) {
      if (!words) continue;
      const part = document.createElement(tag);
      part.textContent = words;
      text.append(part);
    }
    link.append(frame, text);
    row.append(link);
    return row;
  });
  list.replaceChildren(...rows);
}

function say(text) {
  live.textContent = text;
}

// --- the place in the address -------------------------------------------------------------------------------------------------------

function whereabouts() {
  const [latitude, longitude] = unproject(view.x, view.y);
  const digits = Math.max(2, Math.min(6, Math.ceil(view.zoom / 3.3)));
  return `${latitude.toFixed(digits)},${longitude.toFixed(digits)},${Number(view.zoom.toFixed(2))}`;
}

function remember(how = "replace") {
  const address = new URL(location.href);
  address.searchParams.delete("at");
  const at = `at=${whereabouts()}`;
  const query = address.searchParams.toString();
  history[`${how}State`](history.state, "", `/map?${query ? `${query}&` : ""}${at}`);
}

function placeInAddress() {
  const [latitude, longitude, zoom] = (new URLSearchParams(location.search).get("at") ?? "").split(",").map(Number);
  if (![latitude, longitude, zoom].every(Number.isFinite) || Math.abs(latitude) > 90) return null;
  const [x, y] = project(latitude, longitude);
  return { x, y, zoom };
}

let askSoon = 0;
let rememberSoon = 0;

function settled() {
  clearTimeout(askSoon);
  clearTimeout(rememberSoon);
  askSoon = setTimeout(() => {
    ask();
    askTowns();
    namePlace();
  }, ASK_MS);
  rememberSoon = setTimeout(remember, REMEMBER_MS);
}

const pan = new Pan(stage, view, {
  changed: () => {
    draw();
    tellPlace();
  },
  settled,
  tapped: (left, top) => {
    if (!pick) return;
    const [x, y] = view.from(left, top);
    pan.glide({ x, y });
  },
});

addEventListener("popstate", () => {
  const place = placeInAddress();
  if (place) pan.glide(place);
});

// --- choosing the place of one photo ------------------------------------------------------------------------------------------------

const sheet = stage.querySelector(".sheet");
const centre = () => unproject(view.x, view.y);

function tellPlace() {
  if (!pick) return;
  const [latitude, longitude] = centre();
  const words = (degrees, [plus, minus]) => `${Math.abs(degrees).toFixed(5)}° ${degrees < 0 ? minus : plus}`;
  sheet.querySelector(".coordinates").textContent = `${words(latitude, "NS")}, ${words(longitude, "EW")}`;
}

async function namePlace() {
  if (!pick) return;
  const [latitude, longitude] = centre();
  const response = await fetch(`/map/place.json?at=${latitude.toFixed(6)},${longitude.toFixed(6)}`).catch(() => null);
  if (!response?.ok) return;
  const { words } = await response.json();
  const name = sheet.querySelector(".name");
  if (name.textContent === words) return;
  name.textContent = words;
  say(words);
}

// Whoever places one photo after another does it around the same place.
const rememberPlaced = () => localStorage.setItem(PLACED, JSON.stringify({ x: view.x, y: view.y, zoom: view.zoom }));

function placedLast() {
  try {
    const { x, y, zoom } = JSON.parse(localStorage.getItem(PLACED));
    return [x, y, zoom].every(Number.isFinite) ? { x, y, zoom } : null;
  } catch {
    return null;
  }
}

// The photos chosen in the gallery; the way back leads to them.
const selection = pick === "selection" ? JSON.parse(sessionStorage.getItem(PLACING) ?? "null") : null;

async function setPlace() {
  const button = sheet.querySelector('[data-act="set-place"]');
  button.disabled = true;
  const [latitude_deg, longitude_deg] = centre();
  if (selection) {
    await setPlaces(`${latitude_deg.toFixed(6)}, ${longitude_deg.toFixed(6)}`);
    button.disabled = false;
    return;
  }
  const response = await fetch(`/api/v1/images/${pick}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ gps: { latitude_deg, longitude_deg } }),
  }).catch(() => null);
  if (response?.ok) {
    rememberPlaced();
    location.assign(page.dataset.back);
    return;
  }
  button.disabled = false;
  const problem = await response?.json().catch(() => null);
  sheet.querySelector(".problem").textContent = problem?.message ?? "The server does not answer.";
}

async function setPlaces(place) {
  try {
    const edits = new Edits(say);
    const said = (await edits.sendLong("/edits", [...selection.fields, ["place", place]], "Placing")).querySelector(".said");
    if (said.dataset.batch) edits.rememberForNextPage(Number(said.dataset.batch), said.textContent.trim());
    sessionStorage.removeItem(PLACING);
    rememberPlaced();
    location.assign(selection.back);
  } catch (error) {
    sheet.querySelector(".problem").textContent = `Not saved: ${error.message}`;
  }
}

function wirePick() {
  if (pick === "selection" && !selection) {
    location.replace(page.dataset.back);
    return;
  }
  if (selection) {
    const { count, back } = selection;
    const many = `Where were these ${count.toLocaleString("en-GB")} photos taken?`;
    sheet.querySelector("h2 span").textContent = count === 1 ? "Where was this photo taken?" : many;
    sheet.querySelector(".actions a").href = back;
  }
  sheet.querySelector('[data-act="set-place"]').addEventListener("click", setPlace);
  wireTowns(sheet.querySelector(".find input"));
  stage.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target !== stage) return;
    event.preventDefault();
    setPlace();
  });
}

// A town is gone to as soon as it is chosen; Enter alone takes the first.
function wireTowns(field) {
  const go = (option) => {
    const [x, y] = project(...option.dataset.place.split(",").map(Number));
    pan.glide({ x, y, zoom: Math.max(view.zoom, TOWN_ZOOM) });
    stage.focus({ preventScroll: true });
  };
  field.addEventListener("taken", ({ detail }) => go(detail));
  field.addEventListener("keydown", (event) => {
    const first = field.parentElement.querySelector(".offered:not([hidden]) li");
    if (event.key !== "Enter" || field.hasAttribute("aria-activedescendant") || !first) return;
    event.preventDefault();
    go(first);
  });
}

// --- the start ----------------------------------------------------------------------------------------------------------------------

function measure() {
  [view.width, view.height] = [stage.clientWidth, stage.clientHeight];
  view.set({});
}

// All photos of the filter.
async function fit() {
  const query = new URLSearchParams(filter);
  const response = await fetch(`/api/v1/map?${query}${query.size ? "&" : ""}zoom=3`).catch(() => null);
  const all = response?.ok ? (await response.json()).clusters : [];
  return view.fitting(all.map((cluster) => project(cluster.latitude_deg, cluster.longitude_deg)));
}

function wire() {
  const acts = { closer: () => pan.zoomBy(1), farther: () => pan.zoomBy(-1), all: async () => pan.glide(await fit()) };
  for (const [name, act] of Object.entries(acts)) page.querySelector(`[data-act="${name}"]`).addEventListener("click", act);
  addEventListener("keydown", (event) => {
    const isFree = document.activeElement === document.body || page.contains(document.activeElement);
    if (event.key !== "Home" || !isFree) return;
    event.preventDefault();
    acts.all();
  });
  const repaint = () => {
    readColours();
    draw();
  };
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  new ResizeObserver(() => {
    measure();
    draw();
    settled();
  }).observe(stage);
  if (pick) wirePick();
}

async function start() {
  measure();
  readColours();
  loadEarth("coarse", "50m");
  const known = page.dataset.place ? page.dataset.place.split(",").map(Number) : null;
  const place = placeInAddress() ?? (known ? { x: project(...known)[0], y: project(...known)[1], zoom: 14 } : null) ?? (pick && placedLast()) ?? (await fit());
  view.set(place);
  wire();
  draw();
  tellPlace();
  settled();
  if (pick) stage.focus({ preventScroll: true });
}

start();

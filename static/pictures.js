// Pictures on their way: the blurred placeholder, the fade when the picture is here, patience when the server is still making it, and calm words when there is none.

import { bytesOf, toDataUrl } from "./thumbhash.js";

const FIRST_WAIT_MS = 1000;
const TRIES = 7;

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Puts the placeholder behind the picture of a tile or of the viewer's box.
export function showPlaceholder(holder) {
  const hash = holder.dataset.hash;
  if (!hash || holder.dataset.blurred) return;
  holder.dataset.blurred = "yes";
  try {
    holder.style.backgroundImage = `url(${toDataUrl(bytesOf(hash))})`;
  } catch {
    // A damaged hash leaves the mean colour, which is as calm.
  }
}

// Says why there is no picture, in the place of the picture.
export function showLack(holder, name, reason) {
  const lack = document.createElement("span");
  lack.className = "lack";
  const bold = document.createElement("b");
  bold.textContent = name;
  const small = document.createElement("span");
  small.textContent = reason;
  lack.append(bold, small);
  holder.querySelector("img")?.remove();
  (holder.querySelector(":scope > a") ?? holder).append(lack);
}

// At most so many questions at a time: browsers have few connections, and rows matter more than the pictures in them.
const ASKERS = 2;
let asking = 0;
const queue = [];

// What the server says about a picture that did not come.
async function ask(address) {
  if (asking >= ASKERS) await new Promise((resolve) => queue.push(resolve));
  asking += 1;
  try {
    const response = await fetch(address, { headers: { Accept: "image/*" } });
    return { status: response.status, seconds: Number(response.headers.get("Retry-After")) || 0, ok: response.ok };
  } catch {
    return { status: 0, seconds: 0, ok: false };
  } finally {
    asking -= 1;
    queue.shift()?.();
  }
}

// Asks for a failed picture again, ever more slowly, as long as it is on the page and the server says that it will come.
async function persist(holder, img, name) {
  const address = img.dataset.src ?? img.src;
  img.dataset.src = address;
  let seconds = 0;
  for (let round = 0; round < TRIES; round += 1) {
    await wait(Math.max(seconds * 1000, FIRST_WAIT_MS * 1.7 ** round));
    const answer = await ask(address);
    if (!img.isConnected) {
      holder.dataset.gaveUp = "yes";
      return;
    }
    if (answer.ok) {
      img.src = address;
      try {
        await img.decode();
        holder.classList.remove("waiting");
        return;
      } catch {
        break;
      }
    }
    if (answer.status !== 503 && answer.status !== 0 && answer.status !== 429) break;
    seconds = answer.seconds;
  }
  if (name !== null) showLack(holder, name, "This picture cannot be shown");
}

// Watches one tile's picture.
function watch(tile) {
  const img = tile.querySelector("img");
  if (!img || (img.complete && img.naturalWidth > 0)) return;
  showPlaceholder(tile);
  tile.classList.add("waiting");
  const name = tile.dataset.name ?? "";
  img.addEventListener("load", () => tile.classList.remove("waiting"), { once: true });
  img.addEventListener("error", () => persist(tile, img, name), { once: true });
  if (img.complete && img.naturalWidth === 0 && img.currentSrc) persist(tile, img, name);
}

// Watches the covers of folders: until one is here, and where none comes, its place stays empty.
export function dressCovers() {
  for (const img of document.querySelectorAll(".cover img")) {
    const wait = () => {
      img.classList.add("lacking");
      persist(img, img, null);
    };
    img.addEventListener("load", () => img.classList.remove("lacking"));
    if (img.complete && img.naturalWidth === 0) wait();
    else img.addEventListener("error", wait, { once: true });
  }
}

// Watches every tile below `root`; tiles that were given up because they had left the page start again.
export function dress(root) {
  for (const tile of root.querySelectorAll(".tile")) {
    if (tile.dataset.gaveUp) {
      delete tile.dataset.gaveUp;
      const img = tile.querySelector("img");
      if (img) persist(tile, img, tile.dataset.name ?? "");
    } else if (!tile.dataset.dressed) {
      tile.dataset.dressed = "yes";
      watch(tile);
    }
  }
}

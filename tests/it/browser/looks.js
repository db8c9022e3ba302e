// What is wrong with how the page looks on the screen as it is scrolled, a line each: run in the page by looks.rs, which says what is looked for.

const root = document.querySelector("dialog[open]") ?? document.body;
const wrong = [];
const isField = (one) => one.matches("input:not([type=checkbox], [type=hidden]), textarea, select");
const found = (what, one) => {
  const { top, left } = one.getBoundingClientRect();
  const classes = [...one.classList].map((name) => `.${name}`).join("");
  const words = (isField(one) ? one.value || one.placeholder || "" : one.textContent).trim().replace(/\s+/g, " ").slice(0, 50);
  wrong.push(`${what}: ${one.tagName.toLowerCase()}${classes} “${words}” at ${Math.round(left)}, ${Math.round(top)}`);
};
const isSeen = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !one.closest(".aside, .skip, noscript, option, title");
// Pictures, and what lies on them: what is behind the words there no style tells.
const isOnPicture = (one) => one.closest(".tile, .best, .stage, .picture") !== null;
const isInScroller = (one) => {
  for (let outer = one.parentElement; outer && outer !== root; outer = outer.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(outer).overflowX) && outer.scrollWidth > outer.clientWidth) return true;
  }
  return false;
};

const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const pen = canvas.getContext("2d", { willReadFrequently: true });
const rgba = (color) => {
  pen.clearRect(0, 0, 1, 1);
  pen.fillStyle = color;
  pen.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = pen.getImageData(0, 0, 1, 1).data;
  return [red, green, blue, alpha / 255];
};
const over = ([r, g, b, alpha], under) => [r, g, b].map((part, at) => part * alpha + under[at] * (1 - alpha));
const light = (color) => {
  const [red, green, blue] = color.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
// The colour behind an element; null where it is no single one.
const ground = (one) => {
  const layers = [];
  for (let outer = one; outer; outer = outer.parentElement) {
    const style = getComputedStyle(outer);
    if (style.backgroundImage !== "none") return null;
    layers.unshift(rgba(style.backgroundColor));
    if (layers[0][3] === 1) break;
  }
  return layers.reduce((under, layer) => over(layer, under), [255, 255, 255]);
};
const opacity = (one) => (one ? Number(getComputedStyle(one).opacity) * opacity(one.parentElement) : 1);
const contrast = (one, color) => {
  const under = ground(one);
  if (!under) return Infinity;
  const [r, g, b, alpha] = rgba(color);
  const [brighter, darker] = [light(under), light(over([r, g, b, alpha * opacity(one)], under))].sort((a, z) => z - a);
  return (brighter + 0.05) / (darker + 0.05);
};

if (document.documentElement.scrollWidth > innerWidth) wrong.push(`the page is ${document.documentElement.scrollWidth} px wide, the window ${innerWidth}`);

// Words: large enough, told from their ground, whole, and on nothing else.
const lines = [];
for (const one of root.querySelectorAll("*")) {
  const texts = [...one.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const placed = isField(one) && !one.value && rgba(getComputedStyle(one, "::placeholder").color)[3] > 0 ? one.placeholder : "";
  if ((!texts.length && !placed && !one.matches("select")) || !isSeen(one)) continue;
  const box = one.getBoundingClientRect();
  if (box.bottom < 0 || box.top > innerHeight || box.width < 2) continue;
  const style = getComputedStyle(one);
  const scale = one.closest("svg")?.getScreenCTM()?.a ?? 1;
  const size = parseFloat(style.fontSize) * scale;
  if (size < 11.99) found(`letters of ${size.toFixed(1)} px`, one);
  if (!isOnPicture(one) && !one.matches(":disabled") && !one.closest("svg")) {
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    const ratio = contrast(one, placed ? getComputedStyle(one, "::placeholder").color : style.color);
    if (ratio < least) found(`contrast ${ratio.toFixed(1)}`, one);
  }
  if ((box.left < -1 || box.right > innerWidth + 1) && !isInScroller(one)) found("beyond the window", one);
  const hides = /hidden|clip/.test(style.overflowX);
  if (hides && style.textOverflow !== "ellipsis" && one.scrollWidth > one.clientWidth + 1) found("cut at its side", one);
  if (/hidden|clip/.test(style.overflowY) && style.webkitLineClamp === "none" && one.scrollHeight > one.clientHeight + 3) found("cut below", one);
  const words = one.matches("select") ? [...one.selectedOptions].map((option) => option.text) : placed ? [placed] : [];
  for (const text of words) {
    pen.font = style.font;
    const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) - (one.matches("select") ? 18 : 0);
    // The box of the search says with an ellipsis that it goes on, as long as a word of it is seen.
    const isEnough = style.textOverflow === "ellipsis" && one.id === "search" && room > 70;
    if (!one.matches("textarea") && !isEnough && pen.measureText(text).width > room + 1) found("cut in its field", one);
  }
  for (const node of texts) {
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      if (rect.width > 2 && !isOnPicture(one)) lines.push({ one, rect });
      const cell = one.closest("td, th");
      const isWhole = cell && getComputedStyle(cell).textOverflow !== "ellipsis";
      if (isWhole && cell.getBoundingClientRect().right < rect.right - 0.5) found("beyond its cell", one);
      if (one.matches(".button") && (rect.top < box.top + 3 || rect.bottom > box.bottom - 3)) found("against its border", one);
    }
    for (const { 0: word, index } of node.data.matchAll(/(?<![^\s“(])(?:[A-Za-z]{3,24}|\d{4}-\d\d-\d\d)(?=[.,;:”)]?(\s|$))/g)) {
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      if (new Set([...range.getClientRects()].map((rect) => Math.round(rect.top))).size > 1) found(`“${word}” is broken`, one);
    }
  }
}
const isFloating = (one) => one.closest(".topbar, .tabs, .selection, .done-toast, .toast, .over-bar, .rate-bar, .panel, .found, .day-head, header.phone-only") !== null;
for (const [at, { one, rect }] of lines.entries()) {
  for (const other of lines.slice(at + 1)) {
    if (one.contains(other.one) || other.one.contains(one) || isFloating(one) !== isFloating(other.one)) continue;
    const wide = Math.min(rect.right, other.rect.right) - Math.max(rect.left, other.rect.left);
    const high = Math.min(rect.bottom, other.rect.bottom) - Math.max(rect.top, other.rect.top);
    if (wide > 2 && high > Math.min(rect.height, other.rect.height) / 2) found(`over “${other.one.textContent.trim().slice(0, 30)}”`, one);
  }
}

// What is pressed: nothing lies over it, a finger finds it, and it shows that it has the focus.
const before = document.activeElement;
const looks = (one) => {
  const { outlineStyle, boxShadow, borderColor, backgroundColor } = getComputedStyle(one);
  return { outlineStyle, rest: boxShadow + borderColor + backgroundColor };
};
for (const one of root.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")) {
  if (!isSeen(one) || one.matches(":disabled")) continue;
  const target = one.closest("label:has([type=checkbox])") ?? one;
  const { left, right, top, bottom, width, height } = target.getBoundingClientRect();
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  const isHere = width > 0 && x > 0 && x < innerWidth && y > 0 && y < innerHeight;
  if (!isHere) continue;
  const isLineOfText = getComputedStyle(target).display === "inline";
  const at = document.elementFromPoint(x, y);
  if (!isLineOfText && at && !target.contains(at) && !at.contains(target) && !isFloating(at)) found(`below ${at.tagName.toLowerCase()}.${at.className}`, one);
  if (innerWidth < 500 && !isLineOfText && height < 39.5 && !one.closest("svg")) found(`${Math.round(height)} px for a finger`, one);
  // The box itself opens a panel over the page.
  if (one.id === "search" || one.closest("svg")) continue;
  const rest = looks(one);
  one.focus({ preventScroll: true });
  const focused = looks(one);
  if (document.activeElement === one && focused.outlineStyle === "none" && focused.rest === rest.rest) found("no sign of the focus", one);
}
if (before === document.body) document.activeElement?.blur();
else before?.focus({ preventScroll: true });

return [...new Set(wrong)];

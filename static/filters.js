// The filters: a page of their own, which opens in place here, and the choice among more folders than a list can hold.

const TYPING_MS = 180;
const LONGEST_LIST = 7;

export function wireFilters(announce) {
  const page = document.querySelector(".filter-page");
  if (page) wireFolders(page, announce);
  const details = document.querySelector("details.filters");
  if (!details) return;
  const panel = details.querySelector(".panel");
  details.addEventListener("toggle", async () => {
    if (!details.open || panel.dataset.filled) return;
    panel.dataset.filled = "yes";
    try {
      const response = await fetch(details.dataset.href, { headers: { "HX-Request": "true" } });
      if (!response.ok) throw new Error(String(response.status));
      panel.innerHTML = await response.text();
      wireFolders(panel, announce);
      panel.querySelector("select, input")?.focus();
    } catch {
      delete panel.dataset.filled;
      location.assign(details.dataset.href);
    }
  });
  addEventListener("click", (event) => {
    if (details.open && !details.contains(event.target)) details.open = false;
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented) return;
    details.open = false;
    details.querySelector("summary").focus();
    event.stopPropagation();
  });
}

// Typing narrows the list of folders to those that have the words, within what else is chosen in the form; the list opens while one looks.
function wireFolders(root, announce) {
  const field = root.querySelector("[data-find]");
  const select = field?.form.elements.folder;
  if (!select) return;
  let typing = 0;
  let number = 0;

  const shut = () => {
    select.removeAttribute("size");
    select.classList.remove("open");
    if (select.selectedIndex < 0) select.selectedIndex = 0;
  };
  // The first that was found and is not the one chosen before.
  const takeFirst = () => {
    const first = [...select.options].findIndex((option) => option.value && !option.hasAttribute("selected"));
    if (first >= 0) select.selectedIndex = first;
  };
  const look = async () => {
    number += 1;
    const asked = number;
    const query = new URLSearchParams(new FormData(field.form));
    query.set("words", field.value);
    const response = await fetch(`${field.dataset.find}?${query}`, { headers: { "HX-Request": "true" } }).catch(() => null);
    if (!response?.ok || asked !== number) return;
    // Not in a select of their own, which would choose the first of them.
    const found = document.createElement("template");
    found.innerHTML = await response.text();
    select.replaceChildren(select.options[0], ...found.content.children);
    if (!field.value.trim()) return shut();
    const count = [...select.options].filter((option) => option.value && !option.hasAttribute("selected")).length;
    select.size = Math.min(LONGEST_LIST, Math.max(2, select.options.length));
    select.classList.add("open");
    announce(count === 1 ? "1 folder found" : `${count} folders found`);
  };

  field.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(look, TYPING_MS);
  });
  field.addEventListener("keydown", (event) => {
    if (!select.classList.contains("open")) return;
    if (event.key === "ArrowDown") {
      select.focus();
      takeFirst();
    } else if (event.key === "Enter") {
      takeFirst();
      shut();
      select.focus();
    } else if (event.key === "Escape") {
      field.value = "";
      look();
    } else return;
    event.preventDefault();
  });
  select.addEventListener("keydown", (event) => {
    if (!select.classList.contains("open") || (event.key !== "Enter" && event.key !== "Escape")) return;
    event.preventDefault();
    shut();
  });
  select.addEventListener("click", (event) => {
    if (select.classList.contains("open") && event.target.closest("option")) shut();
  });
}

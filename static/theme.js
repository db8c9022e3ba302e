// Puts the remembered theme on the page before its first paint. A classic script in the head, so that nothing flashes.
(() => {
  try {
    const theme = localStorage.getItem("hm.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden: the system's preference decides then.
  }
  document.documentElement.classList.add("js");
})();

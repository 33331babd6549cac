"use strict";

(() => {
  const root = document.documentElement;
  root.classList.add("live");

  // Theme: the system's until the button says otherwise; nothing is remembered.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const themeButton = document.querySelector(".theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const nameTheme = () => {
    themeButton.textContent = isDark() ? "Light colours" : "Dark colours";
  };
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    nameTheme();
  });
  system.addEventListener("change", nameTheme);
  nameTheme();
  themeButton.hidden = false;

  // Sorting: up, down, and back to the report's own order.
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const following = { none: "ascending", ascending: "descending", descending: "none" };

  const textOf = (cell) => cell.firstElementChild.textContent.trim();
  const valueOf = (cell) => cell.dataset.value ?? "";

  function comparison(column, isNumber, sign) {
    const keyOf = isNumber ? valueOf : textOf;
    return (row, other) => {
      const [key, otherKey] = [keyOf(row.cells[column]), keyOf(other.cells[column])];
      if (key === "" || otherKey === "") return (key === "") - (otherKey === "");
      return sign * (isNumber ? key - otherKey : collator.compare(key, otherKey));
    };
  }

  function sort(table, rows, heading) {
    const order = following[heading.getAttribute("aria-sort")];
    for (const each of table.tHead.rows[0].cells) each.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", order);
    const isNumber = heading.classList.contains("number");
    const sign = order === "ascending" ? 1 : -1;
    const sorted =
      order === "none" ? rows : rows.toSorted(comparison(heading.cellIndex, isNumber, sign));
    table.tBodies[0].append(...sorted);
  }

  for (const table of document.querySelectorAll("table")) {
    const rows = [...table.tBodies[0].rows];
    for (const heading of table.tHead.rows[0].cells) {
      heading.firstElementChild.addEventListener("click", () => sort(table, rows, heading));
    }
  }

  // Figures on narrow pages: as wide as the page, or as large as drawn.
  for (const card of document.querySelectorAll(".card")) {
    card.addEventListener("click", () => card.classList.toggle("enlarged"));
  }

  // Hints: outside the tables, which would cut them off where they scroll.
  const hint = document.querySelector(".hint");
  let explained = null;

  function placeHint() {
    if (!explained) return;
    const box = explained.getBoundingClientRect();
    const rightmost = root.clientWidth - hint.offsetWidth - 8;
    const above = box.top - hint.offsetHeight - 6;
    hint.style.left = `${Math.max(8, Math.min(box.left, rightmost))}px`;
    hint.style.top = `${above > 0 ? above : box.bottom + 6}px`;
  }

  function explain(button, words) {
    explained = button;
    hint.textContent = words;
    hint.hidden = false;
    placeHint();
  }

  function leave() {
    explained = null;
    hint.hidden = true;
  }

  for (const button of document.querySelectorAll("th button[title]")) {
    const words = button.title;
    button.removeAttribute("title");
    button.setAttribute("aria-description", words);
    for (const event of ["focus", "mouseenter"]) {
      button.addEventListener(event, () => explain(button, words));
    }
    for (const event of ["blur", "mouseleave"]) button.addEventListener(event, leave);
  }
  addEventListener("scroll", placeHint, { capture: true, passive: true });
  addEventListener("resize", placeHint);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave();
  });
})();

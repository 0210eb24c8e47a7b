// What only the browser knows: which boxes scroll, which tasks a reader has ticked, and when it
// prints. Nothing here is needed to read the book.
(() => {
  "use strict";

  // A box that scrolls must be reachable by keyboard, also when a solution shows it later.
  const SCROLLING = [
    "div.highlight pre", ".cell_output .output", ".cell_output .text_html", ".pm-scoreboard",
    ".pst-scrollable-table-container", ".math", "mjx-container", "figure", ".cell_output",
  ].map((part) => `.bd-article ${part}`).join(", ");

  const reached = new WeakSet();

  function reach(box) {
    const style = getComputedStyle(box);
    const canScroll = /auto|scroll/.test(style.overflowX + style.overflowY);
    const over = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
    if (canScroll && over && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      reached.add(box);
    } else if (!(canScroll && over) && reached.delete(box)) {
      box.removeAttribute("tabindex");
    }
  }

  function reachAll() {
    const sizes = new ResizeObserver((changes) => changes.forEach((one) => reach(one.target)));
    document.querySelectorAll(SCROLLING).forEach((box) => sizes.observe(box));
  }

  // Ticks are remembered by the words of the task, so that a new task does not move them.
  function remember(box) {
    const words = box.closest("li").textContent.trim().replace(/\s+/g, " ").slice(0, 120);
    const key = `pm-task: ${words}`;
    try {
      box.checked = localStorage.getItem(key) === "1";
      box.addEventListener("change", () => {
        if (box.checked) localStorage.setItem(key, "1");
        else localStorage.removeItem(key);
      });
    } catch {
      // A browser that stores nothing still lets a reader tick before printing.
    }
  }

  // Paper is white: letters, code and figures of the dark theme would be pale on it.
  function printLight() {
    const page = document.documentElement.dataset;
    let theme;
    addEventListener("beforeprint", () => {
      theme = page.theme;
      page.theme = "light";
    });
    addEventListener("afterprint", () => {
      page.theme = theme;
    });
  }

  printLight();
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".task-list-item-checkbox").forEach(remember);
    reachAll();
    if (window.MathJax && window.MathJax.startup) window.MathJax.startup.promise.then(reachAll);
  });
})();

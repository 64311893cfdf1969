// Switches, tooltips and sorting. Everything on the page can be read without it.
"use strict";
(() => {
  const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
  const form = document.getElementById("switches");
  const tip = document.getElementById("tip");

  // -- Switches: which chart, which models, which conditions. Their state is in the address, where it differs from "all".

  const ALL = "all";
  const selects = form ? all("select", form) : [];
  const factors = selects.map((of) => of.name).filter((name) => name !== "chart");
  const boxes = form ? all("input[type=checkbox]", form) : [];

  /** What is chosen: a value for each select that does not say "all", and the models that are off. */
  const chosen = () => ({
    values: Object.fromEntries(selects.filter((of) => of.value !== ALL).map((of) => [of.name, of.value])),
    off: boxes.filter((box) => !box.checked).map((box) => box.value),
  });

  /** Whether what stands for a model and a condition is left out; `get` tells what it stands for, by name, or null. */
  const isOff = (get, { values, off }) =>
    off.includes(get("competitor")) ||
    Object.entries(values).some(([name, value]) => ![null, value].includes(get(name)));

  const data = (element) => (name) => element.getAttribute("data-" + name);

  const show = (element, shown) => element.classList.toggle("off", !shown);

  const apply = () => {
    const choice = chosen();
    for (const figure of all("figure[data-chart]")) {
      show(figure, !("chart" in choice.values) || choice.values.chart === figure.dataset.chart);
      for (const panel of all("svg.panel", figure)) {
        const marks = all("g.mark", panel);
        marks.forEach((mark) => show(mark, !isOff(data(mark), choice)));
        // A line through several conditions says nothing of one of them.
        const along = (curve) => factors.some((name) => name in choice.values && !curve.hasAttribute("data-" + name));
        all("g.curve", panel).forEach((curve) => show(curve, !along(curve) && !isOff(data(curve), choice)));
        show(panel, marks.some((mark) => !mark.classList.contains("off")));
      }
      all(".legend li", figure).forEach((entry) => show(entry, !choice.off.includes(entry.dataset.competitor)));
    }
    for (const table of all("table[data-filtered]")) {
      const keys = all("thead th", table).map((heading) => heading.dataset.key);
      for (const row of all("tbody tr", table)) {
        const get = (name) => (keys.includes(name) ? row.cells[keys.indexOf(name)].dataset.v : null);
        show(row, !isOff(get, choice));
      }
    }
  };

  // -- The address.

  const sorted = new Map();

  const remember = () => {
    const { values, off } = chosen();
    const state = new URLSearchParams(values);
    if (off.length) state.set("without", off.join(","));
    for (const [id, order] of sorted) state.set("sort." + id, order);
    const text = state.toString().replaceAll("%2C", ",");
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  };

  const recall = () => {
    const hash = location.hash.slice(1);
    // Without "=" it is the name of a place on the page.
    if (!hash.includes("=")) return;
    const state = new URLSearchParams(hash);
    for (const select of selects) {
      const value = state.get(select.name);
      const known = Array.from(select.options).some((option) => option.value === value);
      select.value = known ? value : ALL;
    }
    const off = (state.get("without") || "").split(",");
    boxes.forEach((box) => { box.checked = !off.includes(box.value); });
    for (const table of all("table[id]")) {
      const order = /^(\d+)(up|down)$/.exec(state.get("sort." + table.id) || "");
      if (order) sort(table, Number(order[1]), order[2]);
    }
  };

  // -- Sorting: a button in each heading.

  const collator = new Intl.Collator("en", { numeric: true });

  const sort = (table, column, order) => {
    const headings = all("thead th", table);
    if (!headings[column]) return;
    const value = (row) => row.cells[column].dataset.v;
    const sign = order === "up" ? 1 : -1;
    const rows = all("tbody tr", table);
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      // What is missing comes last, whichever way.
      if (x === "" || y === "") return (x === "") - (y === "");
      const [m, n] = [Number(x), Number(y)];
      return sign * (Number.isNaN(m) || Number.isNaN(n) ? collator.compare(x, y) : m - n);
    });
    table.tBodies[0].append(...rows);
    headings.forEach((heading, i) => {
      if (i === column) heading.setAttribute("aria-sort", order === "up" ? "ascending" : "descending");
      else heading.removeAttribute("aria-sort");
    });
    sorted.set(table.id, column + order);
  };

  for (const table of all("table[data-sorts]")) {
    all("thead th", table).forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") === "ascending";
        sort(table, column, up ? "down" : "up");
        remember();
      });
    });
  }

  // -- Tooltips: what a mark says, for a pointer or for the arrow keys.

  let pointed = null;

  const tell = (mark) => {
    if (pointed) pointed.classList.remove("pointed");
    pointed = mark;
    tip.hidden = !mark;
    if (!mark) return;
    mark.classList.add("pointed");
    tip.textContent = mark.dataset.says;
    const at = mark.getBoundingClientRect();
    const [width, height] = [tip.offsetWidth, tip.offsetHeight];
    const room = document.documentElement.clientWidth - width - 8;
    const left = Math.max(8, Math.min(at.left + at.width / 2 - width / 2, room));
    const above = at.top - height - 8;
    tip.style.left = left + window.scrollX + "px";
    tip.style.top = (above > 0 ? above : at.bottom + 8) + window.scrollY + "px";
  };

  for (const mark of all("svg.panel g.mark")) {
    // The browser's own tooltip would stand beside ours.
    const title = mark.querySelector("title");
    mark.dataset.says = title.textContent;
    title.remove();
  }

  for (const panels of all(".panels")) {
    const marks = () => all("g.mark", panels).filter((mark) => mark.getClientRects().length);
    panels.tabIndex = 0;
    panels.addEventListener("pointerover", (event) => tell(event.target.closest("g.mark")));
    panels.addEventListener("pointerleave", () => tell(null));
    panels.addEventListener("blur", () => tell(null));
    panels.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      if (event.key === "Escape") return tell(null);
      if (!(event.key in steps)) return;
      event.preventDefault();
      const shown = marks();
      if (!shown.length) return;
      const now = shown.indexOf(pointed);
      const next = now < 0 ? (steps[event.key] > 0 ? 0 : shown.length - 1) : now + steps[event.key];
      tell(shown[(next + shown.length) % shown.length]);
      pointed.scrollIntoView({ block: "nearest" });
      tell(pointed);
    });
  }

  // -- All of it.

  if (form) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", () => { apply(); remember(); });
    form.addEventListener("reset", () => setTimeout(() => { apply(); remember(); }));
  }
  const follow = () => { recall(); if (form) apply(); };
  window.addEventListener("hashchange", follow);
  follow();
})();

// Refreshes the figures in place. Everything works without it; it only spares loading the page again. Figures are written
// as the page itself writes them (src/manager/page.rs).
"use strict";
(() => {
  const EVERY_MS = 2000;
  // A browser fetches no URL that names a user, as the page's own may.
  const source = new URL(document.body.dataset.status, location.href);
  source.username = source.password = "";
  const news = document.getElementById("news");
  let timer = 0;
  let busy = false;

  const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");

  const bytes = (n) => {
    if (n < 1000) return n + " B";
    const tenths = (unit) => Math.floor((n + unit / 20) / (unit / 10));
    const units = [["kB", 1e3], ["MB", 1e6], ["GB", 1e9], ["TB", 1e12]];
    const [name, unit] = units.find(([, unit]) => tenths(unit) < 10000) || units[3];
    return count(Math.floor(tenths(unit) / 10)) + "." + tenths(unit) % 10 + " " + name;
  };

  const span = (s) => {
    const [days, hours, minutes] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
    if (s < 60) return s + " s";
    if (s < 3600) return minutes + " min " + s % 60 + " s";
    if (s < 86400) return hours + " h " + minutes + " min";
    return days + " d " + hours + " h";
  };

  const state = (backend) => {
    if (backend.mode === "disabled") return "disabled";
    if (backend.health === "check_failed") return "failed";
    if (backend.health === "left_out") return "out";
    return backend.mode === "draining" ? "draining" : "up";
  };

  const stateText = (backend) => {
    const parts = backend.mode === "enabled" ? [] : [backend.mode];
    if (backend.health === "check_failed") parts.push("health check failed");
    if (backend.health === "left_out") {
      parts.push(backend.left_out_ms > 0 ? "left out for " + span(Math.ceil(backend.left_out_ms / 1000)) : "left out, tried next");
    }
    return parts.join("; ") || "up";
  };

  const inHand = (backend) =>
    backend.most_connections === null ? count(backend.in_use) : count(backend.in_use) + " of " + count(backend.most_connections);

  const put = (parent, figure, text) => {
    const place = parent.querySelector(`[data-figure="${figure}"]`);
    if (place.textContent !== text) place.textContent = text;
    return place;
  };

  const showBackend = (row, backend) => {
    put(row, "state", stateText(backend)).className = "state " + state(backend);
    for (const figure of ["turns", "refusals", "errors"]) put(row, figure, count(backend[figure]));
    put(row, "in_use", inHand(backend));
    put(row, "bytes_to", bytes(backend.bytes_to));
    put(row, "bytes_from", bytes(backend.bytes_from));
    const weight = row.querySelector('[data-figure="weight"]');
    // What somebody is typing stays.
    if (weight !== document.activeElement && weight.value === weight.defaultValue) {
      weight.value = weight.defaultValue = backend.weight;
    }
    for (const button of row.querySelectorAll("[data-mode]")) button.disabled = button.dataset.mode === backend.mode;
  };

  const show = (figures) => {
    const rows = [...document.querySelectorAll("tr[data-backend]")];
    const backends = figures.groups.flatMap((group) => group.backends);
    const isOwn = (row, i) => row.dataset.backend === String(backends[i].index) && row.dataset.name === backends[i].name;
    if (rows.length !== backends.length || !rows.every(isOwn)) {
      throw new Error("the balancer has other backends now; load the page again");
    }
    put(document, "uptime", span(figures.uptime_s));
    put(document, "in_flight", count(figures.in_flight));
    for (const [name, answers] of Object.entries(figures.answers)) put(document, name, count(answers));
    if (figures.cache) {
      for (const figure of ["entries", "hits", "misses", "stale", "evictions"]) {
        put(document, "cache_" + figure, count(figures.cache[figure]));
      }
      put(document, "cache_bytes", bytes(figures.cache.bytes) + " of " + bytes(figures.cache.capacity_bytes));
    }
    rows.forEach((row, i) => showBackend(row, backends[i]));
  };

  const tell = (text, isStale) => {
    if (news.textContent !== text) news.textContent = text;
    news.className = isStale ? "stale" : "faint";
  };

  const refresh = async () => {
    clearTimeout(timer);
    if (busy) return;
    busy = true;
    try {
      const response = await fetch(source, { cache: "no-store", credentials: "same-origin", redirect: "error" });
      if (!response.ok) throw new Error("the balancer answers " + response.status);
      show(await response.json());
      tell("These figures are refreshed every 2 seconds.", false);
    } catch (error) {
      tell("These figures are old: " + (error instanceof TypeError ? "the balancer cannot be reached" : error.message) + ".", true);
    }
    busy = false;
    if (!document.hidden) timer = setTimeout(refresh, EVERY_MS);
  };

  document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(timer) : refresh());
  if (!document.hidden) refresh();
})();

// The page asks once a second whether anything has changed, and takes the new part in if so.
// Without this script everything is there, and a reload shows what is new.
"use strict";
(() => {
  const served = location.protocol.startsWith("http");
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const word = document.body.dataset.word;
  let signature = document.body.dataset.signature;
  let seen = new Date();

  // A mark leads to a decision, which is folded: unfold it, and what holds it.
  function unfold() {
    const name = decodeURIComponent(location.hash.slice(1));
    let at = name && document.getElementById(name);
    if (!at) return;
    const target = at;
    for (; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView({ block: target.closest(".decisions") ? "center" : "start" });
    const focus = target.querySelector("summary, h1, h2") || target;
    if (!focus.hasAttribute("tabindex") && focus.tagName !== "SUMMARY") focus.setAttribute("tabindex", "-1");
    focus.focus({ preventScroll: true });
  }
  addEventListener("hashchange", unfold);
  if (location.hash) unfold();
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#'], a[*|href^='#']");
    const to = link && (link.getAttribute("href") || "");
    if (to && to === location.hash) unfold();
    const run = event.target.closest("a[data-run]");
    if (run && served) {
      event.preventDefault();
      show(run);
    }
  });

  // A command that takes seconds says so, and its words appear beneath the button.
  async function show(link) {
    const place = link.closest("div, details, p").parentElement.querySelector(".output") || link.parentElement.nextElementSibling;
    link.setAttribute("aria-busy", "true");
    place.textContent = "working, some seconds …";
    try {
      const answer = await fetch(link.getAttribute("href"));
      const text = await answer.text();
      if ((answer.headers.get("content-type") || "").startsWith("text/html")) place.innerHTML = text;
      else {
        place.textContent = "";
        const said = document.createElement("pre");
        said.className = "said";
        said.tabIndex = 0;
        said.textContent = text;
        place.append(said);
      }
    } catch {
      place.textContent = "No connection to the cockpit: make ui starts it again.";
    }
    link.removeAttribute("aria-busy");
  }

  function opened() {
    return [...live.querySelectorAll("details[id]")].map((one) => [one.id, one.open]);
  }

  async function refresh(now) {
    const answer = await fetch(`/live${location.search || "?"}&of=${word}`);
    if (!answer.ok) throw new Error(answer.status);
    const text = await answer.text();
    const busy = live.querySelector("[aria-busy]") || live.contains(document.activeElement) && document.activeElement.tagName === "INPUT";
    if (busy) return; // somebody waits or types here: the next second is as good
    const states = opened();
    const kept = live.querySelector(".decisions") ? live.querySelector(".decisions").scrollTop : 0;
    const focus = document.activeElement && document.activeElement.closest("details[id]");
    live.innerHTML = text;
    for (const [id, open] of states) {
      const one = document.getElementById(id);
      if (one) one.open = open;
    }
    if (live.querySelector(".decisions")) live.querySelector(".decisions").scrollTop = kept;
    if (focus && document.getElementById(focus.id)) document.getElementById(focus.id).querySelector("summary").focus({ preventScroll: true });
    signature = now;
    live.dispatchEvent(new Event("refreshed"));
  }

  async function look() {
    try {
      const answer = await fetch(`/signature?of=${word}`, { signal: AbortSignal.timeout(4000) });
      if (!answer.ok) throw new Error(answer.status);
      const now = await answer.text();
      if (now !== signature) await refresh(now);
      seen = new Date();
      lost.hidden = true;
    } catch {
      lost.querySelector("span").textContent = seen.toLocaleTimeString();
      lost.hidden = false;
    }
    setTimeout(look, document.hidden ? 5000 : 1000);
  }

  // The tour: a panel that stays, while the page moves to what it is about.
  const tour = document.getElementById("tour");
  const articles = [...tour.querySelectorAll("article")];
  let stop = 0;
  function turn(by) {
    stop = Math.min(Math.max(stop + by, 0), articles.length - 1);
    articles.forEach((one, n) => (one.hidden = n !== stop));
    tour.hidden = false;
    tour.querySelector("[data-turn='-1']").disabled = stop === 0;
    tour.querySelector("[data-turn='1']").disabled = stop === articles.length - 1;
    for (const one of document.querySelectorAll(".shown")) one.classList.remove("shown");
    const at = document.getElementById(articles[stop].dataset.place);
    if (at) {
      for (let up = at; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
      at.classList.add("shown");
      at.scrollIntoView({ block: "start" });
    }
  }
  function end() {
    tour.hidden = true;
    for (const one of document.querySelectorAll(".shown")) one.classList.remove("shown");
  }
  document.querySelector("[data-start]").addEventListener("click", () => { stop = 0; turn(0); tour.focus(); });
  tour.querySelector("[data-end]").addEventListener("click", end);
  for (const one of tour.querySelectorAll("[data-turn]")) one.addEventListener("click", () => turn(Number(one.dataset.turn)));
  document.addEventListener("keydown", (event) => {
    if (tour.hidden || event.target.closest("input, .scroll, .wide")) return;
    if (event.key === "ArrowRight") turn(1);
    else if (event.key === "ArrowLeft") turn(-1);
    else if (event.key === "Escape") end();
  });
  live.addEventListener("refreshed", () => { if (!tour.hidden) document.getElementById(articles[stop].dataset.place)?.classList.add("shown"); });
  if (new URLSearchParams(location.search).has("tour")) { turn(0); tour.focus(); }

  if (served) {
    for (const link of document.querySelectorAll("a[data-run][data-now]")) show(link);
    setTimeout(look, 1000);
  }
})();

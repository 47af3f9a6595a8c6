"use strict";
// Search on every page, and the rehearsal; what they know is in answers.js, made with the pages.
const pages = window.PAGES;
const byId = (id) => document.getElementById(id);

function stems(text) {
  return (text.toLowerCase().match(/[a-z0-9]{2,}/g) || []).map((word) => word.slice(0, 5));
}

const known = pages.map((page) => ({
  page,
  title: new Set(stems(page.title + " " + page.name)),
  text: new Set(stems(page.text)),
}));

function find(words) {
  const asked = [...new Set(stems(words))];
  const worth = ({ title, text }) =>
    asked.reduce((sum, stem) => {
      const among = known.filter((one) => one.title.has(stem) || one.text.has(stem)).length;
      const found = 3 * title.has(stem) + (title.has(stem) || text.has(stem));
      return among ? sum + found / among : sum;
    }, 0);
  return known
    .map((one) => [worth(one), one.page])
    .filter(([value]) => value > 0)
    .sort((one, other) => other[0] - one[0])
    .slice(0, 8)
    .map(([, page]) => page);
}

function show(words) {
  const results = byId("results");
  const found = words.trim() ? find(words) : [];
  results.replaceChildren(
    ...found.map((page) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      const kind = document.createElement("small");
      link.href = page.name + ".html";
      link.textContent = page.title;
      kind.textContent = page.kind;
      link.append(kind);
      item.append(link);
      return item;
    }),
  );
  results.hidden = found.length === 0;
  byId("found").textContent = words.trim() ? `${found.length} pages found` : "";
}

byId("words").addEventListener("input", (event) => show(event.target.value));
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const first = byId("results").querySelector("a");
  if (first) location.href = first.href;
});
byId("search").addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  byId("words").value = "";
  show("");
  byId("words").focus();
});
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !typing) {
    event.preventDefault();
    byId("words").focus();
  }
});

if (byId("card")) rehearse();

function rehearse() {
  const KEY = "mlops-answer-book-scores";
  let asked = null;
  let began = 0;

  const scores = () => {
    try {
      return JSON.parse(localStorage.getItem(KEY)) || {};
    } catch {
      return {}; // a browser that keeps nothing
    }
  };
  const chosen = () => {
    const path = byId("path").value;
    return pages.filter((page) => page.spoken && (!path || page.paths.includes(path)));
  };

  function next() {
    const known = scores();
    const some = chosen().filter((page) => page !== asked);
    const weights = some.map((page) => 6 - (known[page.name] || 1));
    let left = Math.random() * weights.reduce((sum, weight) => sum + weight, 0);
    asked = some.find((_, place) => (left -= weights[place]) < 0) || some[0];
    byId("asked").textContent = asked.title;
    byId("answer").hidden = true;
    byId("reveal").hidden = false;
    began = Date.now();
    tell();
    tick();
  }

  function reveal() {
    byId("spoken").innerHTML = asked.spoken;
    byId("long").innerHTML = asked.long;
    byId("places").replaceChildren(
      ...asked.places.map((place) => {
        const item = document.createElement("li");
        const code = document.createElement("code");
        code.textContent = place;
        item.append(code);
        return item;
      }),
    );
    byId("whole").href = asked.name + ".html";
    byId("answer").hidden = false;
    byId("reveal").hidden = true;
    began = 0;
    byId("asked").focus();
  }

  function score(value) {
    try {
      localStorage.setItem(KEY, JSON.stringify({ ...scores(), [asked.name]: value }));
    } catch {
      byId("kept").textContent = "This browser keeps nothing here.";
      return;
    }
    next();
  }

  function tell() {
    const known = scores();
    const done = chosen().filter((page) => known[page.name]);
    const sum = done.reduce((total, page) => total + known[page.name], 0);
    const mean = done.length ? `, ${(sum / done.length).toFixed(1)} on average` : "";
    byId("kept").textContent = `${done.length} of ${chosen().length} scored${mean}`;
  }

  function tick() {
    if (!began) return;
    const seconds = Math.floor((Date.now() - began) / 1000);
    byId("clock").textContent =
      `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    byId("mark").textContent =
      seconds < 30 ? "" : seconds < 180 ? "30 seconds are over" : "three minutes are over";
  }

  byId("path").value = new URLSearchParams(location.search).get("path") || "";
  byId("path").addEventListener("change", next);
  byId("reveal").addEventListener("click", reveal);
  byId("next").addEventListener("click", next);
  for (const button of document.querySelectorAll(".score"))
    button.addEventListener("click", () => score(Number(button.dataset.score)));
  document.addEventListener("keydown", (event) => {
    const at = document.activeElement.tagName;
    if (/^(INPUT|SELECT|SUMMARY)$/.test(at) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && at !== "BUTTON" && at !== "A" && byId("answer").hidden) {
      event.preventDefault();
      reveal();
    } else if (event.key === "n") next();
    else if (/^[1-5]$/.test(event.key) && !byId("answer").hidden) score(Number(event.key));
  });
  setInterval(tick, 250);
  next();
}

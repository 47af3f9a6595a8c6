"use strict";
// The search and the rehearsal. What they know stands in search-data.js and rehearse-data.js.
const $ = (id) => document.getElementById(id);

function made(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

if (window.searchData) search(window.searchData);
if (window.rehearseData) rehearse(window.rehearseData);

function search(entries) {
  const MOST = 20; // pages that are shown
  const LETTER = /[\p{L}\p{N}]/u;
  const WEIGHTS = [6, 3, 1, 4]; // of a hit in the title, the heading, the words, the page's name
  const AROUND = [60, 220]; // letters of a snippet: before the first hit, in all
  const parts = entries.map((entry) => ({
    ...entry,
    texts: [entry.title, entry.heading, entry.words, entry.page].map((text) => text.toLowerCase()),
  }));

  /** How often a word stands in a text, up to some times: as it is twice, as a beginning once. */
  function count(text, word) {
    let found = 0;
    for (let at = text.indexOf(word); at >= 0 && found < 6; at = text.indexOf(word, at + 1)) {
      const begins = !LETTER.test(text[at - 1] || " ");
      if (begins) found += LETTER.test(text[at + word.length] || " ") ? 1 : 2;
    }
    return found;
  }

  function asked(text) {
    const words = new Set(text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) || []);
    return [...words].map((word) => (word.length > 5 ? word.replace(/(ing|ed|es|s)$/, "") : word));
  }

  /** The pages that hold some of the words, best first, each by the part that fits best. */
  function find(words) {
    const hits = parts.map(({ texts }) =>
      words.map((word) => texts.reduce((sum, text, n) => sum + WEIGHTS[n] * count(text, word), 0)),
    );
    const rarity = words.map((_, n) =>
      Math.log(1 + parts.length / Math.max(1, hits.filter((hit) => hit[n]).length)),
    );
    const best = new Map();
    hits.forEach((hit, place) => {
      const part = parts[place];
      const matched = hit.filter(Boolean).length / words.length;
      const sum = hit.reduce((total, found, n) => total + rarity[n] * Math.log1p(found), 0);
      const list = part.id === "code" ? 0.5 : 1; // nothing but names, so all of it is rare
      const worth = sum * matched ** 2 * list;
      if (worth > (best.get(part.page)?.worth || 0)) best.set(part.page, { worth, part });
    });
    return [...best.values()].sort((a, b) => b.worth - a.worth).map(({ part }) => part);
  }

  /** Some words around the first hit, with every hit marked. */
  function snippet(text, words) {
    const hit = new RegExp(`(?<![\\p{L}\\p{N}])(?:${words.join("|")})[\\p{L}\\p{N}]*`, "giu");
    const first = Math.max(0, text.search(hit));
    const start = first > AROUND[0] ? text.lastIndexOf(" ", first - AROUND[0]) + 1 : 0;
    const whole = text.length <= start + AROUND[1];
    const cut = whole ? text.slice(start) : text.slice(start, text.lastIndexOf(" ", start + AROUND[1]));
    const line = made("p", start ? "… " : "", { class: "quiet" });
    let done = 0;
    for (const found of cut.matchAll(hit)) {
      line.append(cut.slice(done, found.index), made("mark", found[0]));
      done = found.index + found[0].length;
    }
    line.append(cut.slice(done), whole ? "" : " …");
    return line;
  }

  function shown(part, words) {
    const item = made("li");
    const place = part.heading ? `#${part.id}` : "";
    item.append(made("a", part.title, { href: part.page + place }), " ");
    item.append(made("span", part.kind, { class: "tag" }));
    if (part.heading) item.append(made("p", part.heading, { class: "quiet" }));
    item.append(snippet(part.words, words));
    return item;
  }

  function answer() {
    const text = $("asked").value.trim();
    const words = asked(text);
    const found = words.length ? find(words) : [];
    $("results").replaceChildren(...found.slice(0, MOST).map((part) => shown(part, words)));
    const more = found.length > MOST ? `, the best ${MOST} are shown` : "";
    const pages = `${found.length || "No"} page${found.length === 1 ? "" : "s"}`;
    $("found").textContent = words.length ? `${pages} for “${text}”${more}` : "";
    history.replaceState(null, "", text ? `?q=${encodeURIComponent(text)}` : location.pathname);
  }

  let waiting = 0;
  $("asked").value = new URLSearchParams(location.search).get("q") || "";
  $("asked").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(answer, 200); // so that not every letter is announced
  });
  $("search").addEventListener("submit", (event) => {
    event.preventDefault();
    answer();
  });
  $("asked").focus();
  answer();
}

function rehearse({ questions, code }) {
  const SHORT = 30;
  const LONG = 180;
  const WHOLE = 210; // seconds that the bar is wide
  const KEPT = "answer-book";
  const WEIGHTS = { 1: 8, 2: 6, 3: 3, 4: 2, 5: 1 }; // how likely a question is by its score
  const UNSEEN = 5;
  const kept = { scores: {}, path: "", keys: true, ...read() };
  let now = null;
  let began = 0;

  function read() {
    try {
      return JSON.parse(localStorage.getItem(KEPT) || "{}");
    } catch {
      return {}; // a browser that keeps nothing for files: scores last as long as the page
    }
  }

  function keep() {
    tell();
    try {
      localStorage.setItem(KEPT, JSON.stringify(kept));
    } catch {
      $("kept").textContent += " This browser keeps no scores.";
    }
  }

  function chosen() {
    return questions.filter((one) => !kept.path || one.paths.includes(kept.path));
  }

  function tell() {
    const scores = chosen().map((one) => kept.scores[one.slug]).filter(Boolean);
    const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
    const average = scores.length ? `, ${mean.toFixed(1)} on average.` : ".";
    $("kept").textContent = `${scores.length} of ${chosen().length} scored${average}`;
    for (const button of document.querySelectorAll("[data-score]")) {
      const pressed = Number(button.dataset.score) === kept.scores[now.slug];
      button.setAttribute("aria-pressed", String(pressed));
    }
  }

  /** One of the others at random; what was scored low is that many times as likely. */
  function drawn() {
    const others = chosen().filter((one) => one !== now);
    const weights = others.map((one) => WEIGHTS[kept.scores[one.slug]] || UNSEEN);
    let left = Math.random() * weights.reduce((sum, weight) => sum + weight, 0);
    return others.find((_, n) => (left -= weights[n]) < 0) || others[0] || now;
  }

  function ask() {
    now = drawn();
    $("question").textContent = now.question;
    $("topic").textContent = now.topic;
    $("answer").hidden = true;
    $("reveal").hidden = false;
    $("told").textContent = "";
    began = Date.now();
    tell();
    tick();
  }

  function next() {
    ask();
    $("question").focus();
  }

  function reveal() {
    $("spoken").innerHTML = now.spoken;
    $("long").innerHTML = now.long;
    $("excerpts").replaceChildren(...now.code.map(excerpt));
    $("whole").href = now.page;
    $("answer").hidden = false;
    $("reveal").hidden = true;
    $("told").textContent = `You took ${$("clock").textContent}.`;
    began = 0;
    $("answer-title").focus();
  }

  function excerpt(symbol, n) {
    const { place, html, left } = code[symbol];
    const box = made("details");
    const line = made("summary");
    line.append(made("code", symbol.split(":").pop()), ` ${place}`);
    const lines = made("div");
    lines.innerHTML = html;
    if (left) lines.append(made("p", `${left} more lines`, { class: "quiet" }));
    box.append(line, lines);
    box.open = n === 0;
    return box;
  }

  function score(value) {
    kept.scores[now.slug] = value;
    keep();
    $("told").textContent = `Scored ${value}.`;
  }

  function tick() {
    if (!began) return;
    const seconds = Math.floor((Date.now() - began) / 1000);
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    const late = seconds >= LONG ? "Three minutes are over." : "Thirty seconds are over.";
    const told = seconds >= SHORT ? late : "";
    if ($("clock").textContent !== clock) $("clock").textContent = clock;
    if ($("told").textContent !== told) $("told").textContent = told; // announced once
    $("bar").firstElementChild.style.width = `${Math.min(100, (100 * seconds) / WHOLE)}%`;
    $("bar").classList.toggle("late", seconds >= LONG);
  }

  /** A key that nothing else on the page waits for. */
  function pressed(event) {
    if (!kept.keys || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("select, textarea, input:not([type=checkbox])")) return;
    const shown = !$("answer").hidden;
    if (event.key === " " && !shown && !event.target.closest("input, button, a, summary")) {
      event.preventDefault();
      reveal();
    } else if (event.key === "n") next();
    else if (/^[1-5]$/.test(event.key) && shown) score(Number(event.key));
  }

  function settings() {
    kept.path = new URLSearchParams(location.search).get("path") ?? kept.path;
    $("path").value = kept.path;
    if ($("path").selectedIndex < 0) $("path").value = kept.path = ""; // a path that is no more
    $("path").addEventListener("change", () => {
      kept.path = $("path").value;
      ask();
      keep();
    });
    $("keys").checked = kept.keys;
    $("keys").addEventListener("change", () => {
      kept.keys = $("keys").checked;
      keep();
    });
    $("forget").addEventListener("click", () => {
      kept.scores = {};
      keep();
    });
  }

  function buttons() {
    const all = (selector) => [...document.querySelectorAll(selector)];
    $("reveal").addEventListener("click", reveal);
    for (const button of all(".next")) button.addEventListener("click", next);
    for (const button of all("[data-score]"))
      button.addEventListener("click", () => score(Number(button.dataset.score)));
    for (const mark of all("#bar b")) mark.style.left = `${(100 * Number(mark.dataset.at)) / WHOLE}%`;
    document.addEventListener("keydown", pressed);
  }

  settings();
  buttons();
  $("rehearsal").hidden = false;
  setInterval(tick, 250);
  ask();
}

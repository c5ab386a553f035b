// The search: every word must be found; titles go first. All else works without it.
"use strict";
const form = document.querySelector(".search");
const input = document.querySelector("#search");
const list = document.querySelector("#found");
const count = document.querySelector("#count");
const MOST = 30;

function element(name, text, ...inside) {
  const made = document.createElement(name);
  made.append(text, ...inside);
  return made;
}

// A lower number stands higher; null: not found.
function rank([kind, title, , text], words) {
  const inTitle = title.toLowerCase(), inText = text.toLowerCase();
  let sum = { table: 0, query: 0 }[kind] ?? 0.5;
  for (const word of words) {
    const at = inTitle.indexOf(word);
    if (at === 0) sum += inTitle === word ? 0 : 1;
    else if (at > 0) sum += /[^a-z0-9]/.test(inTitle[at - 1]) ? 2 : 3;
    else if (inText.includes(word)) sum += 10;
    else return null;
  }
  return sum;
}

// The part of a text around the first word that is in it.
function excerpt(text, words) {
  const flat = text.replace(/\s+/g, " ").trim(), low = flat.toLowerCase();
  const places = words.map(word => low.indexOf(word)).filter(place => place >= 0);
  const at = places.length ? Math.min(...places) : 0;
  const from = Math.max(0, at - 40), part = flat.slice(from, from + 120);
  const shown = element("span", from ? "…" : "");
  const word = words.find(each => low.startsWith(each, at));
  if (!places.length) shown.append(part);
  else shown.append(part.slice(0, at - from), element("mark", part.slice(at - from, at - from + word.length)), part.slice(at - from + word.length));
  if (from + 120 < flat.length) shown.append("…");
  return shown;
}

function search() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const hits = words.length ? BOOK.map(entry => [rank(entry, words), entry]).filter(([score]) => score !== null) : [];
  hits.sort(([a, [, one]], [b, [, two]]) => a - b || one.localeCompare(two));
  count.textContent = words.length ? (hits.length === 1 ? "1 place" : `${hits.length || "No"} places`) : "";
  list.replaceChildren(...hits.slice(0, MOST).map(([, [kind, title, place, text]]) => {
    const link = element("a", element("b", title), element("i", kind), excerpt(text, words));
    link.href = place;
    return element("li", link);
  }));
}

function move(event) {
  const links = [...list.querySelectorAll("a")], at = links.indexOf(document.activeElement);
  if (event.key === "Escape") { input.value = ""; search(); input.focus(); }
  else if (event.key === "ArrowDown" && links.length) links[Math.min(at + 1, links.length - 1)].focus();
  else if (event.key === "ArrowUp" && links.length) (links[at - 1] ?? input).focus();
  else return;
  event.preventDefault();
}

form.hidden = false;
input.addEventListener("input", search);
form.addEventListener("keydown", move);
form.addEventListener("submit", event => { event.preventDefault(); list.querySelector("a")?.click(); });
document.addEventListener("keydown", event => {
  if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(event.target.tagName)) { event.preventDefault(); input.focus(); }
});

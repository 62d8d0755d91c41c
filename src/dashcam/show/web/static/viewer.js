// Everything here makes a page handier. Text from events enters as text, or as rows that the server has escaped.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

const POLL_MS = 1500;
const MAX_ROWS = 1000; // of a live page; the oldest go

function make(name, text, children = []) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  element.append(...children);
  return element;
}

function say(text) {
  const status = one("#said");
  if (status) status.textContent = text;
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    say("This browser does not let a page copy");
  }
}

// What does not print is spelled out, as the server does it.
const visible = (text) =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) =>
    sign === "\n" ? sign : `\\u{${sign.codePointAt(0).toString(16)}}`);

// ---- The story: a tree in a table. A row's inner rows are those below it that lie deeper.

function openStory(table) {
  const rows = all("tbody > tr", table);
  const depths = rows.map((row) => Number(row.getAttribute("aria-level")));
  const folded = new Set();
  const inFile = !one("form[role=search]");
  let events, here = 0, lines = true;

  function draw() {
    let below = Infinity;
    rows.forEach((row, index) => {
      const inside = depths[index] > below;
      if (!inside) below = folded.has(index) ? depths[index] : Infinity;
      row.hidden = inside || (!lines && row.classList.contains("line"));
      if (row.hasAttribute("aria-expanded")) row.setAttribute("aria-expanded", !folded.has(index));
    });
  }

  function fold(index, shut) {
    if (!rows[index].hasAttribute("aria-expanded")) return false;
    if (folded.has(index) === shut) return false;
    folded[shut ? "add" : "delete"](index);
    draw();
    return true;
  }

  function enter(index) {
    if (index === here) return; // a row that loses its tabindex for a moment loses the focus too
    rows[here].removeAttribute("tabindex");
    here = index;
    rows[here].tabIndex = 0;
  }

  function move(index) {
    enter(index);
    rows[index].focus({ preventScroll: true });
    rows[index].scrollIntoView({ block: "nearest" });
  }

  function step(from, by) {
    let index = from;
    while (rows[index]?.hidden) index += by;
    if (rows[index]) move(index);
  }

  function parentOf(index) {
    let at = index - 1;
    while (at >= 0 && depths[at] >= depths[index]) at -= 1;
    return at;
  }

  function uncover(index) {
    for (let at = parentOf(index); at >= 0; at = parentOf(at)) folded.delete(at);
    if (rows[index].classList.contains("line")) lines = true;
    draw();
  }

  function open(index) {
    events ??= JSON.parse(one("#story-events").textContent);
    one("tr[aria-selected]", table)?.removeAttribute("aria-selected");
    rows[index].setAttribute("aria-selected", "true");
    history.replaceState(null, "", `#${encodeURIComponent(rows[index].id)}`);
    showDetails(events[index], one(".title", rows[index]).textContent, inFile);
    rows[index].scrollIntoView({ block: "nearest" });
  }

  function nextError() {
    const indexes = rows.flatMap((row, index) => (row.classList.contains("is-error") ? [index] : []));
    const index = indexes.find((at) => at > here) ?? indexes[0];
    if (index === undefined) return;
    uncover(index);
    move(index);
  }

  function follow() {
    const name = decodeURIComponent(location.hash.slice(1));
    const index = rows.findIndex((row) => row.id === name || row.id === `row-${name}`);
    if (index < 0) return;
    uncover(index);
    move(index);
    open(index);
  }

  const keys = {
    ArrowDown: () => step(here + 1, 1),
    ArrowUp: () => step(here - 1, -1),
    ArrowLeft: () => fold(here, true) || (parentOf(here) >= 0 && move(parentOf(here))),
    ArrowRight: () => fold(here, false) || step(here + 1, 1),
    Home: () => step(0, 1),
    End: () => step(rows.length - 1, -1),
    Enter: () => open(here),
    " ": () => open(here),
  };
  table.addEventListener("keydown", (press) => {
    if (press.target.closest("summary, pre") || press.ctrlKey || press.metaKey || press.altKey) return;
    if (!keys[press.key]) return;
    press.preventDefault();
    keys[press.key]();
  });
  table.addEventListener("focusin", (focus) => {
    const index = rows.indexOf(focus.target.closest("tbody > tr"));
    if (index >= 0) enter(index);
  });
  table.addEventListener("click", (click) => {
    const index = rows.indexOf(click.target.closest("tbody > tr"));
    if (index < 0 || click.target.closest("summary, pre") || click.ctrlKey || click.metaKey) return;
    click.preventDefault();
    enter(index);
    if (click.target.closest(".fold")) fold(index, !folded.has(index));
    else if (!getSelection().toString()) open(index);
  });

  const press = (button, state) => button.setAttribute("aria-pressed", state);
  const tools = {
    lines(button) { lines = !lines; press(button, lines); draw(); },
    fold(button) {
      const shut = !folded.size;
      folded.clear();
      if (shut) rows.forEach((row, index) => row.ariaExpanded && depths[index] > 1 && folded.add(index));
      press(button, shut);
      draw();
    },
    error: nextError,
    link: () => copy(location.href, "Link"),
    json: () => copy(one(".details pre").textContent, "JSON"),
    close: () => { one(".details").hidden = true; rows[here]?.focus(); },
  };
  document.addEventListener("click", (click) => {
    const button = click.target.closest("button[data-do]");
    if (button) tools[button.dataset.do](button);
  });
  addEventListener("hashchange", follow);
  one(".tools").hidden = false;
  if (rows.length) {
    rows[0].tabIndex = 0;
    follow();
  }
  return { e: nextError, Escape: () => !one(".details").hidden && tools.close() };
}

// ---- Details of one event

function flatten(value, name = "") {
  if (value === null || typeof value !== "object") return [[name, String(value)]];
  if (Array.isArray(value)) return value.length ? [[name, JSON.stringify(value)]] : [];
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, name ? `${name}.${key}` : key));
}

function searchFor(name, text) {
  const quoted = text.replace(/[\\"]/g, "\\$&");
  return `/events?${new URLSearchParams({ q: `${name}:"${quoted}"`, since: "all" })}`;
}

function shown(name, text, inFile) {
  const isPlain = /^[A-Za-z_][\w.-]*$/.test(name) && text && text.length < 200 && !/[@:\n]/.test(name);
  if (inFile || !isPlain || name === "@timestamp") return make("dd", visible(text));
  const link = make("a", visible(text));
  link.href = searchFor(name, text);
  link.title = "Search for it";
  return make("dd", "", [link]);
}

function showDetails(event, title, inFile) {
  const aside = one(".details");
  one("h2", aside).textContent = title;
  const pairs = event ? flatten(event) : [["state", "It never arrived; only what happened in it did."]];
  one("dl", aside).replaceChildren(
    ...pairs.map(([name, text]) => make("div", "", [make("dt", visible(name)), shown(name, text, inFile || !event)])));
  one("pre", aside).textContent = event ? visible(JSON.stringify(event, null, 2)) : "";
  aside.hidden = false;
  aside.scrollTop = 0;
  say(`Details of ${title}`);
}

// ---- Live tables: rows that were not there come in, the newest at the top

function goLive(table, button) {
  const body = one("tbody", table);
  let timer = 0;

  function take(row) {
    const old = document.getElementById(row.id);
    if (old?.outerHTML === row.outerHTML) return;
    if (old) return old.replaceWith(row);
    const moment = Number(row.dataset.ns);
    const after = [...body.rows].find((other) => Number(other.dataset.ns) <= moment);
    row.classList.add("is-new");
    body.insertBefore(row, after ?? null);
  }

  async function poll() {
    if (!document.hidden) {
      try {
        const newest = body.rows[0]?.dataset.ns;
        const answer = await fetch(table.dataset.rows + (newest ? `&after=${newest}` : ""));
        if (!answer.ok) throw new Error(String(answer.status));
        const template = document.createElement("template");
        template.innerHTML = await answer.text();
        localize(template.content);
        [...template.content.children].reverse().forEach(take);
        while (body.rows.length > MAX_ROWS) body.lastElementChild.remove();
        button.classList.remove("is-lost");
        one(".nothing")?.toggleAttribute("hidden", body.rows.length > 0);
      } catch {
        button.classList.add("is-lost");
      }
    }
    if (timer) timer = setTimeout(poll, POLL_MS);
  }

  function toggle() {
    clearTimeout(timer);
    timer = timer ? 0 : setTimeout(poll, 0);
    button.setAttribute("aria-pressed", String(timer !== 0));
    const address = new URL(location);
    timer ? address.searchParams.set("live", "1") : address.searchParams.delete("live");
    history.replaceState(null, "", address);
  }

  button.hidden = false;
  button.addEventListener("click", toggle);
  if (new URLSearchParams(location.search).has("live")) toggle();
}

// ---- Times of the reader's own zone, where the address asks for them

const isLocal = document.body.dataset.zone === "local";

function localize(within) {
  if (!isLocal) return;
  for (const time of all("time:not([data-local])", within)) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.valueOf())) continue;
    const two = (number, width = 2) => String(number).padStart(width, "0");
    const day = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join("-");
    const clock = [two(moment.getHours()), two(moment.getMinutes()), two(moment.getSeconds())].join(":");
    const letters = Number(time.dataset.letters); // of a tick below a histogram
    if (letters) time.textContent = letters > 8 ? `${day.slice(5)} ${clock.slice(0, 5)}` : clock.slice(0, letters);
    else {
      one(".day", time).textContent = day;
      one("b", time).textContent = `${clock}.${two(moment.getMilliseconds(), 3)}`;
    }
    time.dataset.local = "";
  }
}

// ---- The histogram: a period is chosen with the mouse or with the keys, and leads to its own address

function openHistogram(figure) {
  const svg = one("svg", figure), chosen = one(".chosen", svg), spoken = one(".said-bar", figure);
  const bars = JSON.parse(one("script", figure).textContent);
  const begin = Number(figure.dataset.from), step = Number(figure.dataset.step);
  let first = bars.length - 1, last = first, dragging = false;

  const spell = (ms) => {
    const moment = new Date(ms);
    return isLocal ? moment.toLocaleString() : moment.toISOString().slice(0, 19).replace("T", " ");
  };
  const ends = () => [Math.min(first, last), Math.max(first, last) + 1];

  function draw() {
    const [from, to] = ends(), width = 1000 / bars.length;
    chosen.setAttribute("x", from * width);
    chosen.setAttribute("width", (to - from) * width);
    chosen.removeAttribute("hidden");
    const said = to - from === 1 ? `: ${bars[from] || "none"}` : "";
    spoken.textContent = `${spell(begin + from * step)} to ${spell(begin + to * step)}${said}`;
  }

  function go() {
    const [from, to] = ends(), address = new URL(figure.dataset.url, location);
    address.searchParams.set("from", new Date(begin + from * step).toISOString());
    address.searchParams.set("to", new Date(begin + to * step).toISOString());
    location.assign(address);
  }

  function at(pointer) {
    const box = svg.getBoundingClientRect();
    return Math.max(0, Math.min(bars.length - 1, Math.floor(((pointer.clientX - box.left) / box.width) * bars.length)));
  }

  svg.addEventListener("pointerdown", (pointer) => {
    svg.setPointerCapture(pointer.pointerId);
    first = last = at(pointer);
    dragging = true;
    draw();
  });
  svg.addEventListener("pointermove", (pointer) => {
    last = at(pointer);
    if (!dragging) first = last;
    draw();
  });
  svg.addEventListener("pointerup", () => { dragging = false; go(); });
  svg.addEventListener("keydown", (press) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[press.key];
    if (by) {
      last = Math.max(0, Math.min(bars.length - 1, last + by));
      if (!press.shiftKey) first = last;
      draw();
    } else if (press.key === "Enter") go();
    else return;
    press.preventDefault();
  });
}

async function loadSummary(place) {
  try {
    const answer = await fetch(place.dataset.load);
    if (!answer.ok) throw new Error(`The store gave no histogram (${answer.status}).`);
    place.innerHTML = await answer.text();
    localize(place);
    all(".histogram", place).forEach(openHistogram);
  } catch (fault) {
    place.replaceChildren(make("p", String(fault.message ?? fault)));
  }
  place.removeAttribute("aria-busy");
}

// ---- A list that goes on: its older rows come when its end is near

function goOn(table) {
  const watcher = new IntersectionObserver(async ([end]) => {
    if (!end.isIntersecting) return;
    const link = one(".older a");
    watcher.disconnect();
    try {
      const answer = await fetch(link.href);
      if (!answer.ok) throw new Error();
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const known = new Set(all("tbody tr", table).map((row) => row.id));
      const rows = all("[data-rows] tbody tr", next).filter((row) => !known.has(row.id));
      one("tbody", table).append(...rows);
      localize(table);
      const further = one(".older", next);
      if (!further || !rows.length) return one(".older").remove();
      one(".older").replaceWith(further);
      watcher.observe(further);
    } catch {
      link.textContent += " (no answer; try again)";
    }
  }, { rootMargin: "600px" });
  const older = one(".older");
  if (older) watcher.observe(older);
}

// ---- Every page

const table = one("table.story");
const pageKeys = { "/": () => { one("#q")?.focus(); one("#q")?.select(); }, ...(table ? openStory(table) : {}) };

document.addEventListener("keydown", (press) => {
  if (press.ctrlKey || press.metaKey || press.altKey || press.target.closest("input, select, textarea")) return;
  if (!pageKeys[press.key]) return;
  if (press.key !== "Escape") press.preventDefault();
  pageKeys[press.key]();
});

for (const button of all("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button.dataset.copy, "Id"));
}

const live = one("[data-live]"), list = one("[data-rows]");
if (live && list) goLive(list, live);
if (list) goOn(list);

localize(document);
for (const link of all("[data-zone-switch]")) link.hidden = false;
all("[data-load]").forEach(loadSummary);

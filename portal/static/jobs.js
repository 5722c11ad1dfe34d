/* The page about jobs: rows follow what happens to the jobs, and none jumps while somebody points at them. */

import { actOn } from "./jobacts.js";
import { announce, count, data, el, path, request, t, tn } from "./base.js";
import { fill, learnPhases, tick } from "./jobrow.js";
import { follow, stateIn } from "./live.js";
import { forget, remember, remembered } from "./mine.js";

const MOST_ROWS = 100;
const TICK_MS = 15_000;
const COUNT_MS = 1500;
const CHANGES_TOLD_MS = 10_000;

const { mode, filters, isFirst, cursor } = data("jobs");
const part = (id) => document.getElementById(id);
const [rows, list, none, phases, held] = ["rows", "list", "none", "phases", "held"].map(part);
const template = part("row").content.querySelector("tr");
const table = list.querySelector("table");
/** What waits until nobody points at the table any more: by the id of its job. */
const waiting = new Map();
const wanted = filters.phase ?? [];

/** Those whom the browser knows are asked for by their names: nobody has a list of them. */
const named = () => (mode === "browser" ? remembered() : (filters.job ?? shownIds()));
const shownIds = () => [...rows.children].map((row) => row.dataset.id);
const rowOf = (id) => rows.querySelector(`tr[data-id="${CSS.escape(id)}"]`);
const isPointedAt = () => table.matches(":hover") || rows.contains(document.activeElement);

/** Take in what is told of a job. */
function update(job) {
  const row = rowOf(job.id);
  if (row) {
    const before = row.dataset.phase;
    fill(row, job);
    if (before !== job.phase) {
      changed(row);
      actions.chosen();
    }
  } else if (belongs(job)) {
    later(job.id, () => insert(job));
    recount();
  } else {
    recount();
  }
}

/** Whether a job that has no row is to have one: older ones are on other pages. */
function belongs(job) {
  if (mode === "shared" || mode === "named" || !isFirst) return false;
  if (wanted.length > 0 && !wanted.includes(job.phase)) return false;
  const text = (filters.text ?? "").toLowerCase();
  if (text && !job.label.toLowerCase().includes(text) && !job.id.includes(text)) return false;
  const newest = rows.querySelector(".created time")?.dateTime ?? "";
  return mode === "browser" || job.created >= newest;
}

function insert(job) {
  const row = rowOf(job.id) ?? template.cloneNode(true);
  fill(row, job);
  if (!row.isConnected) {
    const after = [...rows.children].find((one) => one.querySelector(".created time").dateTime <= job.created);
    rows.insertBefore(row, after ?? null);
    row.classList.add("fresh");
  }
  while (rows.children.length > MOST_ROWS) rows.lastElementChild.remove();
  showWhatIsThere();
}

function remove(id) {
  const row = rowOf(id);
  if (!row) return;
  row.classList.add("gone");
  const box = row.querySelector("input");
  box.checked = false;
  box.disabled = true;
  later(id, () => {
    rowOf(id)?.remove();
    showWhatIsThere();
  });
  recount();
}

/** Do something that moves rows, once nobody points at them. */
function later(id, act) {
  if (!isPointedAt()) return act();
  waiting.set(id, act);
  held.hidden = false;
  held.firstElementChild.textContent = tn("Show {n} change", "Show {n} changes", waiting.size);
}

function release() {
  for (const act of waiting.values()) act();
  waiting.clear();
  held.hidden = true;
}

function showWhatIsThere() {
  const isEmpty = rows.children.length === 0;
  list.hidden = isEmpty;
  none.hidden = !isEmpty;
  actions.chosen();
}

/* Numbers of jobs, by phase. */

let told = {};
let counting;

function changed(row) {
  told[row.dataset.id] = row;
  recount();
}

function recount() {
  counting ??= setTimeout(async () => {
    counting = undefined;
    tellChanges();
    try {
      if (mode === "own" || mode === "shared") {
        const shared = mode === "shared" ? "&SHARED=true" : "";
        show((await (await request(`/async?LIMIT=1${shared}`)).json()).counts);
      } else {
        show(await countNamed());
      }
    } catch {
      // They are counted when something else happens.
    }
  }, COUNT_MS);
}

async function countNamed() {
  const counts = {};
  for (const job of await fetchJobs(named())) counts[job.phase] = (counts[job.phase] ?? 0) + 1;
  return counts;
}

function show(counts) {
  const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
  for (const link of phases.querySelectorAll("a")) {
    const { phase } = link.dataset;
    const n = phase === "" ? all : (counts[phase] ?? 0);
    link.querySelector(".n").textContent = count(n);
    link.parentElement.hidden = phase !== "" && n === 0 && !wanted.includes(phase);
  }
  const running = document.querySelector(".nav-number");
  if (running && mode !== "shared") {
    running.textContent = count(counts.EXECUTING ?? 0);
    running.hidden = !counts.EXECUTING;
  }
}

let toldAt = 0;
let telling;

/** Say what has changed to those who listen: now and then, and not each step. */
function tellChanges() {
  const wait = toldAt + CHANGES_TOLD_MS - Date.now();
  if (wait > 0) {
    telling ??= setTimeout(() => {
      telling = undefined;
      tellChanges();
    }, wait);
    return;
  }
  const changes = Object.values(told);
  told = {};
  if (changes.length === 0) return;
  toldAt = Date.now();
  const [first] = changes;
  const words = {
    name: first.querySelector(".name").textContent,
    phase: first.querySelector(".phase").lastChild.textContent.trim(),
  };
  const rest = changes.length - 1;
  announce(
    rest
      ? tn("{name}: {phase}; {n} other job has changed", "{name}: {phase}; {n} other jobs have changed", rest, words)
      : t("{name}: {phase}", words),
  );
}

/* Asking. */

async function fetchJobs(ids, more = {}) {
  if (ids.length === 0) return [];
  const query = new URLSearchParams([...ids.map((id) => ["JOB", id]), ...Object.entries(more), ["LIMIT", "100"]]);
  return (await (await request(`/async?${query}`)).json()).jobs;
}

/** Ask anew for what is shown, and for what is new. */
async function refresh() {
  const ids = named();
  const known = shownIds();
  const jobs = await fetchJobs(mode === "browser" ? ids : known);
  const found = new Set(jobs.map((job) => job.id));
  for (const id of known) if (!found.has(id)) remove(id);
  if (mode === "browser") forget(ids.filter((id) => !found.has(id)));
  for (const job of await filtered(ids, jobs)) update(job);
  if (mode === "own" && isFirst) {
    const answer = await (await request("/async?LIMIT=50")).json();
    for (const job of answer.jobs.reverse()) if (!rowOf(job.id)) update(job);
    show(answer.counts);
  } else {
    show(await countOf(jobs));
  }
  showWhatIsThere();
}

/** Those of the jobs of this browser that are as the form wants them; all others are so already. */
async function filtered(ids, jobs) {
  const more = Object.fromEntries(["text", "after"].filter((name) => filters[name]).map((name) => [name, filters[name]]));
  if (mode !== "browser" || Object.keys(more).length === 0) return jobs;
  const found = new Set((await fetchJobs(ids, more)).map((job) => job.id));
  return jobs.filter((job) => found.has(job.id));
}

async function countOf(jobs) {
  if (mode === "shared") return (await (await request("/async?LIMIT=1&SHARED=true")).json()).counts;
  const counts = {};
  for (const job of jobs) counts[job.phase] = (counts[job.phase] ?? 0) + 1;
  return counts;
}

function stream() {
  if (mode === "own") return "/events";
  return `/events?${new URLSearchParams(named().map((id) => ["JOB", id]))}`;
}

/* Putting it together. */

learnPhases(phases);
const actions = actOn({
  form: part("acts"),
  rows,
  async done(outcome) {
    if (mode === "browser") outcome.made.forEach(remember);
    if (outcome.act === "delete") {
      outcome.done.forEach(remove);
      if (mode === "browser") forget(outcome.done);
    } else {
      for (const job of await fetchJobs([...outcome.done, ...outcome.made])) update(job);
    }
    if (outcome.made.length > 0 && mode === "browser") following?.again();
    release();
  },
});
table.addEventListener("pointerleave", () => isPointedAt() || release());
rows.addEventListener("focusout", () => setTimeout(() => isPointedAt() || release()));
held.firstElementChild.addEventListener("click", release);
const tickAll = () => [...rows.children].forEach(tick);
tickAll();
setInterval(tickAll, TICK_MS);

if (mode === "own" && remembered().length > 0) {
  const link = el("a", { text: t("Of this browser"), attrs: { href: path(`/jobs?${namedQuery()}`) } });
  part("of-browser").replaceChildren(link);
  part("of-browser").hidden = false;
}

function namedQuery() {
  return new URLSearchParams(remembered().map((id) => ["job", id]));
}

for (const element of document.querySelectorAll(".only-scripts")) element.hidden = false;

let following;
if (mode === "browser") {
  for (const link of phases.querySelectorAll("a")) {
    // What this browser knows is here already: nobody else could tell it apart.
    link.addEventListener("click", (event) => {
      event.preventDefault();
      choosePhase(link);
    });
  }
  addEventListener("storage", (event) => event.key === "fountain-jobs" && start());
}

function choosePhase(chosen) {
  for (const link of phases.querySelectorAll("a")) {
    if (link === chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  wanted.splice(0, wanted.length, ...(chosen.dataset.phase ? [chosen.dataset.phase] : []));
  rows.replaceChildren();
  refresh();
}

function start() {
  if (mode !== "own" && named().length === 0) return showWhatIsThere();
  if (following) return following.again();
  following = follow({
    stream,
    on: { job: update, gone: ({ id }) => remove(id), reset: () => refresh().catch(() => {}) },
    poll,
    told: stateIn(part("live")),
    after: cursor,
  });
}

/** Ask once for what the stream would tell. */
async function poll(signal, after) {
  const address = stream();
  const query = after ? `${address.includes("?") ? "&" : "?"}AFTER=${encodeURIComponent(after)}` : "";
  const news = await (await request(address + query, { signal })).json();
  if (news.reset) await refresh();
  news.jobs.forEach(update);
  news.gone.forEach(remove);
  return news.cursor;
}

if (mode === "browser") refresh().catch(() => {}).finally(start);
else start();

/* Rows of the table of jobs, as `jobs-parts.html` makes them. */

import { bytes, count, duration, el, path, t, tn } from "./base.js";

const ACTIVE = ["PENDING", "QUEUED", "EXECUTING"];
const DAY_S = 86_400;
const words = new Map();

/** Words and sign of each phase, taken from where the page says them already. */
export function learnPhases(list) {
  for (const link of list.querySelectorAll("a[data-phase]:not([data-phase=''])")) {
    const [sign, ...rest] = [...link.childNodes].filter((node) => !node.classList?.contains("n"));
    words.set(link.dataset.phase, [sign.textContent, rest.map((node) => node.textContent).join("").trim()]);
  }
}

/** What can be done to a job by whom it was told to. */
export function possible(job) {
  if (!job.may.change) return "";
  const always = job.link ? "change unlink" : "change";
  if (ACTIVE.includes(job.phase)) return `${always} abort`;
  const isPartial = job.phase !== "COMPLETED" || job.total > job.done + job.empty;
  return isPartial ? `${always} retry` : always;
}

/** How a job is called. */
export function nameOf(job) {
  return job.label || job.id.slice(0, 8);
}

/**
 * Write a job into a row.
 * @param {HTMLTableRowElement} row
 * @param {object} job as the list of jobs tells it
 */
export function fill(row, job) {
  const part = (name) => row.querySelector(`.${name}`);
  /** Write into a part that is there only where it has something to say. */
  const say = (name, parent, text) => {
    if (text || part(name)) (part(name) ?? part(parent).appendChild(el("span", { class: name }))).textContent = text;
  };
  const [sign, phase] = words.get(job.phase) ?? ["?", job.phase.toLowerCase()];
  const can = possible(job);
  const failed = job.failed + job.poison;
  Object.assign(row.dataset, { id: job.id, phase: job.phase, can });

  const box = row.querySelector("input");
  box.value = job.id;
  box.setAttribute("aria-label", nameOf(job));
  box.disabled = can === "";
  const name = part("name");
  name.textContent = nameOf(job);
  name.href = path(`/jobs/${job.id}`);
  part("id").textContent = job.id.slice(0, 8);
  part("id").hidden = !job.label;
  say("surveys", "sub", job.surveys.join(", "));
  say("owner", "sub", job.mine ? "" : (job.owner ?? ""));
  const groups = job.sharedWith.join(", ");
  say("shared", "sub", groups && t("shared with {groups}", { groups }));
  say("link", "sub", job.link ? t("link until {day}", { day: job.link.until.slice(0, 10) }) : "");
  say("problem", "named", job.error?.message ?? "");

  const chip = part("phase");
  chip.className = `phase ${job.phase.toLowerCase()}`;
  chip.replaceChildren(Object.assign(document.createElement("span"), { textContent: sign }), ` ${phase}`);
  chip.firstChild.setAttribute("aria-hidden", "true");
  say("place", "in-phase", place(job));

  const bar = part("progress");
  bar.toggleAttribute("hidden", !job.total);
  measure(bar, [job.done, job.empty, failed], job.total);
  const ended = job.done + job.empty + failed;
  part("of").textContent = job.total ? `${count(ended)}\u2009/\u2009${count(job.total)}` : "";
  say("bad", "rows", failed ? tn("{n} failed", "{n} failed", failed) : "");

  part("size").textContent = job.bytes ? bytes(job.bytes) : "";
  const created = row.querySelector(".created time");
  created.dateTime = job.created;
  created.textContent = minute(job.created);
  setEnd(row, job);
  row.querySelector(".expires time").dateTime = job.destruction;
  row.querySelector(".do a").href = path(`/batch?from=${job.id}`);
  tick(row);
}

/** Write anew what goes by the clock: how long it is to the end of a job, and to its removal; when, by a title. */
export function tick(row) {
  const end = row.querySelector(".ends time");
  if (ACTIVE.includes(row.dataset.phase) && end.dateTime) {
    end.textContent = left(end.dateTime) > 0 ? until(end.dateTime) : t("soon");
  }
  const expiry = row.querySelector(".expires time");
  for (const element of [end, expiry]) if (element.dateTime) element.title = `${minute(element.dateTime)} UTC`;
  expiry.textContent = until(expiry.dateTime);
  expiry.parentElement.classList.toggle("soon", left(expiry.dateTime) < DAY_S);
}

function setEnd(row, job) {
  const element = row.querySelector(".ends time");
  if (job.ended) {
    const took = job.started ? (Date.parse(job.ended) - Date.parse(job.started)) / 1000 : null;
    element.dateTime = job.ended;
    element.textContent = took === null ? "" : t("took {time}", { time: duration(took) });
  } else if (job.expectedEnd) {
    element.dateTime = job.expectedEnd;
  } else {
    element.removeAttribute("datetime");
    element.removeAttribute("title");
    element.textContent = "";
  }
}

function measure(svg, parts, total) {
  let x = 0;
  parts.forEach((part, at) => {
    const width = (100 * part) / (total || 1);
    svg.children[at].setAttribute("x", x.toFixed(2));
    svg.children[at].setAttribute("width", width.toFixed(2));
    x += width;
  });
}

function place({ phase, place: at }) {
  return phase === "QUEUED" && at ? t("place {n} of {all}", { n: at.position, all: at.jobs }) : "";
}

function left(iso) {
  return (Date.parse(iso) - Date.now()) / 1000;
}

function until(iso) {
  return t("in {time}", { time: duration(Math.max(1, left(iso))) });
}

function minute(iso) {
  return iso.slice(0, 16).replace("T", " ");
}

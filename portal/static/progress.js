/* How far a job is, as it goes on: the bar, the numbers, how fast. */

import { announce, bytes, count, data, decimal, t, tn } from "./base.js";

const SVG = "http://www.w3.org/2000/svg";
/** For so long the rate is told, and for so long it is drawn. */
const RATE_MS = 15_000;
const DRAWN = 60;
const job = data("job");

const points = [];
let told = -1;

/** Show how far the job is; `counts` has `total`, `done`, `empty`, `failed`, `poison` and `bytes`. */
export function show(counts, phase) {
  const { total, done, empty, bytes: size } = counts;
  const failed = counts.failed + counts.poison;
  const ended = done + empty + failed;
  const percent = total ? Math.round((100 * ended) / total) : 0;
  const texts = {
    "count-ended": count(ended), "count-total": tn("of {n} row", "of {n} rows", total), percent: `${percent} %`, "count-done": count(done),
    "count-empty": count(empty), "count-failed": count(failed), "count-waiting": count(total - ended), "count-bytes": bytes(size),
  };
  for (const [id, text] of Object.entries(texts)) {
    const element = document.getElementById(id);
    if (element && element.textContent !== text) element.textContent = text;
  }
  const badge = document.getElementById("badge");
  badge.textContent = count(failed);
  badge.hidden = failed === 0;
  const bar = document.querySelector("#bar svg");
  bar?.setAttribute("aria-label", t("{ended} of {total} rows have ended", { ended: count(ended), total: count(total) }));
  let from = 0;
  for (const [name, rows] of [["ok", done], ["empty", empty], ["failed", failed]]) {
    const width = total ? (100 * rows) / total : 0;
    const part = bar?.querySelector(`.${name}`);
    part?.setAttribute("x", from.toFixed(2));
    part?.setAttribute("width", width.toFixed(2));
    from += width;
  }
  if (phase === "EXECUTING") rate(ended);
  const isOver = ["COMPLETED", "ERROR", "ABORTED"].includes(phase);
  if (isOver && ended < total) document.getElementById("word-waiting").textContent = t("not made");
  const quarter = Math.floor(percent / 25);
  if (told >= 0 && quarter > told && quarter < 4) announce(t("{percent} of the rows have ended", { percent: `${percent} %` }));
  told = quarter;
}

function rate(ended) {
  const now = performance.now();
  const last = points.at(-1);
  if (last && now - last.at < 500) last.ended = ended;
  else points.push({ at: now, ended });
  while (points.length > DRAWN) points.shift();
  const first = points.find((point) => now - point.at < RATE_MS) ?? points[0];
  const element = document.getElementById("rate");
  if (!element || now - first.at < 1000) return;
  const speed = (1000 * (ended - first.ended)) / (now - first.at);
  element.textContent = t("{n} rows/s", { n: decimal(speed, 3) });
  if (points.length > 3) draw(element);
}

/** Draw how the rate has been. */
function draw(element) {
  const speeds = points.slice(1).map((point, place) => (point.ended - points[place].ended) / (point.at - points[place].at));
  const most = Math.max(...speeds) || 1;
  let svg = element.parentElement.querySelector(".spark");
  if (!svg) {
    svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "spark");
    svg.setAttribute("viewBox", "0 0 100 24");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", t("How the rate has been"));
    svg.append(document.createElementNS(SVG, "polyline"));
    element.after(svg);
  }
  const step = 100 / Math.max(1, speeds.length - 1);
  svg.firstChild.setAttribute("points", speeds.map((speed, place) => `${(place * step).toFixed(1)},${(22 - (20 * speed) / most).toFixed(1)}`).join(" "));
}

if (job.isActive) show(job.counts, job.phase);

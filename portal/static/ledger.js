/* Rows of a job, read page by page as they are wanted, in the order and of the kind that was chosen. */

import { data, request } from "./base.js";

export const PAGE = 100;
const KEPT_PAGES = 60;
const COLUMNS =
  "row,id,ra,dec,name,survey,band,format,bytes,sha256,status,error_message,requested_w,requested_h,naxis1,naxis2," +
  "frac_valid,clipped,resampled,source_datasets,attempts,seconds,pixel_scale,recipe,result_id,access_format";

const job = data("job");

/**
 * Path of something below the job, with the key of the link by which the page was opened.
 * @param {string} path
 * @param {Object<string, string|number>|string[][]} [query]
 */
export function below(path, query = {}) {
  const told = new URLSearchParams(query);
  if (job.link) told.set("LINK", job.link);
  const text = told.toString();
  return `${job.path}${path && "/"}${path}${text && "?"}${text}`;
}

/** Whether a row has a file of which there is a picture. */
export function isDrawn(row) {
  return /^image\/|fits/.test(row.access_format ?? "");
}

/** Path of a result of a row. */
export function resultOf(row) {
  return `results/${encodeURIComponent(row.result_id)}`;
}

/** Rows in the order that was chosen; `total` are all there are on all pages. */
export class Ledger {
  constructor() {
    this.chosen = { sort: job.sort, status: job.status, text: job.text };
    this.total = job.isPackaged ? job.matched : job.rows.length;
    this.pages = new Map();
    this.loading = new Map();
    this.listeners = [];
    this.problem = "";
  }

  /** Have `f` called whenever something else is to be shown. */
  onchange(f) {
    this.listeners.push(f);
  }

  /** Choose rows, and their order. */
  choose(chosen) {
    this.chosen = { ...this.chosen, ...chosen };
    this.forget();
    if (!job.isPackaged) this.tell();
    return this.load(0, PAGE);
  }

  /** Read anew what is shown. */
  forget() {
    for (const control of this.loading.values()) control.abort();
    this.loading.clear();
    this.pages.clear();
  }

  /** Row of a place; undefined while it is not known. */
  at(index) {
    if (!job.isPackaged) return this.others()[index];
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  others() {
    const { status, text } = this.chosen;
    const words = text.toLowerCase();
    return job.rows.filter(
      (row) => (!status.length || status.includes(row.status)) && `${row.id} ${row.error_message}`.toLowerCase().includes(words),
    );
  }

  /** Read the rows from one place to before another, as far as they are not known; others are not wanted any more. */
  async load(first, last) {
    if (!job.isPackaged) return;
    const wanted = new Set();
    for (let page = Math.floor(first / PAGE); page * PAGE < last; page += 1) wanted.add(page);
    for (const [page, control] of this.loading) if (!wanted.has(page)) control.abort();
    const missing = [...wanted].filter((page) => !this.pages.has(page) && !this.loading.has(page));
    await Promise.all(missing.map((page) => this.fetch(page)));
  }

  /** Read again what is between two places, without anything being shown as unknown meanwhile. */
  async refresh(first, last) {
    if (!job.isPackaged) return;
    const page = Math.floor(first / PAGE);
    for (const other of this.pages.keys()) if (other < page || other * PAGE > last) this.pages.delete(other);
    for (let each = page; each * PAGE < Math.max(last, first + 1); each += 1) await this.fetch(each);
  }

  async fetch(page) {
    const control = new AbortController();
    this.loading.set(page, control);
    try {
      const query = [["FORMAT", "json"], ["COLUMNS", COLUMNS], ["OFFSET", page * PAGE], ["LIMIT", PAGE]];
      if (this.chosen.sort) query.push(["SORT", this.chosen.sort]);
      if (this.chosen.text) query.push(["TEXT", this.chosen.text]);
      for (const status of this.chosen.status) query.push(["STATUS", status]);
      const answer = await request(below("ledger", query), { signal: control.signal });
      const told = await answer.json();
      told.by?.forEach((value, place) => (told.rows[place].by = value));
      this.pages.delete(page);
      this.pages.set(page, told.rows);
      while (this.pages.size > KEPT_PAGES) this.pages.delete(this.pages.keys().next().value);
      this.total = told.matched;
      this.problem = "";
      this.tell();
    } catch (fault) {
      if (fault.name === "AbortError") return;
      this.problem = [fault.message, fault.fix].filter(Boolean).join(" ");
      this.tell();
    } finally {
      if (this.loading.get(page) === control) this.loading.delete(page);
    }
  }

  tell() {
    if (!job.isPackaged) this.total = this.others().length;
    for (const listener of this.listeners) listener();
  }
}

/* The rows of a job as a table, a page at a time; its head sorts. */

import { bytes, count, decimal, el, path, t } from "./base.js";
import { statusOf } from "./gallery.js";
import { below, PAGE, resultOf } from "./ledger.js";

export class RowsTable {
  /**
   * @param {HTMLElement} section which has the table as it was without scripts
   * @param {import("./ledger.js").Ledger} ledger
   * @param {function(number): void} open is told the place of a row that is to be looked at
   * @param {function(string): void} sort is told a column by which rows are to be sorted
   */
  constructor(section, ledger, open, sort) {
    this.ledger = ledger;
    this.open = open;
    this.first = 0;
    this.table = section.querySelector("table");
    if (!this.table) {
      section.querySelector(".nothing")?.remove();
      section.append(el("div", { class: "scroll", attrs: { tabindex: "0", role: "region", "aria-label": t("Table") } }, (this.table = blank())));
    }
    this.body = this.table.tBodies[0];
    section.querySelector(".pages")?.remove();
    this.said = el("span", { class: "muted", attrs: { "aria-live": "polite" } });
    this.back = el("button", { class: "button small", text: t("Previous"), attrs: { type: "button" }, on: { click: () => this.go(this.first - PAGE) } });
    this.next = el("button", { class: "button small", text: t("Next"), attrs: { type: "button" }, on: { click: () => this.go(this.first + PAGE) } });
    section.append(el("nav", { class: "pages", attrs: { "aria-label": t("Pages") } }, this.back, this.said, this.next));
    for (const head of this.table.querySelectorAll("thead th[data-column]")) {
      const { column } = head.dataset;
      head.replaceChildren(el("button", { text: head.textContent, attrs: { type: "button" }, on: { click: () => sort(column) } }));
    }
    ledger.onchange(() => this.render());
    this.isShown = false;
  }

  go(first) {
    this.first = Math.max(0, Math.min(first, this.ledger.total - 1));
    this.show();
    this.table.scrollIntoView({ block: "start" });
  }

  /** Show what is to be shown now; what is not known yet is read. */
  show() {
    this.isShown = true;
    if (this.first >= this.ledger.total) this.first = 0;
    this.render();
    this.ledger.load(this.first, Math.min(this.first + PAGE, this.ledger.total));
  }

  refresh() {
    return this.isShown ? this.ledger.refresh(this.first, this.first + PAGE) : undefined;
  }

  render() {
    if (!this.isShown) return;
    const { ledger, first } = this;
    const last = Math.min(first + PAGE, ledger.total);
    for (const head of this.table.querySelectorAll("thead th[data-column]")) {
      const [, column, order] = /^(.*?)(,desc)?$/.exec(ledger.chosen.sort);
      if (column === head.dataset.column) head.setAttribute("aria-sort", order ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    const rows = [];
    for (let place = first; place < last; place += 1) {
      const row = ledger.at(place);
      if (row) rows.push(this.line(row, place));
    }
    if (rows.length || !ledger.total) this.body.replaceChildren(...rows);
    this.said.textContent = ledger.total ? t("{first} to {last} of {all}", { first: count(first + 1), last: count(last), all: count(ledger.total) }) : t("No row is like this.");
    this.back.disabled = first === 0;
    this.next.disabled = last >= ledger.total;
  }

  line(row, place) {
    const number = (value, digits) => (typeof value === "number" ? value.toFixed(digits) : "");
    const name = el("button", { class: "link", text: row.id ?? row.result_id, attrs: { type: "button" }, on: { click: () => this.open(place) } });
    const file = row.access_format
      ? [el("a", { text: row.name ?? row.result_id, attrs: { href: path(below(resultOf(row))), download: true } }), el("span", { class: "sha muted", text: `${(row.sha256 ?? "").slice(0, 12)}…`, attrs: { title: `SHA-256 ${row.sha256}` } })]
      : [el("span", { class: "why", text: row.error_message ?? "" })];
    const cell = (text, how = "") => el("td", { class: how, text });
    return el("tr", {},
      cell(row.row ? count(row.row) : ""),
      el("th", { attrs: { scope: "row" } }, name),
      el("td", {}, statusOf(row)),
      cell(number(row.ra, 6), "end"),
      cell(typeof row.dec === "number" && row.dec >= 0 ? `+${number(row.dec, 6)}` : number(row.dec, 6), "end"),
      cell(row.band ?? ""),
      cell(typeof row.frac_valid === "number" ? `${decimal(100 * row.frac_valid)} %` : "", "end"),
      cell(row.access_format ? bytes(row.bytes ?? 0) : "", "end"),
      el("td", { class: "file" }, ...file));
  }
}

function blank() {
  const columns = [["row", t("Row")], ["id", t("Name")], ["status", t("Status")], ["ra", t("RA")], ["dec", t("Dec")], ["band", t("Band")], ["frac_valid", t("With data")], ["bytes", t("Size")], ["", t("File, or why there is none")]];
  const ends = ["ra", "dec", "frac_valid", "bytes"];
  const heads = columns.map(([column, text]) => el("th", { text, class: ends.includes(column) ? "end" : "", attrs: { scope: "col", "data-column": column || null } }));
  return el("table", { class: "rows" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody"));
}

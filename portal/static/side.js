/* One row of a job beside the page: its picture, what is known of it, its header. */

import { bytes, copyButton, count, data, debounce, decimal, duration, el, path, request, t } from "./base.js";
import { pictureOf, statusOf } from "./gallery.js";
import { below, isDrawn, resultOf } from "./ledger.js";

const LARGE = 768;
const job = data("job");

export class Side {
  /**
   * @param {HTMLDialogElement} dialog
   * @param {import("./ledger.js").Ledger} ledger
   * @param {function(number): void} moved is told when another row is looked at
   */
  constructor(dialog, ledger, moved) {
    this.dialog = dialog;
    this.ledger = ledger;
    this.moved = moved;
    this.stretch = "";
    this.index = 0;
    this.title = el("h2", { attrs: { id: "side-title" } });
    this.body = el("div", { class: "side-body" });
    const step = (by, sign, label) =>
      el("button", { class: "button small", text: sign, attrs: { type: "button", "aria-label": label }, on: { click: () => this.go(this.index + by) } });
    this.back = step(-1, "‹", t("Row before"));
    this.next = step(1, "›", t("Next row"));
    const close = el("button", { class: "button small", text: "✕", attrs: { type: "button", "aria-label": t("Close") }, on: { click: () => dialog.close() } });
    dialog.append(el("div", { class: "side-head" }, this.title, this.back, this.next, close), this.body);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("keydown", (event) => {
      if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "ArrowLeft") this.go(this.index - 1);
      if (event.key === "ArrowRight") this.go(this.index + 1);
    });
  }

  /** Look at the row of a place. */
  async show(index) {
    this.index = index;
    if (!this.dialog.open) this.dialog.showModal();
    if (!this.ledger.at(index)) await this.ledger.load(index, index + 1);
    const row = this.ledger.at(index);
    if (row && this.index === index) this.draw(row);
  }

  go(index) {
    if (index < 0 || index >= this.ledger.total) return;
    this.moved(index);
    this.show(index);
  }

  draw(row) {
    const name = row.id ?? row.result_id;
    this.title.textContent = name;
    this.title.title = name;
    this.back.disabled = this.index === 0;
    this.next.disabled = this.index + 1 >= this.ledger.total;
    const parts = [];
    if (row.error_message) {
      const isBad = row.status === "failed" || row.status === "poison";
      parts.push(el("p", { class: isBad ? "box error" : "box", text: row.error_message }));
    }
    if (isDrawn(row)) parts.push(this.view(row));
    parts.push(this.acts(row), facts(row));
    if (/fits/.test(row.access_format ?? "")) parts.push(header(row));
    this.body.replaceChildren(...parts);
    this.dialog.scrollTop = 0;
  }

  view(row) {
    const image = el("img", { attrs: { alt: t("Cutout of {name}", { name: row.id ?? row.result_id }), src: pictureOf(row, LARGE, this.stretch) } });
    image.addEventListener("error", () => image.replaceWith(el("p", { class: "muted", text: t("No picture.") })));
    this.image = image;
    return el("div", { class: "side-view" }, image);
  }

  acts(row) {
    const acts = el("div", { class: "side-acts" });
    if (row.access_format) {
      const address = path(below(resultOf(row)));
      acts.append(el("a", { class: "button small primary", text: t("Download ({size})", { size: bytes(row.bytes ?? 0) }), attrs: { href: address, download: true } }));
      const copy = copyButton(() => new URL(address, location.href).href);
      copy.classList.remove("copy");
      copy.setAttribute("aria-label", t("Copy the address of the file"));
      acts.append(copy);
    }
    const again = againOf(row);
    if (again) acts.append(el("a", { class: "button small", text: t("Cut again …"), attrs: { href: again } }));
    if (/fits/.test(row.access_format ?? "")) {
      const words = { asinh: t("asinh"), linear: t("linear"), sqrt: t("square root"), log: t("logarithm") };
      const select = el("select", { attrs: { "aria-label": t("Brightness") } }, ...Object.entries(words).map(([value, text]) => el("option", { text, attrs: { value, selected: value === this.stretch } })));
      select.addEventListener("change", () => {
        this.stretch = select.value === "asinh" ? "" : select.value;
        this.image.src = pictureOf(row, LARGE, this.stretch);
      });
      acts.append(select);
    }
    return acts;
  }
}

/** Identifiers of stamps of alerts, which the explorer does not show. */
const STAMP = /\?[^/]+\/(alert|object)\//i;

/** Where the explorer shows the same place; "" if it does not. */
function againOf(row) {
  if (!row.survey || row.ra === null || row.ra === undefined || STAMP.test(row.obs_publisher_did ?? "")) return "";
  const query = { survey: row.survey, at: `${row.ra} ${row.dec}`, shape: "box" };
  if (row.band) query.bands = row.band;
  if (row.requested_w) query.size = row.requested_w === row.requested_h ? `${row.requested_w}px` : `${row.requested_w}px ${row.requested_h}px`;
  if (row.format && row.format !== "fits") query.format = row.format;
  return `${job.explore}?${new URLSearchParams(query)}`;
}

function facts(row) {
  const list = el("dl", { class: "facts" });
  const add = (name, ...value) => value.some((one) => one !== "" && one !== null && one !== undefined) && list.append(el("dt", { text: name }), el("dd", {}, ...value));
  add(t("Status"), statusOf(row));
  add(t("Row"), row.row ? count(row.row) : "");
  if (typeof row.by === "number" || typeof row.by === "string") add(t("Sorted by"), String(row.by));
  if (typeof row.ra === "number") add(t("Position"), `${row.ra.toFixed(6)} ${row.dec >= 0 ? "+" : ""}${row.dec.toFixed(6)}`);
  add(t("Survey"), [row.survey, row.band].filter(Boolean).join(" "));
  if (row.naxis1) add(t("Pixels"), `${count(row.naxis1)} × ${count(row.naxis2)}${row.pixel_scale ? ` · ${decimal(row.pixel_scale)}″` : ""}`);
  if (typeof row.frac_valid === "number") add(t("With data"), `${decimal(100 * row.frac_valid)} %`);
  add(t("Remarks"), [row.clipped && t("reaches beyond the data"), row.resampled && t("interpolated")].filter(Boolean).join(", "));
  add(t("Recipe"), row.recipe ?? "");
  add(t("Made of"), row.source_datasets ?? "");
  add(t("File"), row.access_format ? (row.name ?? "") : "");
  if (row.sha256) add("SHA-256", el("code", { text: row.sha256 }));
  if (row.seconds) add(t("Took"), duration(row.seconds));
  if (row.attempts > 1) add(t("Attempts"), count(row.attempts));
  return list;
}

/** The cards of a FITS file, which can be searched. */
function header(row) {
  const place = el("div", {}, el("p", { class: "muted", text: t("Reading …") }));
  const details = el("details", { attrs: { open: true } }, el("summary", { text: t("Header") }), place);
  request(below(`${resultOf(row)}/header`))
    .then((answer) => answer.json())
    .then((told) => place.replaceChildren(...cards(told)))
    .catch((fault) => place.replaceChildren(el("p", { class: "muted", text: fault.message })));
  return details;
}

function cards(told) {
  const search = el("input", { attrs: { type: "search", placeholder: t("Search the header"), "aria-label": t("Search the header") } });
  const bodies = told.hdus.map((hdu) => {
    const name = [`HDU ${hdu.number}`, hdu.name, hdu.shape.join(" × ")].filter(Boolean).join(" · ");
    const rows = hdu.cards.map((card) => {
      const value = card.value === null ? "" : card.value === true ? "T" : card.value === false ? "F" : String(card.value);
      const line = el("tr", {}, el("th", { text: card.keyword, attrs: { scope: "row" } }), el("td", { text: value }), el("td", { class: "muted", text: card.comment }));
      line.words = `${card.keyword} ${value} ${card.comment}`.toLowerCase();
      return line;
    });
    return el("tbody", {}, el("tr", { class: "hdu" }, el("th", { text: name, attrs: { colspan: 3, scope: "rowgroup" } })), ...rows);
  });
  search.addEventListener("input", debounce(80, () => {
    const words = search.value.toLowerCase();
    for (const body of bodies) {
      let found = 0;
      for (const line of body.rows) {
        if (line.words === undefined) continue;
        line.hidden = !line.words.includes(words);
        found += !line.hidden;
      }
      body.hidden = !found;
    }
  }));
  const more = told.more ? [el("p", { class: "muted", text: t("The header goes on; the file has all of it.") })] : [];
  return [search, el("table", { class: "cards", attrs: { "aria-label": t("Header") } }, ...bodies), ...more];
}

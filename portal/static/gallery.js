/* A grid of pictures of which only those in sight are elements: as smooth with a hundred thousand rows as with
   ten. It is one stop of the Tab key; arrows move in it, and Enter opens what is marked. */

import { count, data, el, path, t, tn } from "./base.js";
import { below, isDrawn, resultOf } from "./ledger.js";

const GAP = 10;
/** Rows of the grid that are there above and below those in sight. */
const BEYOND = 2;
const CAPTION = 38;
/** Pictures are fetched when the grid has moved no further than this in so many milliseconds. */
const CALM_MS = 90;
const SIZES = { least: 64, most: 320, usual: 140 };
const KEPT = "fountain-tile-size";
const SIGNS = { ok: "✓", done: "✓", clipped: "◪", no_overlap: "○", empty: "○", no_rights: "⊘", failed: "✕", poison: "✕" };

const job = data("job");
const loaded = new Set();

/** Word for what became of a row, with its sign. */
export function statusOf(row) {
  const word = job.words[row.status] ?? row.status;
  return el("span", { class: `status ${row.status}` }, el("span", { text: SIGNS[row.status] ?? "·", attrs: { "aria-hidden": "true" } }), ` ${word}`);
}

/** A picture of a row, as large as is wanted. */
export function pictureOf(row, side, stretch = "") {
  return path(below(`${resultOf(row)}/thumbnail`, stretch ? { SIZE: side, STRETCH: stretch } : { SIZE: side }));
}

export class Gallery {
  /**
   * @param {HTMLElement} place in which the grid is put
   * @param {import("./ledger.js").Ledger} ledger
   * @param {function(number): void} open is told the place of a row that is to be looked at
   */
  constructor(place, ledger, open) {
    this.ledger = ledger;
    this.open = open;
    this.tiles = [];
    this.active = 0;
    this.size = kept();
    this.stretch = "";
    this.held = false;
    this.room = el("div", { class: "grid-room", attrs: { role: "presentation" } });
    this.grid = el("div", {
      class: "grid",
      attrs: { role: "listbox", tabindex: "0", "aria-label": t("Rows as pictures: arrow keys move, Enter opens") },
      on: {
        scroll: () => this.scrolled(),
        keydown: (event) => this.pressed(event),
        click: (event) => this.clicked(event),
        focus: () => this.render(),
        blur: () => this.render(),
        pointerenter: () => (this.held = true),
        pointerleave: () => (this.held = false),
      },
    }, this.room);
    this.none = el("p", { class: "nothing", attrs: { hidden: true } });
    this.shown = el("span", { class: "count", attrs: { "aria-live": "polite" } });
    this.controls = this.bar();
    place.append(this.controls, this.none, this.grid);
    new ResizeObserver(() => this.arrange()).observe(this.grid);
    ledger.onchange(() => this.arrange());
  }

  bar() {
    const slider = el("input", {
      attrs: { type: "range", min: SIZES.least, max: SIZES.most, step: 4, value: this.size },
      on: {
        input: () => {
          this.size = Number(slider.value);
          keep(this.size);
          this.arrange();
        },
      },
    });
    const words = { asinh: t("asinh"), linear: t("linear"), sqrt: t("square root"), log: t("logarithm") };
    const stretch = el("select", {
      on: {
        change: () => {
          this.stretch = stretch.value === "asinh" ? "" : stretch.value;
          for (const tile of this.tiles) tile.shows = null;
          this.render();
        },
      },
    }, ...Object.entries(words).map(([value, text]) => el("option", { text, attrs: { value } })));
    return el("div", { class: "grid-bar" }, this.shown,
      el("label", {}, t("Brightness"), stretch),
      el("label", {}, t("Size"), slider));
  }

  /** Places from the first to after the last of those in sight. */
  inSight() {
    const rows = [Math.floor(this.grid.scrollTop / this.step), Math.ceil((this.grid.scrollTop + this.grid.clientHeight) / this.step)];
    return rows.map((row) => Math.min(row * this.columns, this.ledger.total));
  }

  /** Lay out the grid anew: it has another width, other rows, or pictures of another size. */
  arrange() {
    const { total, problem } = this.ledger;
    this.none.hidden = total > 0 && !problem;
    this.grid.hidden = total === 0;
    const { status, text } = this.ledger.chosen;
    const isAll = !status.length && !text;
    this.controls.hidden = total === 0 && isAll;
    this.none.textContent = problem || (!isAll ? t("No row is like this.") : job.isActive ? t("Nothing has come of it yet.") : t("Nothing has come of it."));
    this.shown.textContent = tn("{n} row", "{n} rows", total);
    const width = this.grid.clientWidth;
    if (!width || !total) return;
    const first = this.columns ? Math.floor(this.grid.scrollTop / this.step) * this.columns : 0;
    const was = this.columns;
    this.columns = Math.max(1, Math.floor((width + GAP) / (this.size + GAP)));
    this.side = Math.floor((width - GAP * (this.columns - 1)) / this.columns);
    this.caption = this.side >= 88 ? CAPTION : 0;
    this.step = this.side + this.caption + GAP;
    const rows = Math.ceil(total / this.columns);
    this.room.style.setProperty("height", `${rows * this.step - GAP}px`);
    this.grid.style.setProperty("height", rows * this.step < this.most() ? `${Math.max(rows * this.step, 120)}px` : "");
    if (was && was !== this.columns) this.grid.scrollTop = Math.floor(first / this.columns) * this.step;
    this.active = Math.min(this.active, total - 1);
    this.pool();
    this.render();
  }

  most() {
    return Math.min(0.72 * innerHeight, 896);
  }

  /** Have as many tiles as may be in sight, and some beyond; each shows one place after the other. */
  pool() {
    const rows = Math.ceil(this.grid.clientHeight / this.step) + 1 + 2 * BEYOND;
    const wanted = Math.min(rows * this.columns, this.ledger.total);
    while (this.tiles.length > wanted) this.tiles.pop().box.remove();
    while (this.tiles.length < wanted) {
      const tile = new Tile(this.tiles.length);
      this.tiles.push(tile);
      this.room.append(tile.box);
    }
    for (const tile of this.tiles) tile.shape(this.side, this.caption);
  }

  scrolled() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.render();
    });
  }

  render() {
    if (!this.columns || !this.tiles.length) return;
    const { ledger, tiles, columns } = this;
    const [first, last] = this.inSight();
    const start = Math.max(0, Math.min(first - BEYOND * columns, ledger.total - tiles.length));
    const isCalm = this.calm();
    for (let place = start; place < start + tiles.length; place += 1) {
      const tile = tiles[place % tiles.length];
      tile.place(place, (place % columns) * (this.side + GAP), Math.floor(place / columns) * this.step, ledger.total);
      tile.show(ledger.at(place), isCalm, this.stretch);
      tile.mark(place === this.active && document.activeElement === this.grid);
    }
    const marked = tiles[this.active % tiles.length];
    if (marked?.index === this.active) this.grid.setAttribute("aria-activedescendant", marked.box.id);
    else this.grid.removeAttribute("aria-activedescendant");
    if (isCalm && last > first) ledger.load(Math.max(0, first - columns), Math.min(last + columns, ledger.total));
  }

  /** Whether it moves slowly enough for pictures to be fetched; if not, it is looked again in a moment. */
  calm() {
    const now = performance.now();
    const moved = Math.abs(this.grid.scrollTop - (this.last?.top ?? 0));
    const isFast = this.last && now - this.last.at < CALM_MS && moved > this.grid.clientHeight / 4;
    if (!this.last || now - this.last.at >= CALM_MS) this.last = { at: now, top: this.grid.scrollTop };
    clearTimeout(this.again);
    if (isFast) this.again = setTimeout(() => this.render(), CALM_MS + 10);
    return !isFast;
  }

  pressed(event) {
    const page = Math.max(1, Math.floor(this.grid.clientHeight / this.step)) * this.columns;
    const moves = {
      ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns,
      PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity,
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) {
      this.go(Math.max(0, Math.min(this.ledger.total - 1, this.active + moves[event.key])));
    } else if (event.key === "Enter" || event.key === " ") {
      this.open(this.active);
    } else {
      return;
    }
    event.preventDefault();
  }

  /** Mark a place, and have it in sight. */
  go(place) {
    this.active = place;
    const top = Math.floor(place / this.columns) * this.step;
    const { scrollTop, clientHeight } = this.grid;
    if (top < scrollTop) this.grid.scrollTop = top;
    else if (top + this.step > scrollTop + clientHeight) this.grid.scrollTop = top + this.step - clientHeight;
    this.render();
  }

  clicked(event) {
    const box = event.target.closest(".tile");
    const tile = this.tiles.find((one) => one.box === box);
    if (!tile) return;
    this.active = tile.index;
    this.render();
    this.open(tile.index);
  }

  /** Read again what is in sight, unless somebody is about to point at something there. */
  refresh() {
    if (!this.columns) return this.ledger.refresh(0, 1);
    if (this.held && this.ledger.total > this.tiles.length) return undefined;
    const [first, last] = this.inSight();
    return this.ledger.refresh(first, last);
  }
}

/** An element that shows one row after the other. */
class Tile {
  constructor(number) {
    this.index = -1;
    this.shows = null;
    this.name = "";
    this.image = el("img", { attrs: { alt: "", decoding: "async", hidden: true }, on: {
      load: () => {
        loaded.add(this.address);
        this.image.hidden = false;
      },
      error: () => this.missing(),
    } });
    this.reason = el("span");
    this.picture = el("span", { class: "picture" }, this.image, this.reason);
    this.caption = el("span", { class: "caption" });
    this.under = el("span", { class: "under" });
    this.box = el("div", { class: "tile", attrs: { role: "option", id: `tile-${number}`, "aria-selected": "false" } }, this.picture, this.caption, this.under);
  }

  shape(side, caption) {
    this.side = side;
    this.box.style.setProperty("width", `${side}px`);
    this.box.style.setProperty("height", `${side + caption}px`);
    this.picture.style.setProperty("height", `${side}px`);
    this.caption.hidden = this.under.hidden = !caption;
    this.label();
  }

  place(index, x, y, total) {
    this.box.style.setProperty("transform", `translate(${x}px, ${y}px)`);
    if (this.index === index) return;
    this.index = index;
    this.box.setAttribute("aria-posinset", index + 1);
    this.box.setAttribute("aria-setsize", total);
  }

  show(row, isCalm, stretch) {
    if (!row) return this.clear();
    const side = this.side * devicePixelRatio > 170 ? 256 : 128;
    const key = `${row.result_id} ${row.status} ${side} ${stretch} ${row.by ?? ""}`;
    if (this.shows === key && !this.waits) return;
    const address = isDrawn(row) ? pictureOf(row, side, stretch) : "";
    if (this.shows !== key) this.words(row);
    this.shows = key;
    this.waits = Boolean(address) && !isCalm && !loaded.has(address);
    if (address !== this.address || this.waits) {
      this.image.hidden = true;
      this.image.removeAttribute("src");
      this.address = "";
    }
    if (address && !this.waits && this.address !== address) {
      this.address = address;
      this.image.src = address;
      if (this.image.complete && this.image.naturalWidth) this.image.hidden = false;
    }
  }

  words(row) {
    const isBad = row.status === "failed" || row.status === "poison";
    this.box.className = `tile ${row.status}`;
    this.picture.classList.toggle("reason", !isDrawn(row));
    this.reason.textContent = isDrawn(row) ? "" : isBad ? row.error_message : (job.words[row.status] ?? row.status);
    const name = row.id ?? row.result_id;
    this.caption.textContent = name;
    this.box.title = name;
    const value = row.by === undefined || row.by === null ? "" : typeof row.by === "number" ? String(Number(row.by.toPrecision(6))) : String(row.by);
    this.under.replaceChildren(statusOf(row), el("span", { class: "value", text: value }));
    this.name = `${name} ${job.words[row.status] ?? row.status} ${value}`.trim();
    this.label();
  }

  /** A tile that has no room for words has them nevertheless. */
  label() {
    if (this.caption.hidden) this.box.setAttribute("aria-label", this.name);
    else this.box.removeAttribute("aria-label");
  }

  missing() {
    this.image.hidden = true;
    this.reason.textContent = t("No picture.");
  }

  clear() {
    if (this.shows === "") return;
    this.shows = "";
    this.waits = false;
    this.address = "";
    this.image.hidden = true;
    this.image.removeAttribute("src");
    this.box.className = "tile";
    this.picture.classList.remove("reason");
    this.reason.textContent = "";
    this.under.replaceChildren();
    this.name = t("Row {n}", { n: count(this.index + 1) });
    this.caption.textContent = this.name;
    this.label();
  }

  mark(isActive) {
    this.box.classList.toggle("active", isActive);
    this.box.setAttribute("aria-selected", String(isActive));
  }
}

function kept() {
  try {
    const size = Number(localStorage.getItem(KEPT));
    if (size >= SIZES.least && size <= SIZES.most) return size;
  } catch {
    // Nothing may be kept.
  }
  return innerWidth < 500 ? 96 : SIZES.usual;
}

function keep(size) {
  try {
    localStorage.setItem(KEPT, String(size));
  } catch {
    // It has the usual size next time.
  }
}

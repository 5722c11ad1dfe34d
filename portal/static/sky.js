/* The sky: a view, the region drawn over it, and the bar of tools above. The view is a picture of the service, or
   Aladin Lite where it is there and the browser can show it. */

import { ServiceError, debounce, decimal, el, request, t } from "./base.js";
import { outline } from "./geometry.js";
import { AladinView, canShowAladin } from "./sky-aladin.js";
import { PictureView } from "./sky-picture.js";
import { Stencil, svg } from "./stencil.js";

const TILES_MS = 300;
const MOST_TILES = 600;
const ROUND = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 72000];
const ICONS = {
  circle: "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16Z",
  box: "M4 5h16v14H4Z",
  polygon: "M12 3l9 7l-4 10H6L3 9Z",
  "": "M12 3v18M3 12h18M12 3l-2.5 2.5M12 3l2.5 2.5M12 21l-2.5-2.5M12 21l2.5-2.5M3 12l2.5-2.5M3 12l2.5 2.5M21 12l-2.5-2.5M21 12l-2.5 2.5",
};

export class Sky {
  /**
   * @param {HTMLElement} root
   * @param {string} viewer path of the script of Aladin Lite, "" if it is not there
   * @param {function(import("./geometry.js").Region, boolean): void} changed
   */
  constructor(root, viewer, changed) {
    this.viewer = viewer;
    this.stencil = new Stencil({ changed, mode: (shape) => this.#pressed(shape) });
    this.tiles = svg("g", { class: "tiles" });
    this.bar = svg("g", { class: "scalebar" });
    this.stencil.marks.append(this.tiles, this.bar);
    this.readout = el("output", { class: "readout", attrs: { "aria-hidden": "true" } });
    this.stage = el("div", { class: "stage" }, this.stencil.element, this.readout);
    root.append(this.#tools(), this.stage);
    root.hidden = false;
    this.outlines = [];
    this.fetchTiles = debounce(TILES_MS, () => this.#fetchTiles());
    this.stage.addEventListener("pointermove", (event) => this.#read(event));
    this.stage.addEventListener("pointerleave", () => (this.readout.textContent = ""));
    // What is turned over the region is meant for the view beneath it.
    this.stencil.element.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.view?.zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15);
    }, { passive: false });
  }

  /**
   * Show a region of a survey, and look at it where it is not in view.
   * @param {import("./geometry.js").Region|null} region
   * @param {{survey: any, source: string, pixel: number, start: number[]|null}} what where to look first without one
   */
  async show(region, what) {
    this.what = what;
    if (!this.view) await this.#choose(this.#canBeAladin() && kept() !== "picture" ? "aladin" : "picture", region);
    this.view.show(what.survey, what.source);
    this.stencil.show(region, what.pixel);
    if (region && !this.stencil.held && !this.#isInView(region)) this.fit();
  }

  /** Look at the whole region. */
  fit() {
    const { region } = this.stencil;
    if (!region || !this.view) return;
    const aspect = this.stage.clientWidth / Math.max(1, this.stage.clientHeight);
    this.view.look([region.ra, region.dec], 2.2 * Math.max(region.width, region.height * aspect, 4 * this.stencil.pixel));
  }

  #canBeAladin() {
    return Boolean(this.viewer && this.what?.survey?.shown && canShowAladin());
  }

  async #choose(kind, region = this.stencil.region) {
    const before = this.view;
    const told = { moved: () => this.#moved() };
    let view;
    try {
      view = kind === "aladin" ? await AladinView.open(this.viewer, this.what.survey, told, this.stage) : new PictureView(told);
    } catch (fault) {
      console.warn(fault);
      view = new PictureView(told);
    }
    before?.remove();
    if (view.kind === "picture") this.stage.prepend(view.element);
    this.view = view;
    this.stencil.use(view);
    this.ways.hidden = !this.#canBeAladin();
    this.ways.textContent = view.kind === "aladin" ? t("Plain view") : t("Aladin Lite");
    view.show(this.what.survey, this.what.source);
    if (before) view.look(before.center, before.fov);
    else if (region) {
      this.stencil.show(region, this.what.pixel);
      this.fit();
    } else if (this.what.start) view.look(this.what.start);
  }

  #tools() {
    const tool = (icon, text, press) => {
      const drawn = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[icon] }));
      return el("button", { class: "tool", attrs: { type: "button", title: text, "aria-label": text, "aria-pressed": "false" }, on: { click: press } }, drawn);
    };
    const word = (text, title, press) =>
      el("button", { class: "tool word", text, attrs: { type: "button", title, "aria-label": text.length === 1 && title }, on: { click: press } });
    this.modes = {
      "": tool("", t("Move the sky (Esc)"), () => this.stencil.start("")),
      circle: tool("circle", t("Draw a circle (C)"), () => this.stencil.start("circle")),
      box: tool("box", t("Draw a box (B)"), () => this.stencil.start("box")),
      polygon: tool("polygon", t("Draw a polygon (P)"), () => this.stencil.start("polygon")),
    };
    this.grid = el("input", { attrs: { type: "checkbox" }, on: { change: () => this.#fetchTiles() } });
    this.ways = word("", t("Another view"), () => {
      const next = this.view.kind === "aladin" ? "picture" : "aladin";
      keep(next);
      this.#choose(next);
    });
    this.ways.hidden = true;
    this.#pressed("");
    return el(
      "div",
      { class: "tools", attrs: { role: "toolbar", "aria-label": t("Sky") } },
      ...Object.values(this.modes),
      el("span", { class: "gap" }),
      word("+", t("Closer"), () => this.view.zoom(1 / 1.5)),
      word("−", t("Farther"), () => this.view.zoom(1.5)),
      word(t("Fit"), t("Look at the whole region"), () => this.fit()),
      el("label", { class: "check" }, this.grid, t("Tiles")),
      this.ways,
    );
  }

  #pressed(shape) {
    for (const [name, button] of Object.entries(this.modes)) button.setAttribute("aria-pressed", String(name === shape));
  }

  #isInView(region) {
    const at = this.view.toPixel(region.ra, region.dec);
    if (!at) return false;
    const [w, h] = [this.stage.clientWidth, this.stage.clientHeight];
    return at[0] > 0 && at[0] < w && at[1] > 0 && at[1] < h;
  }

  #moved() {
    this.stencil.draw();
    this.#drawTiles();
    this.#drawBar();
    if (this.grid.checked) this.fetchTiles();
  }

  #read(event) {
    const box = this.stage.getBoundingClientRect();
    const sky = this.view?.toSky(event.clientX - box.left, event.clientY - box.top);
    this.readout.textContent = sky ? `${sky[0].toFixed(5)} ${sky[1] < 0 ? "−" : "+"}${Math.abs(sky[1]).toFixed(5)}` : "";
  }

  /** Outlines of the images round about, from the service's list of images. */
  async #fetchTiles() {
    if (!this.grid.checked) {
      this.outlines = [];
      this.#drawTiles();
      return;
    }
    this.listing?.abort();
    this.listing = new AbortController();
    const [ra, dec] = this.view.center;
    const radius = Math.min(10, this.view.fov * 0.75);
    const query = new URLSearchParams({
      POS: `CIRCLE ${ra.toFixed(5)} ${dec.toFixed(5)} ${radius.toFixed(5)}`,
      MAXREC: String(MOST_TILES),
      RESPONSEFORMAT: "json",
    });
    try {
      const answer = await request(`/query?${query}`, { signal: this.listing.signal });
      this.outlines = outlinesOf(await answer.json(), `?${this.what.survey.name}/`);
      this.#drawTiles();
    } catch (fault) {
      if (fault instanceof ServiceError) this.outlines = [];
      else if (fault.name !== "AbortError") throw fault;
    }
  }

  #drawTiles() {
    const drawn = this.outlines.map((corners) => corners.map(([ra, dec]) => this.view.toPixel(ra, dec)));
    const paths = drawn.filter((places) => places.every(Boolean)).map((places) => `M${places.join("L")}Z`);
    this.tiles.replaceChildren(svg("path", { d: paths.join("") }));
  }

  #drawBar() {
    const [w, h] = [this.stage.clientWidth, this.stage.clientHeight];
    const most = (this.view.fov * 3600) / 4;
    const length = ROUND.findLast((angle) => angle <= most) ?? Number(most.toPrecision(1));
    const px = (length / 3600 / this.view.fov) * w;
    const text = length < 60 ? `${decimal(length)}″` : length < 3600 ? `${decimal(length / 60)}′` : `${decimal(length / 3600)}°`;
    const label = svg("text", { x: 16 + px / 2, y: h - 20, "text-anchor": "middle" });
    label.textContent = text;
    this.bar.replaceChildren(svg("path", { d: `M16 ${h - 16}v4h${px}v-4` }), label);
  }
}

/** The region of a document of the explorer. */
export function regionOf(found) {
  if (!found.place) return null;
  const [ra, dec] = found.place;
  if (found.shape !== "polygon") {
    if (!found.extent) return null;
    return { shape: found.shape, ra, dec, width: found.extent[0], height: found.extent[1], points: [] };
  }
  const numbers = found.points.split(" ").map(Number);
  const points = numbers.flatMap((number, i) => (i % 2 ? [] : [[number, numbers[i + 1]]]));
  const region = { shape: "polygon", ra, dec, width: 0, height: 0, points };
  const places = outline(region);
  const span = Math.max(...places.map((place) => place[1])) - Math.min(...places.map((place) => place[1]));
  return { ...region, width: span || 0.01, height: span || 0.01 };
}

/** Outlines of the images of a survey, each once, in what ``/query`` answers. */
function outlinesOf(told, survey) {
  const column = (name) => told.fields.findIndex((field) => field.name === name);
  const [did, region] = [column("obs_publisher_did"), column("s_region")];
  const texts = told.rows.filter((row) => row[did]?.includes(survey)).map((row) => row[region]);
  return [...new Set(texts)].filter(Boolean).map((text) => {
    const numbers = text.match(/-?[\d.]+(?:e[+-]?\d+)?/gi)?.map(Number) ?? [];
    return numbers.flatMap((number, i) => (i % 2 ? [] : [[number, numbers[i + 1]]]));
  });
}

function kept() {
  try {
    return localStorage.getItem("fountain-view");
  } catch {
    return null;
  }
}

function keep(kind) {
  try {
    localStorage.setItem("fountain-view", kind);
  } catch {
    // It is asked for again next time.
  }
}

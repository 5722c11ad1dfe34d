/* The region that is asked for, drawn over a view of the sky: it is drawn anew, moved, made larger or smaller,
   by pointer or keys. It knows no form, and nothing of what is beneath it but where places are. */

import { t } from "./base.js";
import { corners, middle, moved, outline, reshaped, separation, tangent } from "./geometry.js";

const SVG = "http://www.w3.org/2000/svg";
/** So many pixels of the screen are meant to be no movement. */
const STILL_PX = 4;
const KEYS = { c: "circle", b: "box", p: "polygon" };
const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** An element of a drawing. */
export function svg(tag, attrs = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attrs)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

export class Stencil {
  /**
   * @param {{changed: function(import("./geometry.js").Region, boolean): void, mode: function(string): void}} told
   *   `changed` is told of each change, and whether it is the last for now; `mode` what is being drawn, "" nothing
   */
  constructor(told) {
    this.told = told;
    this.region = null;
    this.pixel = 1 / 3600;
    this.drawing = "";
    this.fresh = null;
    this.marks = svg("g", { class: "marks" });
    this.body = svg("path", { class: "body" });
    this.handles = svg("g");
    this.why = svg("text", { class: "why", "text-anchor": "middle" });
    this.element = svg("svg", {
      class: "stencil",
      tabindex: 0,
      role: "group",
      "aria-label": t("The region: C circle, B box, P polygon, arrows move it by a pixel, + and - make it larger and smaller, Esc leaves off"),
    });
    this.element.append(this.marks, this.body, this.handles, this.why);
    this.element.addEventListener("pointerdown", (event) => this.#press(event));
    this.element.addEventListener("dblclick", () => this.#closePolygon());
    this.element.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Draw over another view: `toPixel(ra, dec)` and `toSky(x, y)` tell where places are. */
  use(view) {
    this.view = view;
    this.draw();
  }

  /** Show a region. While one is dragged it stays as it is. */
  show(region, pixel) {
    if (this.held) return;
    this.region = region;
    this.pixel = pixel || this.pixel;
    this.draw();
  }

  /** Say that the region cannot be had, and why; "" if it can. */
  refuse(why) {
    this.element.classList.toggle("refused", Boolean(why));
    this.why.textContent = why;
  }

  /** Begin to draw a shape; "" leaves off. */
  start(shape) {
    this.drawing = shape;
    this.fresh = null;
    this.element.classList.toggle("drawing", Boolean(shape));
    this.told.mode(shape);
    this.draw();
  }

  /** Draw all of it where it is now. */
  draw() {
    if (!this.view) return;
    const region = this.fresh ?? this.region;
    const places = region ? outline(region).map(([ra, dec]) => this.view.toPixel(ra, dec)) : [];
    const seen = places.length > 0 && places.every(Boolean);
    const isOpen = this.fresh?.shape === "polygon";
    this.body.setAttribute("d", seen ? `M${places.map(point).join("L")}${isOpen ? "" : "Z"}` : "");
    this.#drawHandles(seen && !this.fresh ? this.#places(region) : isOpen && seen ? places : []);
    if (seen) {
      const bottom = Math.max(...places.map(([, y]) => y));
      const [x] = this.view.toPixel(region.ra, region.dec) ?? places[0];
      this.why.setAttribute("x", x);
      this.why.setAttribute("y", bottom + 18);
    }
  }

  /** Where a region is held, as pixels. */
  #places(region) {
    const at = (x, y) => this.view.toPixel(...tangent(region.ra, region.dec).toSky(x, y));
    const [w, h] = [region.width / 2, region.height / 2];
    if (region.shape === "polygon") return region.points.map(([ra, dec]) => this.view.toPixel(ra, dec));
    if (region.shape === "box") return corners(w, h).map(([x, y]) => at(x, y));
    return [at(0, w), at(-w, 0), at(0, -w), at(w, 0)];
  }

  #drawHandles(places) {
    while (this.handles.childElementCount > places.length) this.handles.lastChild.remove();
    while (this.handles.childElementCount < places.length) {
      const number = this.handles.childElementCount;
      const handle = svg("circle", { class: "handle", r: 6, tabindex: 0, role: "button" });
      handle.setAttribute("aria-label", t("Handle {n}: arrows move it by a pixel", { n: number + 1 }));
      handle.number = number;
      this.handles.append(handle);
    }
    places.forEach((place, number) => {
      this.handles.children[number].setAttribute("cx", place?.[0] ?? -99);
      this.handles.children[number].setAttribute("cy", place?.[1] ?? -99);
    });
  }

  #press(event) {
    if (event.button !== 0 || !this.view) return;
    const start = this.#where(event);
    if (this.drawing) return this.#beginDrawing(event, start);
    if (!this.region) return;
    const handle = event.target.closest?.(".handle");
    if (!handle && event.target !== this.body) return;
    const before = this.region;
    this.#drag(event, (x, y) => {
      const sky = this.view.toSky(x, y);
      if (!sky) return null;
      return handle ? this.#pulled(before, handle.number, sky) : this.#carried(before, start, [x, y]);
    });
  }

  /** Follow the pointer until it is let go; `become` gives the region for a place of it. */
  #drag(event, become, done = () => {}) {
    event.preventDefault();
    event.stopPropagation();
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    this.held = true;
    const move = (moved) => {
      const region = become(...this.#where(moved));
      if (!region) return;
      this.region = region;
      this.fresh = null;
      this.draw();
      this.told.changed(region, false);
    };
    const end = () => {
      this.element.removeEventListener("pointermove", move);
      this.element.removeEventListener("pointerup", end);
      this.element.removeEventListener("pointercancel", end);
      this.held = false;
      done();
      if (this.region) this.told.changed(this.region, true);
    };
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("pointerup", end);
    this.element.addEventListener("pointercancel", end);
  }

  #beginDrawing(event, start) {
    const sky = this.view.toSky(...start);
    if (!sky) return;
    if (this.drawing === "polygon") {
      event.preventDefault();
      this.#addCorner(start, sky);
      return;
    }
    const shape = this.drawing;
    this.#drag(
      event,
      (x, y) => {
        const end = this.view.toSky(x, y);
        if (!end || Math.hypot(x - start[0], y - start[1]) < STILL_PX) return null;
        return shape === "circle" ? circleFrom(sky, end) : boxFrom(sky, end);
      },
      () => this.start(""),
    );
  }

  #addCorner(at, sky) {
    const points = this.fresh?.points ?? [];
    const first = points.length > 2 ? this.view.toPixel(...points[0]) : null;
    if (first && Math.hypot(at[0] - first[0], at[1] - first[1]) < 2.5 * STILL_PX) return this.#closePolygon();
    this.fresh = polygonOf([...points, sky]);
    this.draw();
  }

  #closePolygon() {
    if (this.drawing !== "polygon" || !this.fresh) return;
    // The second press of a double one was a corner too, at the same place.
    const points = this.fresh.points.filter(
      (place, i, all) => i === 0 || separation(place, all[i - 1]) > this.pixel / 2,
    );
    if (points.length < 3) return;
    this.region = polygonOf(points);
    this.start("");
    this.told.changed(this.region, true);
  }

  /** A region one of whose handles was put somewhere else. */
  #pulled(region, number, sky) {
    if (region.shape === "polygon") {
      return polygonOf(region.points.map((place, i) => (i === number ? sky : place)));
    }
    const [x, y] = tangent(region.ra, region.dec).toPlane(...sky) ?? [0, 0];
    if (region.shape === "circle") {
      const radius = Math.max(separation(sky, [region.ra, region.dec]), this.pixel / 2);
      return { ...region, width: 2 * radius, height: 2 * radius };
    }
    return { ...region, width: Math.max(2 * Math.abs(x), this.pixel), height: Math.max(2 * Math.abs(y), this.pixel) };
  }

  #carried(region, from, to) {
    const shift = ([ra, dec]) => {
      const at = this.view.toPixel(ra, dec);
      return at && this.view.toSky(at[0] + to[0] - from[0], at[1] + to[1] - from[1]);
    };
    const points = region.points.map(shift);
    const center = shift([region.ra, region.dec]);
    if (!center || !points.every(Boolean)) return null;
    return { ...region, ra: center[0], dec: center[1], points };
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const shape = KEYS[event.key.toLowerCase()];
    const arrow = ARROWS[event.key];
    const step = this.pixel * (event.shiftKey ? 10 : 1);
    if (shape) this.start(shape);
    else if (event.key === "Escape") this.start("");
    else if (event.key === "Enter" && this.drawing) this.#finishByKey();
    else if (arrow && this.region) this.#nudge(event.target.number, arrow[0] * step, arrow[1] * step);
    else if ("+=-".includes(event.key) && this.region) this.#grow(event.key === "-" ? -2 * step : 2 * step);
    else return;
    event.preventDefault();
  }

  /** What was begun becomes a region: a polygon of its corners, or the shape of what there is. */
  #finishByKey() {
    if (this.fresh) return this.#closePolygon();
    if (this.region) this.region = reshaped(this.region, this.drawing);
    this.start("");
    this.told.changed(this.region, true);
  }

  #nudge(handle, east, north) {
    if (handle === undefined) this.region = moved(this.region, east, north);
    else {
      const at = this.#places(this.region)[handle];
      const sky = at && this.view.toSky(...at);
      if (!sky) return;
      this.region = this.#pulled(this.region, handle, tangent(...sky).toSky(east, north));
    }
    this.draw();
    this.told.changed(this.region, true);
  }

  #grow(by) {
    const { region } = this;
    if (region.shape === "polygon") return;
    const larger = (side) => Math.max(side + by, this.pixel);
    this.region = { ...region, width: larger(region.width), height: larger(region.height) };
    this.draw();
    this.told.changed(this.region, true);
  }

  #where(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }
}

function circleFrom(center, edge) {
  const diameter = 2 * separation(center, edge);
  return { shape: "circle", ra: center[0], dec: center[1], width: diameter, height: diameter, points: [] };
}

/** A box between two corners. */
function boxFrom(corner, other) {
  const [ra, dec] = middle([corner, other]);
  const [x, y] = tangent(ra, dec).toPlane(...other) ?? [0, 0];
  return { shape: "box", ra, dec, width: 2 * Math.abs(x), height: 2 * Math.abs(y), points: [] };
}

function polygonOf(points) {
  const [ra, dec] = middle(points);
  const far = Math.max(...points.map((place) => separation(place, [ra, dec])));
  return { shape: "polygon", ra, dec, width: 2 * far, height: 2 * far, points };
}

function point([x, y]) {
  return `${x.toFixed(1)},${y.toFixed(1)}`;
}

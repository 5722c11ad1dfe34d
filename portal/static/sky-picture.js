/* A view of the sky made of one picture of the service, which is fetched anew as the view changes. */

import { el, path, t } from "./base.js";
import { separation, tangent, turned } from "./geometry.js";

const WAIT_MS = 180;
const SMALLEST_DEG = 2 / 3600;
const LARGEST_DEG = 40;
/** Pixels of pictures are as large as those of the screen, at most so many. */
const MOST_PX = 1000;

export class PictureView {
  /** @param {{moved: function(): void}} told of each movement */
  constructor(told) {
    this.told = told;
    this.kind = "picture";
    this.center = [0, 0];
    this.fov = 0.1;
    this.source = "";
    this.image = el("img", { class: "ground", attrs: { alt: "", draggable: "false" } });
    this.says = el("p", { class: "says" });
    this.element = el("div", { class: "view picture-view" }, this.image, this.says);
    this.element.addEventListener("pointerdown", (event) => this.#pan(event));
    this.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.resized = new ResizeObserver(() => this.#changed());
    this.resized.observe(this.element);
  }

  /** Forget all of it. */
  remove() {
    this.resized.disconnect();
    this.aborting?.abort();
    clearTimeout(this.waiting);
    this.element.remove();
  }

  /** Look at a place; `fov` is the width of the view. */
  look([ra, dec], fov = this.fov) {
    this.center = [turned(ra), Math.max(-90, Math.min(90, dec))];
    this.fov = Math.max(SMALLEST_DEG, Math.min(LARGEST_DEG, fov));
    this.#changed();
  }

  /** Show other pictures: what stands before CENTER in a request for one. */
  show(survey, source) {
    if (source === this.source) return;
    this.source = source;
    this.#changed();
  }

  zoom(factor) {
    this.look(this.center, this.fov * factor);
  }

  toPixel(ra, dec) {
    const at = this.#plane().toPlane(ra, dec);
    return at && [this.#width() / 2 - at[0] * this.#scale(), this.#height() / 2 - at[1] * this.#scale()];
  }

  toSky(x, y) {
    const [east, north] = [(this.#width() / 2 - x) / this.#scale(), (this.#height() / 2 - y) / this.#scale()];
    return this.#plane().toSky(east, north);
  }

  #plane() {
    return tangent(...this.center);
  }

  #width() {
    return this.element.clientWidth || 1;
  }

  #height() {
    return this.element.clientHeight || 1;
  }

  /** Pixels of a degree. */
  #scale() {
    return this.#width() / this.fov;
  }

  #changed() {
    this.says.textContent = "";
    this.#place();
    this.told.moved();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#fetch(), WAIT_MS);
  }

  /** Put the picture that there is where it belongs now. */
  #place() {
    if (!this.wcs) return;
    const { width, height } = this.wcs;
    const at = [[0, 0], [width, 0], [0, height]].map(([x, y]) => this.toPixel(...this.wcs.toSky(x, y)));
    if (!at.every(Boolean)) return;
    const [[x0, y0], [x1, y1], [x2, y2]] = at;
    const turns = [(x1 - x0) / width, (y1 - y0) / width, (x2 - x0) / height, (y2 - y0) / height];
    this.image.style.setProperty("transform", `matrix(${turns.join(",")},${x0},${y0})`);
  }

  async #fetch() {
    if (!this.source || this.#width() < 2) return;
    this.aborting?.abort();
    this.aborting = new AbortController();
    const { signal } = this.aborting;
    const [ra, dec] = this.center;
    // A little more than is seen, so that there is something when it is moved.
    const [w, h] = [this.fov * 1.3, (this.fov * 1.3 * this.#height()) / this.#width()];
    const across = Math.round(Math.min(MOST_PX, this.#width() * 1.3));
    const place = `CENTER=${ra.toFixed(6)}+${dec.toFixed(6)}&SIZE=${w.toPrecision(6)}+${h.toPrecision(6)}deg`;
    try {
      const url = `/sync?${this.source}&${place}&RESPONSEFORMAT=image/jpeg&WIDTH=${across}`;
      const answer = await fetch(path(url), { signal, headers: { Accept: "image/jpeg, application/json" } });
      if (answer.status === 204) return this.#say(t("No images here."));
      if (!answer.ok) return this.#say(t("There is no picture of so much sky: zoom in."));
      await this.#take(await answer.blob());
    } catch (fault) {
      if (fault.name !== "AbortError") this.#say(t("The service does not answer."));
    }
  }

  async #take(blob) {
    const wcs = placeOf(await blob.slice(0, 16384).text());
    if (!wcs) return;
    const url = URL.createObjectURL(blob);
    const next = new Image();
    next.src = url;
    await next.decode();
    if (this.shown) URL.revokeObjectURL(this.shown);
    this.shown = url;
    // The place is told of the whole picture; its pixels may be fewer.
    this.wcs = wcs;
    this.image.src = url;
    this.image.style.setProperty("width", `${wcs.width}px`);
    this.image.style.setProperty("height", `${wcs.height}px`);
    this.#say("");
    this.#place();
  }

  #say(words) {
    this.says.textContent = words;
    this.image.hidden = Boolean(words);
  }

  #pan(event) {
    if (event.button !== 0) return;
    const [x, y] = [event.clientX, event.clientY];
    const [center, fov] = [this.center, this.fov];
    const plane = tangent(...center);
    const scale = this.#scale();
    this.element.setPointerCapture(event.pointerId);
    const move = (moved) => {
      const [dx, dy] = [moved.clientX - x, moved.clientY - y];
      this.look(plane.toSky(dx / scale, dy / scale), fov);
    };
    const end = () => {
      this.element.removeEventListener("pointermove", move);
      this.element.removeEventListener("pointerup", end);
      this.element.removeEventListener("pointercancel", end);
    };
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("pointerup", end);
    this.element.addEventListener("pointercancel", end);
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.element.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const held = this.toSky(x, y);
    const factor = Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 200);
    this.fov = Math.max(SMALLEST_DEG, Math.min(LARGEST_DEG, this.fov * factor));
    // What is under the pointer stays there.
    const at = this.toPixel(...held);
    if (at) {
      const center = this.toSky(this.#width() / 2 + at[0] - x, this.#height() / 2 + at[1] - y);
      if (separation(center, this.center) < this.fov * 2) this.center = center;
    }
    this.#changed();
  }
}

/** Read from the metadata of a picture where it is (AVM 1.2). */
function placeOf(text) {
  const numbers = (name) => {
    const found = text.match(new RegExp(`<avm:Spatial\\.${name}>(.*?)</avm:Spatial\\.${name}>`, "s"));
    return found ? found[1].replace(/<[^>]*>/g, " ").trim().split(/\s+/).map(Number) : null;
  };
  const [value, pixel, scale, size] = ["ReferenceValue", "ReferencePixel", "Scale", "ReferenceDimension"].map(numbers);
  if (!(value && pixel && scale && size)) return null;
  const turn = ((numbers("Rotation")?.[0] ?? 0) * Math.PI) / 180;
  const plane = tangent(...value);
  return {
    width: size[0],
    height: size[1],
    /** The place of a point of the picture, counted from its upper left corner. */
    toSky(x, y) {
      // Pixels of AVM are counted from 1 at their centres, upwards.
      const [dx, dy] = [(x + 0.5 - pixel[0]) * scale[0], (size[1] - y + 0.5 - pixel[1]) * scale[1]];
      return plane.toSky(dx * Math.cos(turn) - dy * Math.sin(turn), dx * Math.sin(turn) + dy * Math.cos(turn));
    },
  };
}

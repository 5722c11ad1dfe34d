/* Places on the sky, as an SVG: the neighbourhood of all of them, or the whole sky where they are far apart.
   What there is at each is told by its shape, and by its colour too. */

import { decimal, t } from "./base.js";

const WIDTH = 360;
const HEIGHT = 200;
const MARGIN = 16;
const RADIAN = Math.PI / 180;
/** Beyond this, degrees from the middle, the whole sky is drawn. */
const NEAR = 40;
/** Places so near each other, in parts of a pixel, are one mark. */
const GRAIN = 2;

const KINDS = { covered: "covered", unknown: "covered", partial: "partial" };

/** Which kind of mark a verdict has. */
export function kindOf(word) {
  return KINDS[word] ?? "outside";
}

/** How marks are drawn: a dot, a diamond, a cross. */
export const SHAPES = {
  covered: (x, y) => `M${x} ${y}h0.01`,
  partial: (x, y, r) => `M${x} ${y - r}l${r} ${r}l${-r} ${r}l${-r} ${-r}z`,
  outside: (x, y, r) => `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`,
};

/** Make an element of SVG. */
export function svg(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

/**
 * Draw places.
 * @param {{ra: number[], dec: number[], word: string[]}} places degrees; null where there is no place
 */
export function drawSky({ ra, dec, word }) {
  const drawn = ra.map((_, at) => at).filter((at) => ra[at] !== null && dec[at] !== null);
  const frame = svg("svg", { class: "sky", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": t("Places of the targets on the sky") });
  if (!drawn.length) return frame;
  const { middle, reach } = around(drawn, ra, dec);
  const view = reach > NEAR ? wholeSky(frame) : nearby(frame, middle, Math.max(reach, 1 / 120));
  const size = drawn.length > 2000 ? 1.4 : drawn.length > 200 ? 2 : 2.8;
  const marks = { covered: new Set(), partial: new Set(), outside: new Set() };
  for (const at of drawn) {
    const [x, y] = view(ra[at], dec[at]);
    const [column, line] = [Math.round(x * GRAIN), Math.round(y * GRAIN)];
    marks[kindOf(word[at])].add(line * WIDTH * GRAIN + column);
  }
  // Those that matter are drawn last.
  for (const [kind, found] of Object.entries(marks)) {
    if (!found.size) continue;
    const place = (mark) => [(mark % (WIDTH * GRAIN)) / GRAIN, Math.floor(mark / (WIDTH * GRAIN)) / GRAIN];
    const d = Array.from(found, (mark) => SHAPES[kind](...place(mark), size)).join("");
    const width = kind === "covered" ? 2 * size : Math.min(1.5, size);
    frame.append(svg("path", { class: `dots ${kind}`, d, "stroke-width": width, "stroke-linecap": "round" }));
  }
  return frame;
}

/** The middle of some places, and how far the farthest is from it, degrees. */
function around(drawn, ra, dec) {
  const vectors = new Float64Array(3 * drawn.length);
  const sum = [0, 0, 0];
  drawn.forEach((at, place) => {
    const [a, d] = [ra[at] * RADIAN, dec[at] * RADIAN];
    vectors.set([Math.cos(d) * Math.cos(a), Math.cos(d) * Math.sin(a), Math.sin(d)], 3 * place);
    for (let axis = 0; axis < 3; axis += 1) sum[axis] += vectors[3 * place + axis];
  });
  const length = Math.hypot(...sum) || 1;
  const [x, y, z] = sum.map((part) => part / length);
  let chord = 0;
  for (let at = 0; at < vectors.length; at += 3) {
    chord = Math.max(chord, Math.hypot(vectors[at] - x, vectors[at + 1] - y, vectors[at + 2] - z));
  }
  const middle = [((Math.atan2(y, x) / RADIAN) + 360) % 360, Math.atan2(z, Math.hypot(x, y)) / RADIAN];
  return { middle, reach: (2 * Math.asin(Math.min(1, chord / 2))) / RADIAN };
}

/** The neighbourhood of a place, north up and east left. */
function nearby(frame, [ra0, dec0], reach) {
  const scale = (HEIGHT / 2 - MARGIN) / Math.tan(Math.min(reach, 60) * RADIAN);
  const [sin0, cos0] = [Math.sin(dec0 * RADIAN), Math.cos(dec0 * RADIAN)];
  const view = (ra, dec) => {
    const [sin, cos, turn] = [Math.sin(dec * RADIAN), Math.cos(dec * RADIAN), (ra - ra0) * RADIAN];
    const depth = sin0 * sin + cos0 * cos * Math.cos(turn);
    const [x, y] = [(cos * Math.sin(turn)) / depth, (cos0 * sin - sin0 * cos * Math.cos(turn)) / depth];
    return [WIDTH / 2 - scale * x, HEIGHT / 2 - scale * y];
  };
  const length = roundLength((70 * Math.atan(1 / scale)) / RADIAN);
  const wide = scale * Math.tan(length * RADIAN);
  frame.append(svg("path", { class: "scale", d: `M${MARGIN} ${HEIGHT - 18}v4h${wide.toFixed(1)}v-4` }));
  text(frame, MARGIN + wide / 2, HEIGHT - 4, angle(length), "middle");
  text(frame, WIDTH - MARGIN, HEIGHT - 4, `${decimal(ra0, 6)} ${dec0 < 0 ? "−" : "+"}${decimal(Math.abs(dec0), 5)}`, "end");
  text(frame, WIDTH / 2, 12, t("N"), "middle");
  text(frame, 8, HEIGHT / 2, t("E"), "middle");
  return view;
}

/** All of it, as Hammer drew it, with the meridian of 0 in the middle. */
function wholeSky(frame) {
  const half = [WIDTH / 2 - MARGIN, HEIGHT / 2 - MARGIN];
  const wide = Math.min(half[0], 2 * half[1]);
  const view = (ra, dec) => {
    const lon = ((((ra + 540) % 360) - 180) * RADIAN) / 2;
    const d = dec * RADIAN;
    const depth = Math.sqrt(1 + Math.cos(d) * Math.cos(lon));
    return [WIDTH / 2 - (wide * Math.cos(d) * Math.sin(lon)) / depth, HEIGHT / 2 - ((wide / 2) * Math.sin(d)) / depth];
  };
  const line = (places) => `M${places.map(([ra, dec]) => view(ra, dec).map((part) => part.toFixed(1)).join(" ")).join("L")}`;
  const steps = Array.from({ length: 37 }, (_, at) => at * 5 - 90);
  const meridians = [-179.999, -120, -60, 0, 60, 120, 179.999].map((lon) => line(steps.map((dec) => [lon, dec])));
  const circle = Array.from({ length: 73 }, (_, at) => Math.max(-179.999, Math.min(179.999, at * 5 - 180)));
  const parallels = [-60, -30, 0, 30, 60].map((dec) => line(circle.map((lon) => [lon, dec])));
  frame.append(svg("path", { class: "net", d: [...meridians, ...parallels].join("") }));
  text(frame, WIDTH / 2, 12, t("N"), "middle");
  for (const hour of [8, 4, 0, 20, 16]) text(frame, view(hour * 15, 0)[0], HEIGHT / 2 - 3, `${hour}h`, "middle");
  return view;
}

function text(frame, x, y, words, anchor) {
  const made = svg("text", { x: x.toFixed(1), y, "text-anchor": anchor });
  made.textContent = words;
  frame.append(made);
}

/** A round angle near this one, degrees. */
function roundLength(degrees) {
  const unit = degrees >= 1 ? 1 : degrees >= 1 / 60 ? 1 / 60 : 1 / 3600;
  const size = degrees / unit;
  const power = 10 ** Math.floor(Math.log10(size));
  const step = [1, 2, 5, 10].filter((one) => one * power <= size).at(-1) ?? 1;
  return step * power * unit;
}

function angle(degrees) {
  if (degrees >= 1) return `${decimal(degrees)}°`;
  return degrees >= 1 / 60 ? `${decimal(degrees * 60)}′` : `${decimal(degrees * 3600)}″`;
}

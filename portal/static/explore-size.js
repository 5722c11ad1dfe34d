/* How big: the same size in arcseconds, arcminutes, pixels and megabytes, and a slider. */

import { el, t } from "./base.js";

const STEPS = 400;
const SMALLEST_PX = 8;

/** An angle with a unit that makes it short. */
export function angleText(degrees) {
  const arcsec = degrees * 3600;
  if (arcsec < 120) return `${short(arcsec)}arcsec`;
  return arcsec < 7200 ? `${short(arcsec / 60)}arcmin` : `${short(degrees)}deg`;
}

/** A number in the room that a field has. */
function written(number, digits) {
  return String(number >= 1000 ? Math.round(number) : Number(number.toPrecision(digits)));
}

function short(number) {
  return String(Number(number.toPrecision(6)));
}

/**
 * Fields that follow each other.
 * @param {function(number, number): void} changed is told a new width and height, degrees
 */
export function linkedSize(changed) {
  const fields = [
    ["arcsec", "″", (d) => d * 3600, (v) => v / 3600],
    ["arcmin", "′", (d) => d * 60, (v) => v / 60],
    ["px", t("px"), (d) => d / now.pixel, (v) => v * now.pixel],
    ["megabytes", t("MB"), megabytes, sideOf],
  ];
  const now = { width: 0, height: 0, half: false, pixel: 0, bytes: 0, most: 4096 };
  const inputs = fields.map(([name, unit, , from]) => {
    const input = el("input", { attrs: { type: "number", step: "any", min: 0, inputmode: "decimal", "aria-label": unit, "data-unit": name } });
    input.addEventListener("input", () => {
      const value = Number(input.value);
      if (value > 0) become((name === "megabytes" ? 1 : now.half ? 2 : 1) * from(value), input);
    });
    return input;
  });
  const slider = el("input", { attrs: { type: "range", min: 0, max: STEPS, step: 1, "aria-label": t("Size") } });
  slider.addEventListener("input", () => {
    become(SMALLEST_PX * now.pixel * (now.most / SMALLEST_PX) ** (slider.value / STEPS), slider);
  });
  const element = el(
    "div",
    { class: "linked" },
    ...fields.map(([, unit], i) => el("label", {}, inputs[i], el("span", { text: unit }))),
    slider,
  );

  function megabytes(width) {
    return (now.bytes * (width / now.pixel) ** 2 * ratio()) / 1e6;
  }

  function sideOf(value) {
    return now.pixel * Math.sqrt((value * 1e6) / now.bytes / ratio());
  }

  function ratio() {
    return now.width ? now.height / now.width : 1;
  }

  function become(width, by) {
    const height = width * ratio();
    Object.assign(now, { width, height });
    write(by);
    changed(width, height);
  }

  function write(but) {
    fields.forEach(([name, , to], i) => {
      inputs[i].disabled = (name === "px" && !now.pixel) || (name === "megabytes" && !(now.bytes && now.pixel));
      if (inputs[i] === but) return;
      const side = name === "megabytes" || !now.half ? now.width : now.width / 2;
      inputs[i].value = inputs[i].disabled || !side ? "" : written(to(side), name === "megabytes" ? 2 : 4);
    });
    slider.disabled = !now.pixel;
    if (slider !== but && now.pixel) {
      slider.value = String((STEPS * Math.log(now.width / now.pixel / SMALLEST_PX)) / Math.log(now.most / SMALLEST_PX));
    }
  }

  return {
    element,
    /** Show a size. `bytes` is that of a pixel; `half` says that people are told the half of it: a radius. */
    show(size, told) {
      Object.assign(now, told);
      if (!size || element.contains(document.activeElement)) return;
      [now.width, now.height] = size;
      write(null);
    },
  };
}

/* What is cut from: one survey at a time where there are several; and how large that is in its pixels. */

import { decimal, el, t } from "./base.js";

const USUAL = "r";
const NUMBER = /^(\d+(?:\.\d*)?|\.\d+)$/;
const ARCSEC = { deg: 3600, arcmin: 60, "'": 60, arcsec: 1, '"': 1 };

/**
 * A menu of surveys, where there are several.
 * @param {Array<{name: string, title: string}>} surveys
 * @param {function(): void} changed
 */
export function surveyMenu(surveys, changed) {
  const sets = [...document.querySelectorAll(".survey")];
  const boxes = (set) => [...set.querySelectorAll('input[name="ID"]')];
  const chosen = () => sets.find((set) => boxes(set).some((box) => box.checked));
  const menu = el("select", { attrs: { id: "survey" } });

  function show(name) {
    for (const set of sets) set.hidden = set.dataset.survey !== name;
  }

  function choose() {
    for (const set of sets) {
      for (const box of boxes(set)) box.checked = false;
    }
    const set = sets.find((one) => one.dataset.survey === menu.value);
    if (set) (boxes(set).find((box) => box.nextElementSibling.textContent === USUAL) ?? boxes(set)[0]).checked = true;
    show(menu.value);
    changed();
  }

  /** Show the survey of what is checked. */
  function follow() {
    menu.value = chosen()?.dataset.survey ?? "";
    if (sets.length > 1) show(menu.value);
  }

  if (sets.length > 1) {
    for (const { name, title } of surveys) menu.append(el("option", { text: title, attrs: { value: name } }));
    menu.append(el("option", { text: t("as the rows say"), attrs: { value: "" } }));
    menu.addEventListener("change", choose);
    const label = el("label", { text: t("Survey"), attrs: { for: "survey" } });
    document.getElementById("surveys").prepend(el("div", { class: "survey-menu" }, label, menu));
    for (const set of sets) set.querySelector("legend").classList.add("hidden");
  }
  follow();
  return { follow, name: () => chosen()?.dataset.survey ?? "" };
}

/**
 * Tell what a size is in the other unit, pixels or arcseconds; "" where it cannot be told.
 * @param {string} text as SIZE has it
 * @param {?number} scale arcseconds of a pixel
 */
export function sizeTold(text, scale) {
  const [, numbers, unit] = /^\s*([\d.\s]+?)\s*(deg|arcmin|arcsec|px|'|")\s*$/.exec(text) ?? [];
  const sides = numbers?.trim().split(/\s+/) ?? [];
  if (!scale || !sides.length || sides.length > 2 || !sides.every((side) => NUMBER.test(side))) return "";
  const [width, height] = sides.length > 1 ? sides.map(Number) : [Number(sides[0]), Number(sides[0])];
  if (unit === "px") return t("{width} × {height} arcsec", { width: decimal(width * scale), height: decimal(height * scale) });
  const pixels = (side) => Math.round((side * ARCSEC[unit]) / scale);
  return t("{width} × {height} px", { width: pixels(width), height: pixels(height) });
}

/* Names of objects, looked up by the browser at the CDS in Strasbourg (Sesame), once the user has allowed it. */

import { el, t } from "./base.js";

const SESAME = "https://cds.unistra.fr/cgi-bin/nph-sesame/-oI/SNV?";
const KEY = "fountain-names";
const WAIT_MS = 10000;

/** Whether the user has allowed it. */
export function mayLookUp() {
  try {
    return localStorage.getItem(KEY) === "yes";
  } catch {
    return false;
  }
}

/**
 * The box that allows it.
 * @param {function(): void} changed
 */
export function allowance(changed) {
  const box = el("input", { attrs: { type: "checkbox", id: "look-up" } });
  box.checked = mayLookUp();
  box.addEventListener("change", () => {
    try {
      localStorage.setItem(KEY, box.checked ? "yes" : "no");
    } catch {
      // It is asked for again next time.
    }
    changed();
  });
  return el("label", { class: "check" }, box, t("Look up names at the CDS (your browser asks there)"));
}

/** Whether a text may be the name of an object, and is no position. */
export function mayBeName(text) {
  return /[a-z]/i.test(text) && !/^[JB]?\d{4,}|^gal|^[lb]\s*=|^\d+(h|d|°)/i.test(text.trim());
}

/**
 * Find an object.
 * @param {string} name
 * @param {AbortSignal} [signal]
 * @returns {Promise<[number, number]|null>}
 */
export async function lookUp(name, signal) {
  const signals = [AbortSignal.timeout(WAIT_MS), ...(signal ? [signal] : [])];
  const answer = await fetch(SESAME + encodeURIComponent(name), {
    signal: AbortSignal.any(signals),
    credentials: "omit",
    referrerPolicy: "no-referrer",
  });
  const found = (await answer.text()).match(/^%J\s+([-+\d.]+)\s+([-+\d.]+)/m);
  return found ? [Number(found[1]), Number(found[2])] : null;
}

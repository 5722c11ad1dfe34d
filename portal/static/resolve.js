/* Places as people write them: coordinates are read by the service, names of objects by CDS in Strasbourg,
   if the visitor has allowed the browser to ask there. The service itself asks nobody. */

import { ServiceError, el, request, t } from "./base.js";

const KEY = "fountain-resolver";
/* Answers are lines of text; that of the place is `%J <ra> <dec> = …`, in degrees. */
const SESAME = "https://cds.unistra.fr/cgi-bin/nph-sesame/-o/SNV?";
const PLACE = /^%J\s+([\d.]+)\s+([+-]?[\d.]+)/m;

/** What the visitor has said of names being looked up: "yes", "no", or "" where nothing was said. */
export function consent() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // a browser that keeps nothing
  }
}

/** Remember whether names may be looked up. */
export function allow(isAllowed) {
  try {
    localStorage.setItem(KEY, isAllowed ? "yes" : "no");
  } catch {
    // It is asked again next time.
  }
}

/** Where a text is no position, and may be the name of an object that nobody has allowed to look up. */
export class NameNotAsked extends Error {}

/**
 * Find a place.
 * @param {string} text position in any notation, or the name of an object
 * @param {{signal?: AbortSignal}} [how]
 * @returns {Promise<{ra: number, dec: number, decimal: string, sexagesimal: string, galactic: number[],
 *   constellation: string, understood: string, name?: string}>} as `/position` tells it
 * @throws {NameNotAsked} where it may be a name, and names may not be looked up (yet)
 * @throws {ServiceError} with a sentence for people
 */
export async function findPlace(text, how = {}) {
  try {
    return await position(text, how.signal);
  } catch (fault) {
    const mayBeName = fault.status === 400 && /\p{L}/u.test(text);
    if (!mayBeName) throw fault;
    if (consent() !== "yes") throw new NameNotAsked(fault.message);
  }
  const [ra, dec] = await lookUp(text, how.signal);
  return { ...(await position(`${ra} ${dec}`, how.signal)), understood: "resolved", name: text };
}

async function position(text, signal) {
  return (await request(`/position?${new URLSearchParams({ TEXT: text })}`, { signal })).json();
}

/**
 * Look a name up at CDS.
 * @param {string} name
 * @param {AbortSignal} [signal]
 * @returns {Promise<[string, string]>} RA and Dec in ICRS degrees
 */
export async function lookUp(name, signal) {
  let answer;
  try {
    const options = { signal, credentials: "omit", referrerPolicy: "no-referrer" };
    answer = await fetch(SESAME + encodeURIComponent(name.trim()), options);
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new ServiceError(0, "Error", t("CDS does not answer: the name cannot be looked up."), t("Write a position."));
  }
  const found = answer.ok ? PLACE.exec(await answer.text()) : null;
  if (!found) throw new ServiceError(404, "NotFound", t("CDS knows no object “{name}”.", { name }), t("Write a position."));
  return [found[1], found[2]];
}

/**
 * Make the question whether names may be looked up.
 * @param {(isAllowed: boolean) => void} answered is called with what was chosen, which is remembered
 */
export function consentQuestion(answered) {
  const choose = (isAllowed) => () => {
    allow(isAllowed);
    answered(isAllowed);
  };
  const button = (text, kind, isAllowed) =>
    el("button", { class: `button small ${kind}`, text, attrs: { type: "button" }, on: { click: choose(isAllowed) } });
  return el(
    "div",
    { class: "box consent", attrs: { role: "group", "aria-label": t("Names of objects") } },
    el("p", { text: t("This is no position. Names of objects are looked up by CDS in Strasbourg: your browser would send the name there, and nothing else. May it?") }),
    el("p", { class: "choices-row" }, button(t("Yes, from now on"), "primary", true), " ", button(t("No"), "", false)),
  );
}

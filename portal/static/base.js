/* What the scripts of all pages share: words, numbers, elements, and requests to the service. */

const frame = data("frame") ?? { root: "/", language: "en", words: {} };

/**
 * Data that the page brought along.
 * @param {string} id of a `script` element of type application/json
 * @returns {any} null where there is none
 */
export function data(id) {
  const found = document.getElementById(id);
  return found ? JSON.parse(found.textContent) : null;
}

/** Language of the page, as BCP 47 has it. */
export const language = frame.language;

const plurals = new Intl.PluralRules(language);

/**
 * Words in the language of the page; `{name}` stands for a value.
 * @param {string} words in English
 * @param {Object<string, string|number>} [values]
 */
export function t(words, values = {}) {
  return filled(frame.words[words] ?? words, values);
}

/**
 * Words about a number of things; `{n}` is the number.
 * @param {string} one
 * @param {string} many
 * @param {number} n
 * @param {Object<string, string|number>} [values]
 */
export function tn(one, many, n, values = {}) {
  const [single, plural] = frame.words[one] ?? [one, many];
  return filled(plurals.select(n) === "one" ? single : plural, { n: count(n), ...values });
}

function filled(words, values) {
  return words.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Path of a resource of the service, as the browser knows it. */
export function path(below) {
  return frame.root.replace(/\/$/, "") + below;
}

/** A number with its thousands apart, as the service writes it too. */
export function count(n) {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** A number with so many digits at most. */
export function decimal(n, digits = 3) {
  return new Intl.NumberFormat(frame.language, { maximumSignificantDigits: digits }).format(n);
}

/** A number of bytes, as people say it. */
export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let at = 0;
  while (n >= 999.5 && at < units.length - 1) {
    n /= 1000;
    at += 1;
  }
  return `${decimal(n, n >= 99.5 ? 3 : 2)} ${units[at]}`;
}

/** A time, as people say it: 0.12 s, 34 s, 5 min, 6 h, 7 d. */
export function duration(seconds) {
  if (seconds < 100) return `${decimal(seconds, 2)} s`;
  if (seconds < 6000) return `${count(seconds / 60)} min`;
  if (seconds < 172800) return `${count(seconds / 3600)} h`;
  return `${count(seconds / 86400)} d`;
}

/** A moment by how long ago it was, or how long it is yet to come. */
export function ago(iso) {
  const seconds = (Date.parse(iso) - Date.now()) / 1000;
  const format = new Intl.RelativeTimeFormat(frame.language, { numeric: "auto" });
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(Math.trunc(seconds), "second");
}

/**
 * Make an element.
 * @param {string} tag
 * @param {{class?: string, text?: string, attrs?: Object, on?: Object<string, EventListener>}} [how]
 * @param {...(Node|string)} children
 */
export function el(tag, how = {}, ...children) {
  const made = document.createElement(tag);
  if (how.class) made.className = how.class;
  if (how.text !== undefined) made.textContent = how.text;
  for (const [name, value] of Object.entries(how.attrs ?? {})) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  for (const [name, listener] of Object.entries(how.on ?? {})) made.addEventListener(name, listener);
  made.append(...children);
  return made;
}

/** What the service says where it cannot do what it was asked for. */
export class ServiceError extends Error {
  /**
   * @param {number} status 0 where there was no answer
   * @param {string} label
   * @param {string} message
   * @param {string} fix
   */
  constructor(status, label, message, fix = "") {
    super(message);
    this.status = status;
    this.label = label;
    this.fix = fix;
  }
}

/**
 * Ask the service.
 * @param {string} below path below the root of the service, with its query
 * @param {{method?: string, form?: FormData|URLSearchParams, json?: any, signal?: AbortSignal, accept?: string}} [how]
 * @returns {Promise<Response>}
 * @throws {ServiceError} with the service's own sentence
 */
export async function request(below, how = {}) {
  const headers = { Accept: how.accept ?? "application/json" };
  let body = how.form;
  if (how.json !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(how.json);
  }
  const method = how.method ?? (body === undefined ? "GET" : "POST");
  let answer;
  try {
    answer = await fetch(path(below), { method, headers, body, signal: how.signal, cache: "no-cache" });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new ServiceError(0, "Error", t("The service does not answer."), t("Is the network there? Try again."));
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  const text = await answer.text();
  try {
    const told = JSON.parse(text);
    const [first] = told.faults;
    return new ServiceError(answer.status, told.error, sentence(first.message), first.fix);
  } catch {
    // A proxy in between has words of its own.
    return new ServiceError(answer.status, "Error", t("The service answered {status}.", { status: answer.status }));
  }
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Have `f` called once it has not been for `ms` milliseconds. */
export function debounce(ms, f) {
  let waiting;
  return (...given) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => f(...given), ms);
  };
}

/** A button that copies what `text` gives. */
export function copyButton(text) {
  const button = el("button", { class: "button small copy", text: t("Copy"), attrs: { type: "button" } });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text());
    button.textContent = t("Copied");
    announce(t("Copied"));
    setTimeout(() => (button.textContent = t("Copy")), 1500);
  });
  return button;
}

/** Tell those who listen instead of looking. */
export function announce(text) {
  let region = document.getElementById("announcer");
  if (!region) {
    region = el("div", { class: "hidden", attrs: { id: "announcer", role: "status", "aria-live": "polite" } });
    document.body.append(region);
  }
  region.textContent = text;
}

for (const box of document.querySelectorAll(".code")) {
  const pre = box.querySelector("pre");
  if (pre && navigator.clipboard) box.append(copyButton(() => pre.textContent));
}

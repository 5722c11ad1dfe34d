/* What comes of a request: its preview, what is to be known of it, and the same request in code. */

import { bytes, copyButton, count, decimal, duration, el, path, t, tn } from "./base.js";

const WAYS = { url: () => "URL", curl: () => "curl", pyvo: () => t("Python, pyvo"), astropy: () => t("Python, astropy"), python: () => t("Python") };

/** Shows previews, the latest alone. */
export class Preview {
  constructor(figure) {
    this.figure = figure;
  }

  /** What is shown is of another request now. */
  age() {
    this.figure.classList.add("stale");
  }

  /**
   * Fetch a preview.
   * @param {string|null} below its path
   * @param {AbortSignal} signal
   * @returns {Promise<Headers|null>} what is told beside it
   */
  async show(below, signal) {
    if (!below) return this.#say(t("There is no preview of this."));
    const answer = await fetch(path(`/${below}`), { signal, headers: { Accept: "image/png, application/json" } });
    if (!answer.ok || answer.status === 204) return this.#say(t("There is no preview of this."));
    const url = URL.createObjectURL(await answer.blob());
    const image = el("img", { attrs: { id: "picture", src: url, alt: t("The region that is asked for") } });
    await image.decode();
    signal.throwIfAborted();
    // Small ones are shown by their pixels.
    image.classList.toggle("few", Math.max(image.naturalWidth, image.naturalHeight) < 200);
    this.figure.replaceChildren(image);
    this.figure.classList.remove("stale");
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = url;
    return answer.headers;
  }

  #say(words) {
    this.figure.replaceChildren(el("p", { class: "nothing", text: words }));
    this.figure.classList.remove("stale");
    return null;
  }
}

/**
 * Say what comes of a request.
 * @param {HTMLElement} list
 * @param {any} outcome of a document of the explorer
 * @param {Headers|null} headers of the preview
 */
export function tellOutcome(list, outcome, headers) {
  const lines = [];
  const line = (text, kind = "") => lines.push(el("li", { class: kind, text }));
  if (outcome.width) line(t("{w} × {h} pixels", { w: count(outcome.width), h: count(outcome.height) }));
  if (outcome.bytes) line(bytes(outcome.bytes));
  if (outcome.seconds) {
    const { p50, p90 } = outcome.seconds;
    if (outcome.by === "async") line(t("{p50} to {p90} as a job", { p50: duration(p50), p90: duration(p90) }));
    else line(t("about {time}", { time: duration(p50) }));
  }
  if (outcome.by === "sync") {
    const covered = headers?.has("X-Cutout-Covered") ? Number(headers.get("X-Cutout-Covered")) : outcome.covered;
    if (covered !== null && covered < 0.9995) line(t("Data for {share} % of the region", { share: decimal(100 * covered) }), "note");
    if (outcome.clipped && !outcome.padded) line(t("Clipped: the region reaches beyond the data"), "note");
    if (outcome.padded) line(t("Padded: pixels without data stand where there are none"), "note");
    if (outcome.resampled) line(t("Resampled: pixel values are interpolated"));
    line(tn("Made of {n} image", "Made of {n} images", outcome.inputs));
  }
  for (const remark of outcome.remarks) line(remark, "note");
  list.replaceChildren(...lines);
}

/** Show a request in code; which of them is open stays open. */
export function tellCode(box, code) {
  const open = box.querySelector("details[open]")?.dataset.way ?? "url";
  const names = Object.keys(WAYS).filter((name) => code[name]);
  const first = names.includes(open) ? open : names[0];
  const shown = names.map((name) => {
    const text = el("code", { text: code[name] });
    const pre = el("pre", { attrs: { tabindex: 0, "aria-label": WAYS[name]() } }, text);
    const copy = navigator.clipboard ? [copyButton(() => code[name])] : [];
    return el(
      "details",
      { attrs: { name: "written", open: name === first, "data-way": name } },
      el("summary", { text: WAYS[name]() }),
      el("div", { class: "code" }, pre, ...copy),
    );
  });
  box.replaceChildren(...shown);
}

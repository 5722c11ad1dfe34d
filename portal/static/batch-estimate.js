/* What the job would come to, as the service tells it. Nothing is reckoned here. */

import { ago, bytes, count, duration, el, language, t, tn } from "./base.js";
import { SHAPES, drawSky, kindOf, svg } from "./batch-sky.js";

/** So many wrong rows are told before somebody wants to see all. */
const FIRST_FAULTS = 8;
/** Shares of a bar are told to this many parts. */
const WHOLE = 100;

/**
 * The panel beside the form.
 * @param {object} how
 * @param {function(number, function(object): void): Promise<void>} how.more fetches the places of further rows
 * @param {function(Array<[string, string]>): void} how.use fills the form in
 */
export function estimatePanel({ more, use }) {
  const box = document.getElementById("estimate");
  const card = box.closest(".estimate");

  function set(...parts) {
    card.classList.remove("busy");
    box.setAttribute("aria-busy", "false");
    box.replaceChildren(...parts.filter(Boolean));
  }

  return {
    empty: () => set(el("p", { class: "help", text: t("Targets come first: rows, places on the sky, time, size and quota are told here.") })),
    busy() {
      card.classList.add("busy");
      box.setAttribute("aria-busy", "true");
      if (!box.querySelector(".sum")) set(el("p", { class: "help", text: t("The service looks at every row …") }));
      card.classList.add("busy");
    },
    fault: (fault) => set(trouble(fault.message, fault.fix)),
    show(told) {
      set(
        told.refused ? trouble(told.refused.sentence, told.refused.fix, nearest(told.nearest, use)) : null,
        ...(told.verdicts && told.rows.total && told.row_verdicts ? rows(told) : []),
        told.row_verdicts ? sky(told, more) : null,
        told.seconds ? facts(told) : null,
        faults(told),
        ...quotas(told.quota),
      );
    },
    summary: (told) => (told.refused ? told.refused.sentence : sum(told)),
  };
}

function trouble(sentence, fix, button = null) {
  const text = sentence.charAt(0).toUpperCase() + sentence.slice(1);
  const parts = [el("p", { text }), fix ? el("p", { text: fix }) : null, button].filter(Boolean);
  return el("div", { class: "box error" }, ...parts);
}

/** A button that asks for the nearest thing there is, where the form can. */
function nearest(values, use) {
  if (!values?.SIZE) return null;
  const click = () => use([["SIZE", values.SIZE]]);
  return el("button", { class: "button small", text: t("Use {size}", { size: values.SIZE }), attrs: { type: "button" }, on: { click } });
}

function sum(told) {
  const rows = tn("{n} row", "{n} rows", told.rows.total);
  return tn("{n} cutout of {rows}", "{n} cutouts of {rows}", told.cutouts, { rows });
}

function rows(told) {
  const { total, ok, warned, rejected } = told.rows;
  const states = [
    ["ok", "✓", ok, t("right")],
    ["warned", "!", warned, t("to look at")],
    ["rejected", "✕", rejected, t("wrong")],
  ];
  const legend = states
    .filter(([, , n]) => n)
    .map(([name, sign, n, words]) =>
      el("li", {}, el("span", { class: `sign ${name}`, text: sign, attrs: { "aria-hidden": "true" } }), ` ${count(n)} ${words}`),
    );
  return [
    el("p", { class: "sum", text: sum(told) }),
    meter(states.map(([name, , n]) => [name, n / total]), sum(told)),
    el("ul", { class: "states" }, ...legend),
  ];
}

function meter(parts, label) {
  const bar = svg("svg", { class: "meter", viewBox: `0 0 ${WHOLE} 6`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  let at = 0;
  for (const [name, share] of parts) {
    const width = Math.max(0, Math.min(1, share)) * WHOLE;
    if (width > 0) bar.append(svg("rect", { class: name, x: at.toFixed(2), y: 0, width: width.toFixed(2), height: 6 }));
    at += width;
  }
  return bar;
}

/** Where targets are on the sky, and whether there are data. */
function sky(told, more) {
  const { row_verdicts: verdicts, rows: { total } } = told;
  if (!verdicts.ra) return null;
  const places = { ra: [...verdicts.ra], dec: [...verdicts.dec], word: wordsOf(verdicts) };
  const box = el("div", { class: "places" });
  let after = verdicts.next_after;

  function draw() {
    const counts = Object.entries(told.verdicts).filter(([word, n]) => n && word !== "rejected");
    const legend = counts.sort(([, one], [, other]) => other - one).map(([word, n]) => entry(word, n));
    const parts = [drawSky(places), el("ul", { class: "legend" }, ...legend)];
    if (after !== null) {
      const shown = t("These are the first {n} of {total} rows.", { n: count(places.word.length), total: count(total) });
      const button = el("button", { class: "button small", text: t("Show all"), attrs: { type: "button" }, on: { click: all } });
      parts.push(el("p", { class: "help" }, shown, " ", button));
    }
    box.replaceChildren(...parts);
  }

  async function all(event) {
    event.target.setAttribute("aria-disabled", "true");
    event.target.textContent = t("They come …");
    await more(after, (page) => {
      places.ra.push(...page.ra);
      places.dec.push(...page.dec);
      places.word.push(...wordsOf(page));
      after = page.next_after;
    });
    draw();
  }

  draw();
  return box;
}

function wordsOf(verdicts) {
  return verdicts.verdict.map((number) => verdicts.words[number]);
}

function entry(word, n) {
  const kind = kindOf(word);
  const sign = svg("svg", { class: "mark-of", viewBox: "-5 -5 10 10", "aria-hidden": "true" });
  const width = kind === "covered" ? 6 : 2;
  sign.append(svg("path", { class: kind, d: SHAPES[kind](0, 0, 3), "stroke-width": width, "stroke-linecap": "round" }));
  return el("li", {}, sign, el("span", { class: "many", text: count(n) }), el("span", { text: saying(word) }));
}

function saying(word) {
  return {
    covered: t("with data"),
    partial: t("partly with data"),
    outside: t("without data there"),
    no_rights: t("of data not open to you"),
    band_missing: t("of a survey or band that is not here"),
    unknown: t("looked up when they are made"),
  }[word] ?? word;
}

function facts(told) {
  const { seconds, queue } = told;
  const list = el("dl", { class: "tiles" });
  const add = (term, ...values) => {
    const lines = values.filter(Boolean).map((value, at) => el("div", { class: at ? "muted" : "", text: value }));
    list.append(el("div", {}, el("dt", { text: term }), el("dd", {}, ...lines)));
  };
  add(t("Files"), tn("{n} cutout", "{n} cutouts", told.cutouts), tn("of {n} image", "of {n} images", told.images));
  add(t("Size"), bytes(told.bytes));
  add(
    t("Done in"),
    t("{usual}, or up to {most}", { usual: duration(seconds.p50), most: duration(seconds.p90) }),
    seconds.runs ? tn("rests on {n} past run", "rests on {n} past runs", seconds.runs) : t("no past runs of this kind yet"),
  );
  const before = queue.position ? tn("{n} job goes before", "{n} jobs go before", queue.position) : t("next in line");
  add(t("Queue"), before, queue.workers ? "" : t("no worker is known to live"));
  const until = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(told.expiry));
  add(t("Kept until"), until, ago(told.expiry));
  return list;
}

function quotas(allowances) {
  const limited = allowances.filter((one) => one.limit !== null);
  if (!limited.length) return [];
  const told = limited.map((one) => {
    const { kind, limit, needed, left, left_after: after } = one;
    const group = one.subject.startsWith("group:") ? ` (${one.subject.slice("group:".length)})` : "";
    const values = { before: amount(kind, left), after: amount(kind, after), limit: amount(kind, limit) };
    const words = needed > left
      ? t("{before} left, and it needs {needed}", { ...values, needed: amount(kind, needed) })
      : t("{before} → {after} of {limit} left", values);
    const bar = meter([["used", (limit - left) / limit], ["needed", Math.min(needed, left) / limit]], words);
    return el("div", { class: "quota" }, el("p", {}, el("span", { text: quotaName(kind) + group }), el("span", { class: "muted", text: words })), bar);
  });
  return [el("h3", { text: t("Your quota, before and after") }), ...told];
}

function quotaName(kind) {
  return {
    cutouts: t("Cutouts today"),
    cpu_s: t("Work today"),
    bytes: t("Results kept"),
    jobs: t("Jobs at a time"),
  }[kind] ?? kind;
}

function amount(kind, number) {
  if (kind === "bytes") return bytes(number);
  return kind === "cpu_s" ? duration(number) : count(number);
}

/** Rows that are wrong, and what is odd, with lines and reasons. */
function faults(told) {
  const all = [...told.faults].sort((one, other) => Number(one.kind === "warning") - Number(other.kind === "warning"));
  const outside = withoutData(told.row_verdicts);
  if (!all.length && !outside) return null;
  const list = el("ul", { class: "faults", attrs: { tabindex: 0, "aria-label": t("Remarks") } });
  const show = (some) => list.append(...some.map(fault));
  if (outside) list.append(outside);
  show(all.slice(0, FIRST_FAULTS));
  const rest = all.slice(FIRST_FAULTS);
  const parts = [el("h3", { text: t("Rows to look at") }), list];
  const unsaid = told.more_faults ? el("p", { class: "help", text: tn("{n} more is not listed.", "{n} more are not listed.", told.more_faults) }) : null;
  if (rest.length) {
    const button = el("button", { class: "button small", text: tn("{n} more", "{n} more", rest.length), attrs: { type: "button" } });
    button.addEventListener("click", () => {
      show(rest);
      button.replaceWith(...(unsaid ? [unsaid] : []));
      list.focus();
    });
    parts.push(button);
  } else if (unsaid) parts.push(unsaid);
  return el("div", {}, ...parts);
}

function fault({ row, line, kind, reason }) {
  const where = !row ? t("The table") : line ? t("Line {line}", { line }) : t("Row {row}", { row });
  const sign = kind === "warning" ? "!" : "✕";
  return el("li", {}, el("span", { class: "where", text: `${sign} ${where}: ` }), reason);
}

/** Which rows have no data, in one line. */
function withoutData(verdicts) {
  if (!verdicts) return null;
  const outside = verdicts.words.indexOf("outside");
  const rows = verdicts.row.filter((_, at) => verdicts.verdict[at] === outside);
  if (!rows.length) return null;
  const names = rows.slice(0, 12).join(", ") + (rows.length > 12 ? " …" : "");
  const text = tn("Row {rows} has no data at its place.", "Rows {rows} have no data at their places.", rows.length, { rows: names });
  return el("li", {}, el("span", { class: "where", text: "! " }), text);
}

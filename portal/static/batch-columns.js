/* The columns of the table as the service has understood them, with their first values; what each is can be
   said otherwise, which becomes COLUMNS. */

import { el, t, tn } from "./base.js";

/** So many columns are shown, beside those that are used. */
const MOST = 60;
const POSITION = ["ra", "dec"];

/**
 * Have columns looked at, and said otherwise.
 * @param {string[]} names what a column may be
 * @param {function(): void} changed
 */
export function columnsEditor(names, changed) {
  const box = document.getElementById("columns-live");
  document.getElementById("columns-plain").hidden = true;
  box.hidden = false;
  /** Our name -> the column that is to be it, "" for none; as far as somebody has said so. */
  let word = new Map();
  let shown = null;
  nothing();

  function nothing() {
    const text = t("Shown as soon as there are targets: what the service takes each column for, which you can change.");
    box.replaceChildren(el("p", { class: "help", text }));
  }

  function say(column, ours) {
    const before = column.as;
    if (before && before !== ours) {
      if (POSITION.includes(before)) word.delete(before);
      else word.set(before, "");
    }
    if (ours) {
      for (const [name, theirs] of word) if (theirs === column.name) word.delete(name);
      word.set(ours, column.name);
    }
    column.as = ours || null;
    // Both coordinates are said, or none.
    for (const name of POSITION) {
      const other = POSITION.find((one) => one !== name);
      const taken = shown.find((one) => one.as === other && one !== column);
      if (word.has(name) && !word.has(other) && taken) word.set(other, taken.name);
    }
    if (POSITION.some((name) => word.has(name)) && !POSITION.every((name) => word.has(name))) {
      const missing = POSITION.find((name) => !word.has(name));
      hint.textContent = t("Say which column is {name}, too.", { name: label(missing) });
      return;
    }
    changed();
  }

  const hint = el("p", { class: "help", attrs: { role: "status" } });

  function show(columns) {
    shown = columns;
    if (!columns) return nothing();
    hint.textContent = "";
    const used = columns.filter((one) => one.as);
    const seen = columns.filter((one, index) => one.as || index < MOST);
    const rows = Math.max(0, ...seen.map((one) => one.values.length));
    const head = el("tr", {}, ...seen.map((one) => heading(one, columns)));
    const lines = Array.from({ length: rows }, (_, row) =>
      el("tr", {}, ...seen.map((one) => el("td", { class: one.as ? "" : "ignored", text: one.values[row] ?? "", attrs: { title: one.values[row] } }))),
    );
    const table = el("table", {}, el("thead", {}, head), el("tbody", {}, ...lines));
    const region = { class: "sheet", attrs: { tabindex: 0, role: "region", "aria-label": t("First rows of the table") } };
    const told = tn("{n} column is used", "{n} columns are used", used.length);
    const rest = columns.length - used.length;
    const words = rest ? `${told}, ${tn("{n} is ignored", "{n} are ignored", rest)}.` : `${told}.`;
    box.replaceChildren(el("div", region, table), el("p", { class: "help", text: words }), hint);
  }

  function heading(column, columns) {
    const title = column.ucd ? `${column.name} (${column.ucd})` : column.name;
    const name = el("div", { attrs: { title } }, column.name || "–");
    if (column.unit) name.append(" ", el("span", { class: "unit", text: `[${column.unit}]` }));
    const isAlone = columns.filter((one) => one.name.toLowerCase() === column.name.toLowerCase()).length === 1;
    const cannot = !column.name || column.name.includes(",") || !isAlone;
    const menu = el("select", {
      attrs: {
        "aria-label": t("What the column {name} is", { name: column.name }),
        disabled: cannot,
        title: cannot ? t("Columns without a name of their own, or with a comma in it, cannot be chosen.") : how(column),
      },
      on: { change: () => say(column, menu.value) },
    });
    menu.append(el("option", { text: t("ignored"), attrs: { value: "" } }));
    for (const ours of names) menu.append(el("option", { text: label(ours), attrs: { value: ours } }));
    menu.value = column.as ?? "";
    const found = el("div", { class: "unit", text: column.as ? how(column) : "\u00a0" });
    return el("th", { class: column.as ? "used" : "ignored", attrs: { scope: "col" } }, name, menu, found);
  }

  return {
    /** What is said of columns, as COLUMNS has it. */
    value: () => [...word].map(([ours, theirs]) => `${ours}:${theirs}`).join(","),
    show,
    /** Begin anew, with another table. */
    reset(text = "") {
      word = new Map(
        text.split(",").filter((pair) => pair.includes(":")).map((pair) => {
          const at = pair.indexOf(":");
          return [pair.slice(0, at).trim().toLowerCase(), pair.slice(at + 1).trim()];
        }),
      );
      shown = null;
      nothing();
    },
  };
}

function label(ours) {
  return { ra: t("right ascension"), dec: t("declination"), id: t("name of the target") }[ours] ?? ours;
}

function how(column) {
  return {
    ucd: t("by its UCD"),
    name: t("by its name"),
    mapping: t("as you say"),
    position: t("by its place"),
  }[column.found_by] ?? "";
}

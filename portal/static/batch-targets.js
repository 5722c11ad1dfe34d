/* Where targets come from: a file that is chosen or dropped, rows that are pasted or typed, the list of the
   explorer. Whatever it is, it becomes a file, which the service reads; this page reads nothing of it. */

import { ServiceError, bytes, el, t, tn } from "./base.js";

const BASKET = "fountain-basket";
const BASKET_COLUMNS = ["id", "ra", "dec", "survey", "band", "size"];
/** Rows of a text of so many characters wait a little longer for the next key. */
const TYPED_MS = 400;

/**
 * Have targets chosen.
 * @param {{max_upload_bytes: number}} limits
 * @param {function(boolean): void} changed is told of each change, and whether it is another table
 */
export function targetsChooser(limits, changed) {
  const drop = document.getElementById("drop");
  const chooser = document.getElementById("file");
  const rows = document.getElementById("rows");
  const box = document.getElementById("source");
  let chosen = null;
  let from = "";
  let said = "";
  let typing;

  const anywhere = t("A file may be dropped anywhere on this page, and rows pasted anywhere.");
  chooser.after(el("p", { class: "help", text: anywhere }));
  chooser.addEventListener("change", () => {
    if (chooser.files[0]) take(chooser.files[0]);
  });
  rows.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => takeText(), TYPED_MS);
  });
  for (const name of ["dragenter", "dragover"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    given(event.dataTransfer);
  });
  document.addEventListener("paste", (event) => {
    const isField = event.target.closest?.("input, textarea, select");
    if (!isField || (event.target === rows && event.clipboardData.files.length)) given(event.clipboardData);
  });

  function given(transfer) {
    const text = transfer.getData("text/plain");
    if (transfer.files.length > 1) tell(t("One table is taken at a time; these are several."));
    else if (transfer.files.length) take(transfer.files[0]);
    else if (text.trim()) {
      rows.value = text;
      takeText();
    }
  }

  function takeText() {
    clearTimeout(typing);
    const text = rows.value;
    const isFirst = !chosen || from !== "text";
    const head = chosen?.head;
    chooser.value = "";
    if (!text.trim()) return clear();
    chosen = new File([text], "rows.txt", { type: "text/plain" });
    chosen.head = text.split("\n", 1)[0];
    from = "text";
    said = "";
    show();
    // Another row is no other table.
    changed(isFirst || head !== chosen.head);
  }

  /** Take a file. */
  function take(file, words = "") {
    rows.value = "";
    chosen = file;
    from = words;
    said = "";
    if (file.size > limits.max_upload_bytes) {
      said = t("{name} has {size}; at most {most} are taken.", {
        name: file.name, size: bytes(file.size), most: bytes(limits.max_upload_bytes),
      });
      chosen = null;
    }
    show();
    changed(true);
  }

  /** Take the places that were listed in the explorer, if there are any. */
  function takeList() {
    const listed = basket();
    if (listed.length) take(fileOf(listed), t("my list, from the explorer"));
  }

  function clear() {
    chosen = null;
    from = said = "";
    chooser.value = "";
    rows.value = "";
    show();
    changed(true);
  }

  function tell(words) {
    said = words;
    show();
  }

  function show() {
    const parts = [];
    if (chosen) {
      const name = from === "text" ? t("Rows as they are typed") : chosen.name;
      const remove = el("button", { class: "button small", text: t("Remove"), attrs: { type: "button" }, on: { click: clear } });
      const told = [el("span", { class: "name", text: name }), el("span", { class: "muted", text: bytes(chosen.size) })];
      if (from && from !== "text") told.push(el("span", { class: "muted", text: from }));
      parts.push(el("div", { class: "source" }, ...told, remove));
    }
    if (said) parts.push(el("div", { class: "box error", attrs: { role: "alert" } }, el("p", { text: said })));
    const listed = basket();
    if (listed.length) parts.push(offers(listed));
    box.replaceChildren(...parts);
    box.hidden = !parts.length;
  }

  function offers(listed) {
    const use = el("button", {
      class: "button small",
      text: tn("Use my list of {n} place", "Use my list of {n} places", listed.length),
      attrs: { type: "button" },
      on: { click: takeList },
    });
    const empty = el("button", {
      class: "quiet",
      text: t("Empty the list"),
      attrs: { type: "button" },
      on: {
        click: () => {
          localStorage.removeItem(BASKET);
          show();
        },
      },
    });
    return el("div", { class: "offers" }, use, empty);
  }

  return {
    file: () => chosen,
    take,
    takeList,
    tell,
    /** Look at what the browser has kept of a page that was left. */
    again() {
      if (chooser.files[0]) take(chooser.files[0]);
      else if (rows.value.trim()) takeText();
      else show();
    },
    /** Tell what is wrong where the service does not answer: it may be the file. */
    async problem(fault) {
      if (fault.status || !chosen) return fault;
      try {
        await chosen.slice(0, 1).arrayBuffer();
        return fault;
      } catch {
        return new ServiceError(0, "", t("{name} has changed since it was chosen: choose it again.", { name: chosen.name }));
      }
    },
  };
}

/** Places that were put into the list of the explorer. */
function basket() {
  try {
    const kept = JSON.parse(localStorage.getItem(BASKET) ?? "[]");
    return Array.isArray(kept) ? kept.filter((row) => row && row.ra !== undefined && row.dec !== undefined) : [];
  } catch {
    return []; // what is there is of somebody else, or nothing may be kept
  }
}

/** Write places as a table, with the columns that any of them says something in. */
function fileOf(listed) {
  const columns = BASKET_COLUMNS.filter((name) => listed.some((row) => row[name] !== undefined && row[name] !== ""));
  return tableOf(columns, listed.map((row) => columns.map((name) => row[name] ?? "")), t("my list"));
}

/**
 * Write rows as a file of CSV.
 * @param {string[]} columns
 * @param {Array<Array<string|number>>} values
 * @param {string} name
 */
export function tableOf(columns, values, name) {
  const cell = (value) => (/[",\r\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const lines = [columns, ...values].map((row) => row.map(cell).join(","));
  return new File([`${lines.join("\n")}\n`], `${name}.csv`, { type: "text/csv" });
}

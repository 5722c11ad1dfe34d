/* The same request from a shell, and from Python. What is pasted there is quoted; a token is never in it. */

import { copyButton, el, t } from "./base.js";

const SAFE = /^[A-Za-z0-9_@%+=:,./?-]+$/;

/**
 * Show how scripts ask for the same.
 * @param {Array<[string, string]>} pairs
 * @param {?File} file
 * @param {{url: string, surveys: object[]}} known
 */
export function showScripts(pairs, file, known) {
  const box = document.getElementById("scripts");
  box.hidden = !file;
  if (!file) return;
  const isOpen = new Map([...box.querySelectorAll("details")].map((one) => [one.dataset.of, one.open]));
  const given = pairs.filter(([name]) => name !== "UPLOAD");
  const parts = [
    ["curl", "curl", curl(given, file.name, known.url)],
    ["batch", "fountain batch", command(given, file.name, known.url)],
    ["python", "Python", python(given, file.name, known.url)],
  ].map(([of, title, text], index) => {
    const details = el("details", { attrs: { open: isOpen.get(of) ?? index === 0 } });
    details.dataset.of = of;
    const pre = el("pre", { attrs: { tabindex: 0, "aria-label": title } }, el("code", { text }));
    const code = el("div", { class: "code" }, pre);
    if (navigator.clipboard) code.append(copyButton(() => text));
    details.append(el("summary", { text: title }), code);
    return details;
  });
  const token = el("p", { class: "help", text: t("Who has a token sends it too, in the header Authorization.") });
  box.replaceChildren(box.querySelector("h2"), ...parts, token);
}

function quoted(text) {
  return SAFE.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function curl(pairs, name, url) {
  const file = `t=@"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  const words = [
    "--form-string UPLOAD=targets,param:t",
    `-F ${quoted(file)}`,
    ...[...pairs, ["PHASE", "RUN"]].map(([key, value]) => `--form-string ${quoted(`${key}=${value}`)}`),
    quoted(`${url}/async`),
  ];
  return `curl ${words.join(" \\\n  ")}`;
}

/** Options of `fountain batch`; whatever has none of its own is a --param. */
const OPTIONS = {
  ID: "--id", SIZE: "--size", RADIUS: "--radius", RESPONSEFORMAT: "--format", COLUMNS: "--columns", ONBAD: "--onbad",
  RUNID: "--label",
};

function command(pairs, name, url) {
  const words = pairs.map(([key, value]) =>
    key in OPTIONS ? `${OPTIONS[key]} ${quoted(value)}` : `--param ${quoted(`${key}=${value}`)}`,
  );
  return [`fountain batch ${quoted(name)}`, ...words, `--url ${quoted(url)}`].join(" \\\n  ");
}

function python(pairs, name, url) {
  const text = (value) => JSON.stringify(value).replace(/[\u007f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  const lines = [["UPLOAD", "targets,param:t"], ...pairs, ["PHASE", "RUN"]].map(
    ([key, value]) => `    (${text(key)}, ${text(value)}),`,
  );
  return [
    "import requests",
    "from pyvo.dal import AsyncTAPJob",
    "",
    "parameters = [",
    ...lines,
    "]",
    `with open(${text(name)}, "rb") as table:`,
    `    answer = requests.post(${text(`${url}/async`)}, parameters, files={"t": table})`,
    "answer.raise_for_status()",
    "job = AsyncTAPJob(answer.url, delete=False).wait()",
    "manifest = job.fetch_result().to_table()",
  ].join("\n");
}

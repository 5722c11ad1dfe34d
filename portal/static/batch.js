/* The page of many targets: what is to be done is asked of /estimate with each change, and of /async at last. */

import { ServiceError, announce, data, debounce, path, request, t } from "./base.js";
import { cloned } from "./batch-clone.js";
import { columnsEditor } from "./batch-columns.js";
import { estimatePanel } from "./batch-estimate.js";
import { showScripts } from "./batch-scripts.js";
import { sizeTold, surveyMenu } from "./batch-surveys.js";
import { targetsChooser } from "./batch-targets.js";
import { remember } from "./mine.js";

/** Rows whose places are told with an estimate; all others if somebody wants to see them. */
const PLACES = 5000;
const MOST_PLACES = 10_000;

const form = document.getElementById("batch");
const known = data("batch-known");

function start() {
  const submit = document.getElementById("submit");
  const reasonBox = document.getElementById("reason");
  const columns = columnsEditor(known.columns, changed);
  const panel = estimatePanel({ more: morePlaces, use: (values) => fill(values) });
  const targets = targetsChooser(known.limits, (isNew) => {
    if (isNew) columns.reset();
    changed();
  });
  const surveys = surveyMenu(known.surveys, changed);
  const examples = document.getElementById("size-help").textContent;
  const estimateSoon = debounce(300, estimate);
  let running = null;
  let told = null;
  let problem = null;
  let isSent = false;

  document.getElementById("others").hidden = false;
  form.addEventListener("input", (event) => {
    if (event.target.name && event.target.name !== "t" && event.target.name !== "RUNID") changed();
    else if (event.target.id === "more") changed();
    else if (event.target.name === "RUNID") scripts();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "ID" && event.target.checked) leaveOthers(event.target);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  // Who comes back to a page that the browser kept may send it once more.
  addEventListener("pageshow", () => {
    isSent = false;
    tellReason();
  });

  /** What is asked for, as pairs of name and value; the table aside. */
  function asked() {
    const pairs = [...new FormData(form)].filter(
      ([name, value]) => name !== "t" && name !== "PHASE" && name !== "COLUMNS" && String(value).trim() !== "",
    );
    const mapping = columns.value();
    if (mapping) pairs.push(["COLUMNS", mapping]);
    for (const line of document.getElementById("more").value.split("\n")) {
      const [, name, value] = /^\s*([A-Za-z_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (name && value) pairs.push([name.toUpperCase(), value]);
      else if (line.trim()) throw new ServiceError(0, "", t("Other parameters are written NAME=VALUE, each on a line."));
    }
    return pairs;
  }

  function body(more) {
    const made = new FormData();
    for (const [name, value] of [...asked(), ...more]) made.append(name, value);
    const file = targets.file();
    made.append("t", file, file.name);
    return made;
  }

  function changed() {
    const survey = known.surveys.find(({ name }) => name === surveys.name());
    const isOfAlerts = survey?.kind === "alerts";
    const size = sizeTold(form.elements.SIZE.value, survey?.pixel_scale_arcsec);
    // What is disabled is not sent.
    form.elements.SIZE.disabled = isOfAlerts;
    document.getElementById("size-help").textContent = isOfAlerts ? t("Stamps of alerts have a size of their own.") : size || examples;
    running?.abort();
    running = told = problem = null;
    if (targets.file()) panel.busy();
    else panel.empty();
    tellReason();
    scripts();
    estimateSoon();
  }

  async function estimate() {
    if (!targets.file()) return;
    running?.abort();
    const mine = (running = new AbortController());
    try {
      const places = [["VERDICTS", "true"], ["LIMIT", PLACES]];
      const answer = await request("/estimate", { form: body(places), signal: mine.signal });
      told = await answer.json();
      if (mine.signal.aborted) return;
      problem = null;
      columns.show(told.columns);
      panel.show(told);
      announce(panel.summary(told));
    } catch (fault) {
      if (fault.name === "AbortError" || mine.signal.aborted) return;
      problem = fault instanceof ServiceError ? await targets.problem(fault) : fault;
      panel.fault(problem);
      announce(problem.message);
    }
    running = null;
    tellReason();
    scripts();
  }

  /** Fetch the places of rows that the estimate did not tell. */
  async function morePlaces(after, take) {
    const signal = running?.signal;
    const mine = told;
    while (after !== null && told === mine) {
      const page = [["VERDICTS", "true"], ["AFTER", after], ["LIMIT", MOST_PLACES]];
      const answer = await request("/estimate", { form: body(page), signal });
      const rows = (await answer.json()).row_verdicts;
      if (!rows || told !== mine) return;
      take(rows);
      after = rows.next_after;
    }
  }

  function scripts() {
    let pairs = [];
    try {
      pairs = asked();
    } catch {
      // It is said beside the estimate.
    }
    showScripts(pairs, targets.file(), known);
  }

  /** Why the job cannot be submitted; "" if it can. */
  function reason() {
    if (isSent) return t("The job is on its way.");
    if (!targets.file()) return t("There are no targets yet.");
    if (problem) return problem.status ? t("What is asked for is wrong, as it says above.") : problem.message;
    if (!told) return t("The estimate is being made.");
    if (told.refused) return t("The service would refuse it, as it says above.");
    return "";
  }

  function tellReason() {
    const why = reason();
    submit.setAttribute("aria-disabled", String(Boolean(why)));
    submit.setAttribute("aria-describedby", "reason");
    reasonBox.textContent = why;
  }

  async function send() {
    const why = reason();
    if (why) {
      announce(why);
      return;
    }
    isSent = true;
    tellReason();
    try {
      // It answers 303, and leads to the job.
      const answer = await request("/async", { form: body([["PHASE", "RUN"]]) });
      const job = await answer.json();
      if (!known.isKnown) remember(job.id);
      location.assign(path(`/jobs/${job.id}`));
    } catch (fault) {
      isSent = false;
      problem = fault;
      panel.fault(fault);
      tellReason();
      announce(fault.message);
    }
  }

  /** Data of one survey at a time, unless somebody holds Shift or has no other: what is checked elsewhere goes. */
  function leaveOthers(box) {
    const here = box.closest(".survey");
    for (const other of form.querySelectorAll('input[name="ID"]:checked')) {
      const isWhole = (one) => one.closest(".toggle").classList.contains("wide");
      const isElse = other.closest(".survey") !== here || isWhole(other) !== isWhole(box);
      if (other !== box && isElse) other.checked = false;
    }
  }

  /** Fill the form in; what it has no field for stands among the other parameters. */
  function fill(values, isWhole = false) {
    const others = [];
    if (isWhole) {
      for (const box of form.querySelectorAll('input[type="checkbox"]')) box.checked = false;
      for (const field of form.querySelectorAll("select")) field.value = "";
      form.elements.SIZE.value = "";
    }
    for (const [name, value] of values) {
      const field = form.querySelector(`[name="${CSS.escape(name)}"]:not([type="checkbox"], [type="hidden"])`);
      const boxes = [...form.querySelectorAll(`input[type="checkbox"][name="${CSS.escape(name)}"]`)];
      const box = boxes.find((one) => one.value.toLowerCase() === value.toLowerCase());
      if (name === "COLUMNS") columns.reset(value);
      else if (box) box.checked = true;
      else if (field && !boxes.length && name !== "t") {
        field.value = value;
        if (field.value !== value) others.push(`${name}=${value}`);
      } else others.push(`${name}=${value}`);
    }
    surveys.follow();
    if (isWhole || others.length) document.getElementById("more").value = others.join("\n");
    changed();
  }

  async function clone(id) {
    try {
      const found = await cloned(id);
      targets.take(found.file, found.from);
      fill(found.values, true);
    } catch (fault) {
      targets.tell(fault.message);
    }
  }

  changed();
  targets.again();
  const from = new URLSearchParams(location.search).get("from");
  if (from) clone(from);
  else if (location.hash === "#list" && !targets.file()) targets.takeList();
}

if (form) start();

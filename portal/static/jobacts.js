/* What is done to the jobs that are chosen in the table of jobs: by the form of the page, which stays where it is. */

import { announce, copyButton, el, request, t, tn } from "./base.js";

/**
 * Have the form act without leaving the page.
 * @param {object} how
 * @param {HTMLFormElement} how.form
 * @param {HTMLElement} how.rows of the jobs
 * @param {function(object): Promise<void>} how.done is told what came of an act
 * @returns {{chosen: function(): void}} to be called when rows have come or gone
 */
export function actOn({ form, rows, done }) {
  const all = document.getElementById("choose-all");
  const bar = document.getElementById("bar");
  const said = document.getElementById("said");
  const boxes = () => [...rows.querySelectorAll("input")].filter((box) => !box.disabled);
  const checked = () => boxes().filter((box) => box.checked);

  function chosen() {
    const [some, those] = [boxes(), checked()];
    bar.hidden = those.length === 0;
    document.getElementById("chosen").textContent = tn("{n} job chosen:", "{n} jobs chosen:", those.length);
    for (const button of bar.querySelectorAll("button")) button.disabled = fitting(button).length === 0;
    const unlink = bar.querySelector("[value=unlink]");
    unlink.hidden = unlink.disabled;
    all.hidden = some.length === 0;
    all.checked = some.length > 0 && those.length === some.length;
    all.indeterminate = those.length > 0 && those.length < some.length;
  }

  /** Those of the chosen jobs to which what a button says can be done. */
  function fitting(button) {
    const can = (box) => box.closest("tr").dataset.can.split(" ");
    return checked().filter((box) => can(box).includes(button.dataset.needs));
  }

  async function act(button) {
    const those = fitting(button).map((box) => box.value);
    if (button.value === "delete" && !(await isSure(those.length))) return;
    const sent = new URLSearchParams([["act", button.value], ...those.map((id) => ["of", id])]);
    const group = form.elements.group?.value;
    if (button.value === "share" && group) sent.set("group", group);
    say("refused", []);
    said.textContent = "";
    bar.disabled = true;
    try {
      const answer = await request("/jobs", { form: sent });
      await told(await answer.json());
    } catch (fault) {
      say("refused", [[fault.message, fault.fix].filter(Boolean).join(". ")]);
    } finally {
      bar.disabled = false;
      chosen();
    }
  }

  async function told(outcome) {
    say("refused", outcome.refused.map(({ id, why, fix }) => `${id.slice(0, 8)}: ${why}. ${fix}`));
    for (const box of checked()) if (outcome.done.includes(box.value)) box.checked = false;
    showLinks(Object.values(outcome.links));
    if (outcome.done.length > 0) {
      said.textContent = wordsOf(outcome);
      announce(said.textContent);
    }
    await done(outcome);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.dataset.needs) act(event.submitter);
  });
  form.addEventListener("change", (event) => {
    if (event.target === all) for (const box of boxes()) box.checked = all.checked;
    chosen();
  });
  bar.classList.add("at-hand");
  chosen();
  return { chosen };
}

function wordsOf({ act, done, made }) {
  const n = done.length;
  switch (act) {
    case "abort":
      return tn("{n} job was aborted; what was finished stays.", "{n} jobs were aborted; what was finished stays.", n);
    case "delete":
      return tn("{n} job was deleted.", "{n} jobs were deleted.", n);
    case "extend":
      return tn("{n} job is kept longer.", "{n} jobs are kept longer.", n);
    case "retry":
      return tn("{n} new job does what is missing.", "{n} new jobs do what is missing.", made.length);
    case "link":
      return tn("{n} link was made.", "{n} links were made.", n);
    case "unlink":
      return tn("{n} link was taken back.", "{n} links were taken back.", n);
    default:
      return tn("{n} job was changed.", "{n} jobs were changed.", n);
  }
}

function say(id, lines) {
  const box = document.getElementById(id);
  box.hidden = lines.length === 0;
  box.replaceChildren(...lines.map((text) => el("p", { text })));
}

function showLinks(urls) {
  const box = document.getElementById("links");
  box.hidden = urls.length === 0;
  const lines = urls.map((url) => el("li", {}, el("code", { class: "long", text: url }), copyButton(() => url)));
  box.querySelector("ul").replaceChildren(...lines);
}

/** Ask whether some jobs are to be deleted. */
function isSure(n) {
  const dialog = document.getElementById("sure");
  document.getElementById("sure-title").textContent = tn("Delete {n} job?", "Delete {n} jobs?", n);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

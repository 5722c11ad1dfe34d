/* The page of a job: rows as pictures and as a table, and what changes while it runs. */

import { announce, bytes, copyButton, data, debounce, el, request, t } from "./base.js";
import { Gallery } from "./gallery.js";
import { below, Ledger } from "./ledger.js";
import { follow, stateIn } from "./live.js";
import { show as showProgress } from "./progress.js";
import { RowsTable } from "./rows.js";
import { Side } from "./side.js";
import { makeTabs } from "./tabs.js";

/** Rows and words of the page are read again so often at most. */
const ROWS_MS = 2000;
const PAGE_MS = 1500;
const OVER = ["COMPLETED", "ERROR", "ABORTED"];

const job = data("job");
const filter = document.getElementById("filter");

const ledger = new Ledger();
let gallery = null;
let table = null;
let part = "";

function startRows() {
  const side = new Side(document.getElementById("side"), ledger, (index) => gallery?.go(index));
  const open = (index) => side.show(index);
  if (job.isSingle) {
    const button = document.getElementById("details");
    button.hidden = false;
    button.addEventListener("click", () => open(0));
    return;
  }
  const place = document.getElementById("gallery");
  for (const old of place.querySelectorAll(".tiles, .pages, .nothing")) old.remove();
  gallery = new Gallery(place, ledger, open);
  table = new RowsTable(document.getElementById("table"), ledger, open, sortBy);
  ledger.choose({});
}

function startFilter() {
  filter.querySelector(".apply").hidden = true;
  filter.addEventListener("submit", (event) => {
    event.preventDefault();
    choose();
  });
  filter.addEventListener("change", choose);
  document.getElementById("text").addEventListener("input", debounce(250, choose));
}

/** Show the rows that the form says, and keep that in the address of the page. */
function choose() {
  const said = new FormData(filter);
  const sort = said.get("sort");
  const chosen = {
    sort: sort && said.has("desc") ? `${sort},desc` : sort,
    status: said.getAll("status"),
    text: said.get("text").trim(),
  };
  if (JSON.stringify(chosen) === JSON.stringify(ledger.chosen)) return;
  const query = new URLSearchParams();
  if (job.link) query.set("LINK", job.link);
  if (chosen.sort) query.set("sort", chosen.sort);
  for (const status of chosen.status) query.append("status", status);
  if (chosen.text) query.set("text", chosen.text);
  history.replaceState(null, "", `${location.pathname}${query.size ? "?" : ""}${query}${location.hash}`);
  gallery.grid.scrollTop = 0;
  gallery.active = table.first = 0;
  ledger.choose(chosen);
}

/** Sort by a column of the table: once more turns the order round. */
function sortBy(column) {
  const isSame = filter.elements.sort.value === column;
  filter.elements.desc.checked = isSame && !filter.elements.desc.checked;
  filter.elements.sort.value = column;
  choose();
}

function startParts() {
  const form = document.getElementById("parts");
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const list = document.getElementById("part-list");
    list.replaceChildren(el("p", { class: "muted", text: t("Dividing …") }));
    try {
      const told = await (await request(below("results/archive", new FormData(form)))).json();
      const links = told.parts.map((one) => el("li", {}, el("a", { text: one.name, attrs: { href: withLink(one.url), download: true } }), el("span", { class: "muted", text: ` ${bytes(one.bytes)}` })));
      list.replaceChildren(el("ol", {}, ...links));
    } catch (fault) {
      list.replaceChildren(el("p", { class: "box error", text: `${fault.message} ${fault.fix ?? ""}` }));
    }
  });
}

function withLink(url) {
  const made = new URL(url);
  if (job.link) made.searchParams.set("LINK", job.link);
  return made.href;
}

/** A link is shown where it was asked for, once. */
function startLink() {
  document.addEventListener("submit", async (event) => {
    if (event.target.id !== "link-form" || event.submitter?.value !== "LINK") return;
    event.preventDefault();
    const form = event.target;
    try {
      const told = await (await request(below(""), { form: new URLSearchParams({ ACTION: "LINK" }) })).json();
      const address = el("input", { attrs: { readonly: true, value: told.url, "aria-label": t("Link") } });
      form.replaceChildren(el("p", { text: t("Whoever has it sees this job until {day}. It is shown only now.", { day: told.until.slice(0, 10) }) }), address, plainCopy(() => told.url));
      address.select();
    } catch (fault) {
      form.append(el("p", { class: "box error", text: fault.message }));
    }
  });
}

function plainCopy(text) {
  const button = copyButton(text);
  button.classList.remove("copy");
  return button;
}

/** Put the words of the page as the service would write them now in the place of those that are there. */
async function renew() {
  const answer = await request(location.pathname.slice(root()) + location.search, { accept: "text/html" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = page.getElementById(old.id);
    const isInUse = old.contains(document.activeElement) || old.querySelector("details[open]");
    if (!now || isInUse || old.innerHTML === now.innerHTML) continue;
    const live = document.getElementById("live");
    old.replaceChildren(...now.childNodes);
    if (live && old.id === "sub") document.getElementById("live").replaceWith(live);
    for (const box of old.querySelectorAll(".code")) box.append(copyButton(() => box.querySelector("pre").textContent));
  }
  const statuses = page.getElementById("statuses");
  if (statuses && filter && !filter.contains(document.activeElement)) {
    filter.hidden = !["gallery", "table"].includes(part);
    const chosen = ledger.chosen.status;
    document.getElementById("statuses").replaceChildren(...statuses.childNodes);
    for (const box of filter.querySelectorAll('[name="status"]')) box.checked = chosen.includes(box.value);
  }
  startParts();
}

/** Letters of the path of the page that are those of the root of the service. */
function root() {
  return location.pathname.length - `/jobs/${job.id}`.length;
}

function startLive() {
  let phase = job.phase;
  const rows = atMostEvery(ROWS_MS, () => (part === "table" ? table : gallery)?.refresh());
  const words = atMostEvery(PAGE_MS, renew);

  function changed(now) {
    showProgress(now, now.phase);
    rows();
    if (now.phase !== phase) {
      announce(t("The job is now: {phase}", { phase: job.phases[now.phase] ?? now.phase }));
      phase = now.phase;
    }
    job.isActive = !OVER.includes(now.phase);
    words();
    if (!job.isActive) followed.stop();
  }

  const followed = follow({
    stream: below("events"),
    after: String(job.seq),
    on: {
      event: (told) => changed(told.job),
      job: (told) => changed(told),
      end: () => words(),
    },
    poll: async (signal) => {
      const now = await (await request(below(""), { signal })).json();
      changed(now);
    },
    told: stateIn(document.getElementById("live")),
  });
}

/** Have `f` called now and then: at once, and again after a while if it was asked for meanwhile. */
function atMostEvery(ms, f) {
  let isWaiting = false;
  let isAsked = false;
  async function run() {
    isWaiting = true;
    isAsked = false;
    try {
      await f();
    } catch (fault) {
      if (fault.name !== "AbortError") console.warn(fault.message);
    }
    setTimeout(() => {
      isWaiting = false;
      if (isAsked) run();
    }, ms);
  }
  return () => {
    isAsked = true;
    if (!isWaiting) run();
  };
}

if (job.mayHave) {
  startRows();
  if (filter) startFilter();
}
startParts();
startLink();
makeTabs(document.getElementById("tabs"), (id) => {
  part = id;
  if (filter) filter.hidden = !job.isPackaged || !job.counts.total || !["gallery", "table"].includes(id);
  if (id === "table") table?.show();
  if (id === "gallery") gallery?.arrange();
});
if (job.isActive) startLive();

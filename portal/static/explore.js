/* The explorer: the form says what is asked for, the service what comes of it; sky, numbers and address follow. */

import { ServiceError, announce, data, debounce, el, path, request, t, tn } from "./base.js";
import { angleText, linkedSize } from "./explore-size.js";
import { Preview, tellCode, tellOutcome } from "./explore-result.js";
import { reshaped } from "./geometry.js";
import { remember } from "./mine.js";
import { allowance, lookUp, mayBeName, mayLookUp } from "./names.js";
import { NoHub, send } from "./samp.js";
import { Sky, regionOf } from "./sky.js";

/** So long after the last change it is asked what comes of it. */
const WAIT_MS = 120;
const BASKET = "fountain-basket";
const SLIDER_STEPS = 200;
/** Fields of a region, by its shape. */
const REGION = { circle: "radius", box: "size", polygon: "points" };

const page = data("explore");
const form = document.getElementById("asked");

if (form) begin();

function begin() {
  const byId = (id) => document.getElementById(id);
  const field = (name) => form.elements.namedItem(name);
  const surveys = new Map(page.surveys.map((survey) => [survey.name, survey]));
  const preview = new Preview(byId("preview"));
  const sky = new Sky(byId("sky"), page.viewer, drawn);
  const size = linkedSize(resized);
  const soon = debounce(WAIT_MS, ask);
  let found = page.found;
  let asking = new AbortController();
  let looking = new AbortController();
  let bytesOfPixel = 0;
  // Whether the form says something else than what was found, and what is to be done once it is found.
  let isOld = false;
  let changes = 0;
  let next = null;
  let echoed;
  // Who was quicker than the scripts has changed something already.
  const isTouched = [...form.elements].some(wasChanged);

  byId("linked").append(size.element);
  byId("names").append(allowance(() => echo()));
  for (const name of ["q", "softening"]) addSlider(field(name), () => defaultOf(name), changed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    changed();
  });
  form.addEventListener("input", (event) => {
    if (event.target.name) change(event.target);
  });
  addActions();
  show();
  preview.show(found.preview, asking.signal).then((headers) => tellOutcome(byId("told"), found.outcome, headers), ignoreAbort);
  if (isTouched) changed();

  /** Something of the form was changed. */
  function change(target) {
    if (target.name === "survey") field("recipe").value = "";
    if (target.name === "shape") {
      const region = regionOf(found);
      if (region) return drawn(reshaped(region, target.value), true);
    }
    changed();
  }

  function changed() {
    preview.age();
    isOld = true;
    changes += 1;
    soon();
  }

  /** Have an element act on what the form says now, and not on what it said before. */
  function whenFound(element) {
    element.addEventListener(
      "click",
      (event) => {
        if (!isOld) return;
        event.preventDefault();
        event.stopImmediatePropagation();
        next = element;
      },
      true,
    );
  }

  /** Do what was asked for while it was not known yet what comes of the form. */
  function goOn() {
    const wanted = next;
    isOld = false;
    next = null;
    if (wanted && !wanted.closest("[hidden]")) wanted.click();
  }

  /** The query that says what the form does. */
  function query() {
    const said = new URLSearchParams();
    const values = new FormData(form);
    const shape = values.get("shape");
    const bands = values.getAll("bands");
    for (const [name, value] of values) {
      if (name === "bands" || !String(value).trim()) continue;
      if (Object.values(REGION).includes(name) && name !== REGION[shape]) continue;
      if (name === "edge" && value === "auto") continue;
      said.set(name, String(value).trim());
    }
    if (bands.length) said.set("bands", bands.join(","));
    return said;
  }

  /** Ask the service what comes of the form; what was asked before is no longer of interest. */
  async function ask() {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const said = query();
    const of = changes;
    history.replaceState(null, "", `?${said}`);
    try {
      const answer = await request(`/explore?${said}`, { signal });
      found = await answer.json();
      show();
      if (of === changes) goOn();
      const headers = await preview.show(found.preview, signal);
      tellOutcome(byId("told"), found.outcome, headers);
    } catch (fault) {
      if (fault instanceof ServiceError) tellProblems([{ field: "", message: fault.message, fix: fault.fix }]);
      else ignoreAbort(fault);
    }
  }

  /** Show what the service has said. */
  function show() {
    const survey = surveys.get(found.survey);
    const { outcome } = found;
    tellProblems(found.problems);
    showBands(survey);
    showRecipes();
    byId("look").dataset.algorithm = found.algorithm;
    if (outcome.width) bytesOfPixel = outcome.bytes / (outcome.width * outcome.height);
    const pixel = (survey.pixel_scale_arcsec ?? 0) / 3600;
    const most = Math.round(1.2 * Math.sqrt(page.limits.max_pixels));
    size.element.hidden = found.shape === "polygon";
    size.show(found.extent, { half: found.shape === "circle", pixel, bytes: bytesOfPixel, most });
    showSky(survey, pixel);
    tellOutcome(byId("told"), outcome, null);
    tellCode(byId("code"), found.code);
    offer();
    if (found.at !== echoed) {
      echoed = found.at;
      echo();
    }
    for (const slider of form.querySelectorAll("input[type=range][data-of]")) slider.follow();
  }

  function showSky(survey, pixel) {
    const id = found.parameters.filter(([name]) => name === "ID" || name === "FILTER");
    const source = (id.length ? id : [["ID", survey.did]]).map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
    const rgb = new URLSearchParams(found.preview?.slice("sync?".length) ?? "");
    const look = ["RGB", "RECIPE"].filter((name) => rgb.has(name)).map((name) => `&${name}=${encodeURIComponent(rgb.get(name))}`);
    const start = found.start?.split(" ").map(Number) ?? null;
    sky.show(regionOf(found), { start, survey: { ...survey, shown: hipsOf(survey) }, source: source + look.join(""), pixel });
    const refusal = found.problems.find((problem) => problem.field === REGION[found.shape]);
    sky.stencil.refuse(refusal && found.outcome.by !== "sync" ? tooLarge() : "");
  }

  /** The HiPS that shows the bands: that of the one, or the colours. */
  function hipsOf(survey) {
    const chosen = survey.bands.filter((band) => band.hips && (found.bands.includes(band.name) || !survey.hips));
    return (found.bands.length === 1 && chosen[0]?.hips) || survey.hips || chosen[0]?.hips || null;
  }

  function tooLarge() {
    return found.outcome.by === "async" ? t("Too large to be sent at once") : t("Too large");
  }

  function showBands(survey) {
    const box = byId("bands");
    const names = survey.bands.map((band) => band.name);
    const shown = [...box.querySelectorAll("input")].map((input) => input.value);
    if (names.join() !== shown.join()) {
      const bands = names.map((name) => {
        const input = el("input", { attrs: { type: "checkbox", name: "bands", value: name } });
        return el("label", { class: "segment" }, input, el("span", { text: name }));
      });
      box.replaceChildren(...bands);
      for (const input of box.querySelectorAll("input")) input.checked = found.bands.includes(input.value);
    }
    for (const input of box.querySelectorAll("input")) {
      const covered = found.covered[input.value] ?? true;
      input.parentElement.classList.toggle("none", !covered);
      input.parentElement.title = covered ? "" : t("no images here");
    }
  }

  function showRecipes() {
    const select = field("recipe");
    const [first, last] = [select.options[0], select.options[select.options.length - 1]];
    const chosen = select.value;
    select.replaceChildren(first, ...found.recipes.map((name) => el("option", { text: name, attrs: { value: name } })), last);
    select.value = [...select.options].some((option) => option.value === chosen) ? chosen : "";
  }

  /** Say what is wrong, beside what it is wrong with. */
  function tellProblems(problems) {
    for (const box of form.querySelectorAll(".problem")) {
      const name = box.id.replace("problem-", "");
      const here = problems.filter((problem) => (problem.field || "all") === name);
      box.hidden = !here.length;
      box.replaceChildren(
        ...here.map(({ message, fix }) => el("p", {}, el("strong", { text: capital(message) }), ` ${fix}`)),
      );
      const named = name !== "all" && field(name);
      if (named instanceof Element) named.setAttribute("aria-invalid", String(here.length > 0));
    }
  }

  /** The region was drawn. */
  function drawn(region, isLast) {
    field("shape").value = region.shape;
    if (region.shape === "polygon") {
      field("points").value = region.points.map(([ra, dec]) => `${degrees(ra)} ${degrees(dec)}`).join(" ");
    } else {
      setSize(region.shape, region.width, region.height);
    }
    field("at").value = `${degrees(region.ra)} ${degrees(region.dec)}`;
    size.show([region.width, region.height], { half: region.shape === "circle" });
    sky.stencil.refuse(isOver(region) ? t("Too large to be sent at once") : "");
    preview.age();
    if (isLast) ask();
    else soon();
  }

  /** Whether a region has more pixels than are sent at once, which the service says with more words. */
  function isOver(region) {
    const pixel = (surveys.get(found.survey).pixel_scale_arcsec ?? 0) / 3600;
    return pixel > 0 && region.shape !== "polygon" && (region.width * region.height) / pixel ** 2 > page.limits.max_pixels;
  }

  /** A size was typed, or moved to. */
  function resized(width, height) {
    setSize(found.shape, width, height);
    const region = regionOf(found);
    if (region && found.shape !== "polygon") {
      const next = { ...region, width, height };
      found = { ...found, extent: [width, height] };
      sky.stencil.show(next);
      sky.stencil.refuse(isOver(next) ? t("Too large to be sent at once") : "");
    }
    changed();
  }

  function setSize(shape, width, height) {
    if (shape === "circle") field("radius").value = angleText(width / 2);
    else if (Math.abs(width - height) < 1e-9) field("size").value = angleText(width);
    else field("size").value = `${Number((width * 3600).toPrecision(6))} ${Number((height * 3600).toPrecision(6))}arcsec`;
  }

  /** Say where a position is, in other notations; what is none may be a name. */
  async function echo() {
    looking.abort();
    looking = new AbortController();
    const { signal } = looking;
    const text = found.at;
    const box = byId("echo");
    if (!found.problems.some((problem) => problem.field === "at" && !found.place)) {
      const place = found.place ? found.place.map((number) => number.toFixed(7)).join(" ") : text;
      try {
        const answer = await request(`/position?${new URLSearchParams({ TEXT: place })}`, { signal });
        const told = await answer.json();
        const galactic = told.galactic.map((number) => number.toFixed(3)).join(", ");
        const said = [told.sexagesimal, `${told.decimal}°`, `l, b ${galactic}`, told.constellation];
        box.replaceChildren(...said.map((words) => el("span", { text: words })));
      } catch (fault) {
        if (!(fault instanceof ServiceError)) ignoreAbort(fault);
      }
      return;
    }
    box.replaceChildren();
    if (mayLookUp() && mayBeName(text)) await named(text, signal);
  }

  async function named(text, signal) {
    const box = byId("echo");
    box.textContent = t("Looking up {name} …", { name: text });
    try {
      const place = await lookUp(text, signal);
      if (!place) {
        box.textContent = t("The CDS knows nothing of the name {name}.", { name: text });
        return;
      }
      field("at").value = place.map(degrees).join(" ");
      announce(t("{name} is at {place}", { name: text, place: field("at").value }));
      ask();
    } catch (fault) {
      if (signal.aborted) return;
      box.textContent = t("The CDS does not answer.");
    }
  }

  function addActions() {
    const add = el("button", { class: "button", text: t("Add to list"), attrs: { type: "button", id: "add" }, on: { click: addToList } });
    const share = el("button", { class: "button", text: t("Copy link"), attrs: { type: "button" }, on: { click: copyLink } });
    const samp = el("button", { class: "button", text: t("Send by SAMP"), attrs: { type: "button", id: "samp" }, on: { click: sendOn } });
    samp.title = t("To TOPCAT, Aladin or others that run on this machine");
    byId("actions").append(add, ...(navigator.clipboard ? [share] : []), samp);
    byId("actions").after(el("p", { class: "said", attrs: { id: "said", role: "status" } }));
    for (const element of [byId("download"), byId("samp"), byId("add"), byId("job").querySelector("button")]) whenFound(element);
    byId("job").addEventListener("submit", submit);
    tellList();
  }

  /** Offer what can be done with the request as it is. */
  function offer() {
    const download = byId("download");
    download.hidden = !found.download;
    if (found.download) download.href = path(`/${found.download}`);
    byId("job").hidden = found.outcome.by !== "async";
    byId("samp").hidden = !found.download;
    byId("add").hidden = !found.place || !found.extent;
    byId("elsewhere").hidden = !found.start || Object.values(found.covered).some(Boolean);
    byId("elsewhere-link").href = path(`/explore?survey=${encodeURIComponent(found.survey)}`);
    byId("link").href = path(`/explore?${found.query}`);
  }

  async function submit(event) {
    event.preventDefault();
    const wanted = new URLSearchParams([...found.parameters, ["PHASE", "RUN"]]);
    try {
      const job = await (await request("/async", { form: wanted })).json();
      if (!document.querySelector(".who-name")) remember(job.id);
      location.assign(path(`/jobs/${job.id}`));
    } catch (fault) {
      say(fault instanceof ServiceError ? `${fault.message} ${fault.fix}` : String(fault));
    }
  }

  function addToList() {
    const rows = listed();
    const [ra, dec] = found.place.map((number) => Number(degrees(number)));
    const { extent, survey, bands } = found;
    const sides = [...new Set(extent.map((side) => Number((side * 3600).toPrecision(6))))];
    rows.push({ id: String(rows.length + 1), ra, dec, survey, band: bands.join(","), size: `${sides.join(" ")}arcsec` });
    try {
      localStorage.setItem(BASKET, JSON.stringify(rows));
    } catch {
      return say(t("This browser keeps no list."));
    }
    tellList();
    announce(tn("{n} place in your list", "{n} places in your list", rows.length));
  }

  function tellList() {
    const rows = listed();
    if (!rows.length) return;
    const words = tn("{n} place in your list", "{n} places in your list", rows.length);
    byId("said").replaceChildren(el("a", { text: words, attrs: { href: path("/batch#list") } }));
  }

  async function copyLink() {
    await navigator.clipboard.writeText(new URL(path(`/explore?${found.query}`), location.href).href);
    say(t("The link to this view is copied."));
  }

  async function sendOn() {
    const url = new URL(path(`/${found.download}`), location.href).href;
    say(t("Asking the hub …"));
    try {
      const name = found.outcome.file_name;
      const number = await send("image.load.fits", { url, name }, "Soda Fountain");
      say(number ? tn("Sent to {n} program.", "Sent to {n} programs.", number) : t("No program there opens images."));
    } catch (fault) {
      if (!(fault instanceof NoHub)) throw fault;
      say(t("No hub lets this page in. Start TOPCAT or Aladin on this machine, and try again."));
    }
  }

  function say(words) {
    byId("said").textContent = words;
  }

  /** What the recipe says where nothing else is said. */
  function defaultOf(name) {
    const { recipes } = surveys.get(found.survey);
    const chosen = field("recipe").value || found.recipes[0];
    return recipes.find((recipe) => recipe.name === chosen)?.[name] ?? (name === "q" ? 8 : 0.1);
  }
}

/** A slider beside a field of a number, from a fiftieth of what is usual to fifty times that. */
function addSlider(input, usual, changed) {
  const slider = el("input", { attrs: { type: "range", min: -SLIDER_STEPS, max: SLIDER_STEPS, step: 1, "data-of": input.name } });
  slider.setAttribute("aria-label", input.labels[0].textContent);
  slider.follow = () => {
    if (document.activeElement === slider) return;
    input.placeholder = String(usual());
    slider.value = String((SLIDER_STEPS * Math.log((Number(input.value) || usual()) / usual())) / Math.log(50));
  };
  slider.addEventListener("input", () => {
    input.value = String(Number((usual() * 50 ** (slider.value / SLIDER_STEPS)).toPrecision(3)));
    changed();
  });
  input.before(slider);
  slider.follow();
}

/** Whether a field says something else than the page came with. */
function wasChanged({ type, checked, defaultChecked, value, defaultValue, options }) {
  if (options) {
    const usual = [...options].find((option) => option.defaultSelected) ?? options[0];
    return Boolean(usual) && value !== usual.value;
  }
  if (type === "checkbox" || type === "radio") return checked !== defaultChecked;
  return defaultValue !== undefined && value !== defaultValue;
}

function listed() {
  try {
    const rows = JSON.parse(localStorage.getItem(BASKET) ?? "[]");
    return Array.isArray(rows) ? rows : [];
  } catch {
    return [];
  }
}

function degrees(number) {
  return String(Number(number.toFixed(6)));
}

function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function ignoreAbort(fault) {
  if (fault.name !== "AbortError") throw fault;
}

/* The first page: what is typed is read while it is typed, and names are looked up if that is allowed. */

import { announce, debounce, t } from "./base.js";
import { NameNotAsked, consent, consentQuestion, findPlace } from "./resolve.js";

const form = document.getElementById("ask");
if (form) start(form);

// A picture that the service has no time for now is left out.
for (const picture of document.querySelectorAll(".pictures img")) {
  const leaveOut = () => picture.closest("figure").remove();
  if (picture.complete && !picture.naturalWidth) leaveOut();
  else picture.addEventListener("error", leaveOut);
}

function start(form) {
  const field = document.getElementById("at");
  const told = document.getElementById("understood");
  const question = document.getElementById("question");
  const how = told.textContent;
  let asking = new AbortController();

  function say(text, isWrong = false) {
    told.textContent = text;
    told.classList.toggle("wrong", isWrong);
    field.setAttribute("aria-invalid", String(isWrong));
  }

  async function find() {
    asking.abort();
    asking = new AbortController();
    return findPlace(field.value.trim(), { signal: asking.signal });
  }

  const echo = debounce(300, async () => {
    if (!field.value.trim()) return say(how);
    // A name is looked up when it is sent, and not letter by letter.
    if (/\p{L}{2}/u.test(field.value) && !/^(gal|l\s*=)/i.test(field.value.trim())) return say(t("The name is looked up when you press Show."));
    try {
      say(written(await find()));
    } catch (fault) {
      if (fault.name !== "AbortError" && !(fault instanceof NameNotAsked)) say(fault.message, true);
    }
  });

  field.addEventListener("input", () => {
    question.replaceChildren();
    echo();
  });

  form.addEventListener("submit", async (event) => {
    if (!/\p{L}/u.test(field.value)) return; // numbers: the explorer reads them itself
    event.preventDefault();
    try {
      const place = await find();
      if (place.name) field.value = place.decimal;
      form.submit();
    } catch (fault) {
      if (fault.name === "AbortError") return;
      if (fault instanceof NameNotAsked && consent() === "") ask();
      else if (fault instanceof NameNotAsked) {
        say(t("This is no position, and names are not looked up as you have chosen."), true);
        ask();
      } else say([fault.message, fault.fix].filter(Boolean).join(" "), true);
    }
  });

  function ask() {
    const asked = consentQuestion((isAllowed) => {
      question.replaceChildren();
      if (isAllowed) form.requestSubmit();
      else say(t("Write a position."), true);
    });
    question.replaceChildren(asked);
    announce(asked.textContent);
    asked.querySelector("button").focus();
  }
}

/** A place in all notations. */
function written(place) {
  const [l, b] = place.galactic;
  return t("{sexagesimal} ICRS · galactic {l} {b} · {constellation}", {
    sexagesimal: place.sexagesimal,
    l: l.toFixed(4),
    b: b.toFixed(4),
    constellation: place.constellation,
  });
}

/* Streams of the service (Server-Sent Events), followed for as long as a page is looked at. Where there is
   no stream, the service is asked again and again instead, and the page says so. */

import { announce, path, t } from "./base.js";

/** The service sends something every 15 s: what is silent for longer is broken. */
const SILENT_MS = 40_000;
const OPENING_MS = 10_000;
/** After so many failures in a row the page asks by itself. */
const MOST_FAILURES = 2;
const FIRST_WAIT_MS = 1000;
const POLL_MS = [5000, 30_000];
/** A page that nobody sees gives its stream back: a browser has six connections to one service. */
const UNSEEN_MS = 20_000;

/** What is wrong for good: asking again would bring the same answer. */
class Refused extends Error {}

/**
 * Follow a stream: events come in order, none twice, also when the connection is lost in between.
 * @param {object} how
 * @param {string|function(): string} how.stream its path below the root of the service, with its query
 * @param {Object<string, function(any, string): void>} how.on what is done with events, by their names:
 *   each gets the data and the id. After `end`, whether or not it is among them, nothing is followed any more
 * @param {function(AbortSignal, string): Promise<string|void>} how.poll asks once for what the stream would tell after
 *   an id, "" for none; it may give the id that is to be gone on after
 * @param {function("opening"|"live"|"polling"|"over"): void} [how.told] is told how it stands
 * @param {string} [how.after] id of the event to begin after
 * @returns {{stop: function(): void, again: function(): void}} `again` follows a stream that has another path now
 */
export function follow({ stream, on, poll, told = () => {}, after = "" }) {
  let last = after;
  let state = "";
  let failures = 0;
  let isRefused = false;
  let running = null;
  let unseen;

  function tell(now) {
    if (state !== now) told((state = now));
  }

  function heard(event) {
    if (event.id !== null) last = event.id;
    if (event.data !== "") on[event.name]?.(JSON.parse(event.data), last);
    return event.name === "end";
  }

  function opened() {
    failures = 0;
    tell("live");
  }

  async function run(signal) {
    if (state !== "polling") tell("opening");
    let pause = POLL_MS[0];
    while (!signal.aborted) {
      if (!isRefused) {
        try {
          const address = typeof stream === "function" ? stream() : stream;
          if (await listen(address, last, signal, opened, heard)) {
            tell("over");
            return stop();
          }
          failures += 1; // it was there, and is to come back
        } catch (fault) {
          if (signal.aborted) return;
          isRefused = fault instanceof Refused;
          failures += 1;
        }
      }
      if (signal.aborted) return;
      if (failures < MOST_FAILURES && !isRefused) {
        tell("opening");
        await wait(FIRST_WAIT_MS * 2 ** (failures - 1), signal);
        continue;
      }
      if (state !== "polling") pause = POLL_MS[0];
      tell("polling");
      try {
        last = (await poll(signal, last)) ?? last;
      } catch (fault) {
        if (fault.name !== "AbortError") console.warn(fault.message);
      }
      await wait(pause, signal);
      pause = Math.min(pause * 1.5, POLL_MS[1]);
    }
  }

  function start() {
    clearTimeout(unseen);
    if (state === "over" || (running && !running.signal.aborted)) return;
    running = new AbortController();
    run(running.signal);
  }

  function halt() {
    clearTimeout(unseen);
    running?.abort();
  }

  function seen() {
    if (document.visibilityState === "visible") start();
    else unseen = setTimeout(halt, UNSEEN_MS);
  }

  function stop() {
    halt();
    document.removeEventListener("visibilitychange", seen);
    removeEventListener("pagehide", halt);
    removeEventListener("pageshow", start);
  }

  document.addEventListener("visibilitychange", seen);
  addEventListener("pagehide", halt);
  addEventListener("pageshow", start);
  start();
  return {
    stop,
    again() {
      halt();
      start();
    },
  };
}

/**
 * Say in an element how it stands: give the result to `follow` as `told`.
 * @param {HTMLElement} element
 */
export function stateIn(element) {
  const words = {
    opening: t("Connecting …"),
    live: t("Live"),
    polling: t("Live updates are off: this page asks every few seconds."),
    over: "",
  };
  return (state) => {
    element.dataset.state = state;
    element.textContent = words[state];
    if (state === "polling") announce(words[state]);
  };
}

/** Whether the stream has come to its end; false where the connection was lost. */
async function listen(stream, last, signal, opened, heard) {
  const control = new AbortController();
  const giveUp = () => control.abort();
  signal.addEventListener("abort", giveUp);
  let silent = setTimeout(giveUp, OPENING_MS);
  try {
    const headers = { Accept: "text/event-stream" };
    if (last) headers["Last-Event-ID"] = last;
    const answer = await fetch(path(stream), { headers, signal: control.signal, cache: "no-store" });
    expectStream(answer);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new Parser();
    let isOpen = false;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      clearTimeout(silent);
      silent = setTimeout(giveUp, SILENT_MS);
      if (!isOpen) opened();
      isOpen = true;
      for (const event of parser.parse(value)) if (heard(event)) return true;
    }
  } finally {
    clearTimeout(silent);
    signal.removeEventListener("abort", giveUp);
    control.abort();
  }
}

function expectStream(answer) {
  if (answer.ok && (answer.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) return;
  const isForNow = answer.status === 408 || answer.status === 429 || answer.status >= 500;
  throw isForNow ? new Error(`${answer.status}`) : new Refused(`${answer.status}`);
}

/** Reads events out of a text that comes in pieces (HTML standard, section 9.2.6). */
export class Parser {
  constructor() {
    this.rest = "";
    this.clear();
  }

  clear() {
    this.event = { name: "message", id: null, data: "" };
    this.isBegun = false;
  }

  /** @param {string} piece */
  *parse(piece) {
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop();
    for (const line of lines.map((line) => line.replace(/\r$/, ""))) {
      if (line !== "") {
        this.read(line);
      } else if (this.isBegun) {
        const event = this.event;
        this.clear();
        yield event;
      }
    }
  }

  read(line) {
    if (line.startsWith(":")) return;
    const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
    this.isBegun = true;
    if (name === "event") this.event.name = value;
    else if (name === "id") this.event.id = value;
    else if (name === "data") this.event.data += this.event.data === "" ? value : `\n${value}`;
  }
}

/** Wait, a little less long than others would; not at all once the network is back. */
function wait(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms * (0.75 + Math.random() / 4));
    function end() {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      resolve();
    }
    addEventListener("online", end);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

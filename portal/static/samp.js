/* Sends what was found to programs of the same machine, by the Web Profile of SAMP 1.3: on a press of a button
   and never before. Nothing stays registered. */

const HUB = "http://127.0.0.1:21012/";
const WAIT_MS = 60000;

/** There is nobody to send it to, or the user of the hub does not want it. */
export class NoHub extends Error {}

/**
 * Have programs open something.
 * @param {string} message its type: image.load.fits, …
 * @param {Object<string, string>} parameters
 * @param {string} name of whoever sends it
 * @returns {Promise<number>} to how many it was sent
 */
export async function send(message, parameters, name) {
  const registered = await call("samp.webhub.register", [{ "samp.name": name }]);
  const key = registered["samp.private-key"];
  try {
    await call("samp.webhub.declareMetadata", [key, { "samp.name": name, "samp.description.text": name }]);
    const sent = await call("samp.webhub.notifyAll", [key, { "samp.mtype": message, "samp.params": parameters }]);
    return Array.isArray(sent) ? sent.length : 0;
  } finally {
    await call("samp.webhub.unregister", [key]).catch(() => {});
  }
}

async function call(method, values) {
  const params = values.map((value) => `<param><value>${written(value)}</value></param>`).join("");
  const body = `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${params}</params></methodCall>`;
  let answer;
  try {
    // text/plain: the hub asks its user who may come in, and not the browser.
    answer = await fetch(HUB, { method: "POST", body, headers: { "Content-Type": "text/plain" }, signal: AbortSignal.timeout(WAIT_MS) });
  } catch (fault) {
    throw new NoHub(String(fault));
  }
  const found = new DOMParser().parseFromString(await answer.text(), "text/xml");
  if (!answer.ok || found.querySelector("fault, parsererror")) throw new NoHub(method);
  return read(found.querySelector("methodResponse > params > param > value"));
}

function written(value) {
  if (typeof value === "string") return `<string>${escaped(value)}</string>`;
  const members = Object.entries(value).map(
    ([name, one]) => `<member><name>${escaped(name)}</name><value>${written(one)}</value></member>`,
  );
  return `<struct>${members.join("")}</struct>`;
}

function read(value) {
  const inner = value?.firstElementChild;
  if (!inner) return value?.textContent ?? "";
  const below = (tag) => [...inner.querySelectorAll(`:scope > ${tag}`)];
  if (inner.tagName === "array") return [...inner.querySelectorAll(":scope > data > value")].map(read);
  if (inner.tagName !== "struct") return inner.textContent;
  return Object.fromEntries(
    below("member").map((one) => [one.querySelector("name").textContent, read(one.querySelector(":scope > value"))]),
  );
}

function escaped(text) {
  return text.replace(/[&<>]/g, (found) => `&#${found.charCodeAt(0)};`);
}

/* A job once more: its parameters, and its table. */

import { ServiceError, request, t } from "./base.js";
import { tableOf } from "./batch-targets.js";

/** What is not of the request, or is written by the page itself. */
const LEFT_OUT = ["UPLOAD", "PHASE", "CENTER", "NOTIFY"];

/**
 * Fetch what a job was asked for.
 * @param {string} id
 * @returns {Promise<{file: File, from: string, values: Array<[string, string]>}>}
 */
export async function cloned(id) {
  const place = `/async/${encodeURIComponent(id)}`;
  const job = await (await request(place)).json();
  const values = job.parameters
    .filter((one) => !one.byReference && !LEFT_OUT.includes(one.name))
    .map((one) => [one.name, plainFormat(one)]);
  if (job.label) values.push(["RUNID", job.label]);
  const from = t("the table of another job");
  const upload = job.parameters.find((one) => one.byReference);
  if (upload) {
    const answer = await request(`${place}/parameters/${encodeURIComponent(upload.name)}`, { accept: "*/*" });
    const content = await answer.blob();
    return { file: new File([content], nameIn(answer), { type: content.type }), from, values };
  }
  const centers = job.parameters.filter((one) => one.name === "CENTER").map((one) => one.value.trim().split(/\s+/));
  if (centers.length && centers.every((place) => place.length === 2)) {
    return { file: tableOf(["ra", "dec"], centers, t("targets")), from, values };
  }
  throw new ServiceError(0, "", t("That job has no table of targets here, so it cannot be begun from this page."));
}

function plainFormat({ name, value }) {
  if (name !== "RESPONSEFORMAT") return value;
  const [, short] = /^(?:application|image)\/(fits|png|jpeg)$/.exec(value.toLowerCase()) ?? [];
  return short ?? value;
}

function nameIn(answer) {
  const said = answer.headers.get("Content-Disposition") ?? "";
  const [, exact] = /filename\*=UTF-8''([^;]+)/i.exec(said) ?? [];
  const [, plain] = /filename="?([^";]+)"?/i.exec(said) ?? [];
  return exact ? decodeURIComponent(exact) : (plain ?? "targets");
}

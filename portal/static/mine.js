/* Jobs that this browser has made while nobody was signed in. They belong to whoever knows their address, so
   the browser keeps their ids: the newest first, a hundred at most. */

const KEY = "fountain-jobs";
const MOST = 100;
const ID = /^[0-9A-Za-z]{1,64}$/;

/**
 * The ids that are kept.
 * @returns {string[]}
 */
export function remembered() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(kept) ? kept.filter((id) => ID.test(id)).slice(0, MOST) : [];
  } catch {
    return []; // what is there is of somebody else, or nothing may be kept
  }
}

/**
 * Keep the id of a job that was just made.
 * @param {string} id
 */
export function remember(id) {
  if (ID.test(id)) keep([id, ...remembered().filter((other) => other !== id)].slice(0, MOST));
}

/**
 * Keep the ids of some jobs no longer.
 * @param {string[]} ids
 */
export function forget(ids) {
  keep(remembered().filter((id) => !ids.includes(id)));
}

function keep(ids) {
  try {
    localStorage.setItem(KEY, JSON.stringify(ids));
  } catch {
    // The browser keeps nothing: jobs are found by their addresses alone.
  }
}

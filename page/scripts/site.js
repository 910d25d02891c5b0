/** What the page itself says: the attributes of its body. */

/** @typedef {import("./types.d.ts").Site} Site */

const DAY_MS = 86_400_000;
const LONGEST_STALE_MS = 400 * DAY_MS;

/**
 * Return the facts that the page carries in the attributes of its body.
 *
 * @param {HTMLElement} body
 * @returns {Site}
 */
export function readSite(body) {
  const { root = "./", live, site, pair = "", slug, decimals, simulated, trainedAt = "", staleAfter, retrainEvery } = body.dataset;
  return {
    root,
    live: live === "true",
    api: site || null,
    pair,
    slug: slug ?? pair.toLowerCase().replace("/", "-"),
    decimals: Number(decimals ?? 2),
    simulated: simulated === "true",
    trainedAt,
    staleAfter: Number(staleAfter ?? 86_400),
    retrainEvery: Number(retrainEvery ?? 21_600),
  };
}

/**
 * Return the present instant, as milliseconds since 1970 (UTC), without trust in a clock that is wrong.
 *
 * @param {string | null} dateHeader of an answer that has just arrived: the clock of the server
 * @param {string} newest the newest price that is known, as an ISO 8601 instant: it is not later than now
 * @returns {number} by the server's clock; or else by the browser's, if it is possible; or else `newest`
 */
export function presentInstant(dateHeader, newest) {
  const earliest = Date.parse(newest);
  for (const clock of [Date.parse(dateHeader ?? ""), Date.now()]) {
    if (clock >= earliest && clock < earliest + LONGEST_STALE_MS) {
      return clock;
    }
  }
  return earliest;
}

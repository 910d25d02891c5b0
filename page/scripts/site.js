/** What the page itself says: the attributes of its body. */

/** @typedef {import("./types.d.ts").Site} Site */

const DAY_MS = 86_400_000;

/**
 * Return the facts that the page carries in the attributes of its body.
 *
 * @param {HTMLElement} body
 * @returns {Site}
 */
export function readSite(body) {
  const { root = "./", live, site, pair = "", traded = pair, slug = "", decimals, simulated, trainedAt = "", staleAfter, nextTraining = "" } = body.dataset;
  return {
    root,
    live: live === "true",
    api: site || null,
    pair,
    traded,
    slug,
    decimals: Number(decimals ?? 2),
    simulated: simulated === "true",
    trainedAt,
    staleAfter: Number(staleAfter ?? 86_400),
    nextTraining,
  };
}

/**
 * Return the present instant, as milliseconds since 1970 (UTC), without trust in a clock that is wrong.
 *
 * @param {number} clock the browser's clock
 * @param {string | null} dateHeader of an answer: the clock of the server, up to a day ago if the answer was kept
 * @param {string} newest the newest price that is known, as an ISO 8601 instant, which is not later than now
 * @returns {number} the browser's clock if it agrees with the server to a day, or else the server's; without that, not
 *   less than `newest`
 */
export function presentInstant(clock, dateHeader, newest) {
  const server = Date.parse(dateHeader ?? "");
  const now = Math.abs(clock - server) > DAY_MS ? server : clock;
  return Math.max(now, Date.parse(newest));
}

/** The daily candles of the database, from the newest ones back in time. */

import { secondsOf } from "../format.js";
import { getAnswer } from "../requests.js";

const MOST_CANDLES = 5_000; // days of a page; a page of days made of minutes has 34
const MOST_PAGES = 60; // five years of minutes

/** @typedef {{ time: number, open: number, high: number, low: number, close: number, vwap: number | null }} Candle */

/**
 * Return the candles of a pair by day, none at first, and what asks for them.
 *
 * @param {string} api the prefix of the API
 * @param {string} slug "BTC-USD"
 */
export function createDailyCandles(api, slug) {
  /** @type {Map<number, Candle>} in seconds since 1970, UTC; not sorted */
  const candles = new Map();
  /** @type {string | undefined} */
  let query = `interval=1d&limit=${MOST_CANDLES}`; // of the next page; undefined: there is none
  let pages = 0;

  /** @param {import("../types.d.ts").Table & { candles: any[][] }} answer */
  function add({ columns, candles: rows }) {
    const [time = -1, open = -1, high = -1, low = -1, close = -1, vwap = -1] = ["time", "open", "high", "low", "close", "vwap"].map((name) => columns.indexOf(name));
    for (const row of rows) {
      const day = secondsOf(row[time]);
      candles.set(day, { time: day, open: row[open], high: row[high], low: row[low], close: row[close], vwap: row[vwap] });
    }
  }

  return {
    candles,
    add,
    /**
     * Ask for the page before the earliest one, unless that begins at `from` or before. Return whether it was asked.
     *
     * @param {number} from in seconds since 1970, UTC
     */
    async extend(from) {
      const end = new URLSearchParams(query).get("end");
      if (query === undefined || pages === MOST_PAGES || (end && secondsOf(end) <= from)) {
        return false;
      }
      const { value, headers } = await getAnswer(`${api}candles/${slug}?${query}`);
      add(value);
      pages += 1;
      query = /\?([^>]*)>; rel="prev"/.exec(headers.get("Link") ?? "")?.[1];
      return true;
    },
  };
}

/**
 * Return the closes of the days without a candle, and the ends of the line that joins them to the candles beside them.
 *
 * @param {import("../chart/series.js").LinePoint[]} closes by day, ascending
 * @param {Map<number, Candle>} candles by day
 */
export function besideCandles(closes, candles) {
  const hasLine = (/** @type {number} */ index) => index in closes && !candles.has(closes[index]?.time ?? 0);
  return closes.map((point, index) => {
    const candle = candles.get(point.time);
    if (!candle) {
      return point;
    }
    return hasLine(index - 1) || hasLine(index + 1) ? { time: point.time, value: candle.close, joint: true } : { time: point.time, value: null };
  });
}

/** The prices of all collected pairs, which several sections show: they are asked for once. */

import { follow } from "../poll.js";

/** @typedef {import("../types.d.ts").PairPrice} PairPrice */

/** The currencies that come first where pairs are listed, the most popular one first. */
const POPULAR = ["BTC", "ETH", "BNB", "LTC", "SOL", "XRP", "DOGE", "ADA", "TRX", "AVAX", "LINK", "DOT"];

/** @type {import("../poll.js").Follower | undefined} */
let follower;
/** @type {PairPrice[] | undefined} */
let newest;
/** @type {Set<(prices: PairPrice[]) => void>} */
const watchers = new Set();

/**
 * Call a function with the prices of all collected pairs, and again at each change.
 *
 * @param {string} api the prefix of the API
 * @param {(prices: PairPrice[]) => void} watcher
 */
export function watchPrices(api, watcher) {
  watchers.add(watcher);
  if (newest) {
    watcher(newest);
  }
  follower ??= follow(() => `${api}prices`, {
    receive(/** @type {PairPrice[]} */ prices) {
      newest = prices.slice().sort((left, right) => byPopularity(left.pair, right.pair));
      for (const told of watchers) {
        told(newest);
      }
    },
  });
}

/**
 * Compare two pairs for sorting: the popular currencies first, the others by name.
 *
 * @param {string} left "BTC/USD"
 * @param {string} right
 */
export function byPopularity(left, right) {
  return placeOf(left) - placeOf(right) || (left < right ? -1 : Number(left > right));
}

/** @param {string} pair */
function placeOf(pair) {
  const place = POPULAR.indexOf(pair.split("/")[0] ?? "");
  return place < 0 ? POPULAR.length : place;
}

/**
 * Return a pair as addresses name it: "BTC-USD".
 *
 * @param {string} pair "BTC/USD"
 */
export function slugOf(pair) {
  return pair.replace("/", "-");
}

/** The newest price of the page's pair, above its forecast. */

import { formatChange, formatMinute, formatPrice, secondsOf } from "../format.js";
import { watchPrices } from "./prices.js";

/** @typedef {import("../types.d.ts").Site} Site */

/**
 * Keep price, change and time true while the page is open. An older price than the shown one changes nothing, and
 * invented prices never replace real ones.
 *
 * @param {HTMLElement} place the paragraph with the price
 * @param {Site} site of a live server
 */
export function followNewestPrice(place, { api, root, pair, decimals, simulated }) {
  const [data, change, time] = [place.querySelector("data"), place.querySelector("#change"), place.querySelector("time")];
  watchPrices(api ?? root, (prices) => {
    const newest = prices.find((one) => one.pair === pair && one.simulated === simulated);
    if (!data || !time || !newest || newest.price === null || newest.time === null) {
      return;
    }
    const seconds = secondsOf(newest.time);
    if (seconds <= secondsOf(time.dateTime)) {
      return;
    }
    data.value = String(newest.price);
    data.textContent = formatPrice(newest.price, decimals);
    time.dateTime = newest.time;
    time.textContent = formatMinute(seconds);
    if (change) {
      const ratio = newest.change_24h;
      change.className = ratio === null ? "" : ratio >= 0 ? "up" : "down";
      change.textContent = ratio === null ? "unknown change" : formatChange(ratio, 2);
    }
  });
}

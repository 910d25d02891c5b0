/** The newest price of the page's pair, above its forecast. */

import { formatMinute, formatPrice, secondsOf } from "../format.js";
import { watchPrices } from "./prices.js";
import { changeText } from "./words.js";

/** @typedef {import("../types.d.ts").Site} Site */

/**
 * Keep price, change and time true while the page is open. An older price than the shown one changes nothing, and
 * invented prices never replace real ones.
 *
 * @param {HTMLElement} place the paragraph with the price
 * @param {Site} site of a live server
 */
export function followNewestPrice(place, { api, root, pair, traded, decimals, simulated }) {
  const [data, time] = [place.querySelector("data"), place.querySelector("time")];
  const [change, since] = [place.querySelector("#change"), place.querySelector("#since")];
  watchPrices(api ?? root, (prices) => {
    const own = prices.filter((price) => price.simulated === simulated);
    const newest = own.find((price) => price.pair === pair) ?? own.find((price) => price.pair === traded);
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
    if (change && since) {
      const { text, direction } = changeText(newest.change_24h);
      change.className = direction;
      change.textContent = newest.change_24h === null ? "" : text;
      since.textContent = newest.change_24h === null ? "change in 24 hours not known" : "in 24 hours";
    }
  });
}

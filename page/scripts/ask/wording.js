/** Answers in words. */

import { formatPrice } from "../format.js";

/** @typedef {import("./question.js").Limits} Limits */

const LEAST = 0.005; // a share that reads as less than a whole percent at either end

/**
 * Return a probability in percent, never as 0 or 100 %: "37 %", "Below 0.5 %".
 *
 * @param {number} share
 */
export function probabilityText(share) {
  if (share < LEAST) {
    return "Below 0.5 %";
  }
  return share > 1 - LEAST ? "Above 99.5 %" : `${percent(share)} %`;
}

/**
 * Return how often something with this probability should come true.
 *
 * @param {number} share
 */
export function frequencyText(share) {
  if (share < LEAST) {
    return "That should come true less than once in 200 times.";
  }
  if (share > 1 - LEAST) {
    return "That should fail less than once in 200 times.";
  }
  return `That should come true about ${percent(share) === 1 ? "once" : `${percent(share)} times`} in 100.`;
}

/**
 * Return a range of probabilities: "Between 25 and 50 %", "At most 5 %".
 *
 * @param {{ low: number, high: number }} range shares
 */
export function bracketText({ low, high }) {
  if (low <= 0) {
    return high >= 1 ? "Anything" : `At most ${percent(high)} %`;
  }
  return high >= 1 ? `At least ${percent(low)} %` : `Between ${percent(low)} and ${percent(high)} %`;
}

/**
 * Return what is asked about a close: "above 100,000 USD", "between 90,000 and 100,000 USD".
 *
 * @param {Limits} limits one or two
 * @param {string} quote
 */
export function limitsText({ above, below }, quote) {
  if (above !== undefined && below !== undefined) {
    return `between ${limitText(above)} and ${limitText(below)} ${quote}`;
  }
  return above === undefined ? `below ${limitText(/** @type {number} */ (below))} ${quote}` : `above ${limitText(above)} ${quote}`;
}

/**
 * Return a forecast and its interval: "107,146 USD" and "four times out of five between 95,000 and 128,000 USD".
 *
 * @param {{ prediction: number, low: number, high: number }} prices
 * @param {{ quote: string, decimals: number }} pair
 * @returns {{ middle: string, range: string }}
 */
export function intervalTexts({ prediction, low, high }, { quote, decimals }) {
  const [middle, least, most] = [prediction, low, high].map((price) => formatPrice(price, decimals));
  return { middle: `${middle} ${quote}`, range: `four times out of five between ${least} and ${most} ${quote}` };
}

/**
 * Return a price as it was asked for, with separators.
 *
 * @param {number} price
 */
function limitText(price) {
  const exact = price.toLocaleString("en-US", { maximumSignificantDigits: 12 });
  return exact.length > 24 ? price.toPrecision(6) : exact;
}

/** @param {number} share */
function percent(share) {
  return Math.round(share * 100);
}

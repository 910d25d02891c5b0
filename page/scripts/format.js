/** Texts of prices, shares and times. Times are UTC. */

export const DAY_SECONDS = 86_400;
const PERCENT = "\u202f%"; // after a narrow space at which no line ends

/** @type {Map<number, Intl.NumberFormat>} */
const formats = new Map();

/**
 * Return a price with its decimals and with commas between thousands: "107,146.50".
 *
 * @param {number} value
 * @param {number} decimals from 0 to 12
 */
export function formatPrice(value, decimals) {
  let format = formats.get(decimals);
  if (!format) {
    format = new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    formats.set(decimals, format);
  }
  return format.format(value);
}

/**
 * Return a change with its sign: "+3.2 %".
 *
 * @param {number} ratio 0.032 is 3.2 %
 * @param {number} decimals
 */
export function formatChange(ratio, decimals = 1) {
  const percent = (Math.abs(ratio) * 100).toFixed(decimals);
  const sign = Number(percent) === 0 ? "" : ratio > 0 ? "+" : "\u2212";
  return `${sign}${percent}${PERCENT}`;
}

/**
 * Return a share in percent: "81 %".
 *
 * @param {number} ratio 0.81 is 81 %
 * @param {number} decimals
 */
export function formatShare(ratio, decimals = 0) {
  return `${(ratio * 100).toFixed(decimals)}${PERCENT}`;
}

/**
 * Return the day of an instant: "2026-11-23".
 *
 * @param {number} seconds since 1970, UTC
 */
export function formatDay(seconds) {
  return new Date(seconds * 1000).toISOString().slice(0, 10);
}

/**
 * Return the day of an instant, with its time zone: "2026-11-23 UTC".
 *
 * @param {number} seconds since 1970, UTC
 */
export function formatUtcDay(seconds) {
  return `${formatDay(seconds)} UTC`;
}

/**
 * Return an instant to the minute: "2026-11-23 06:05 UTC".
 *
 * @param {number} seconds since 1970, UTC
 */
export function formatMinute(seconds) {
  return `${new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/**
 * Return the UTC seconds since 1970 of a day or an instant in ISO 8601. A day is its first second.
 *
 * @param {string} text "2026-11-23" or "2026-11-23T06:00:00Z"
 * @returns {number} NaN if it is neither
 */
export function secondsOf(text) {
  return Date.parse(text) / 1000;
}

/**
 * Return the decimals that tell prices apart that are `step` away from each other.
 *
 * @param {number} step greater than 0
 * @param {number} most decimals at most
 */
export function decimalsOfStep(step, most) {
  return Math.min(Math.max(Math.ceil(-Math.log10(step) - 1e-9), 0), most);
}

/**
 * Return the decimals that a price is written with: five significant digits, at least cents.
 *
 * @param {number | null} price
 */
export function priceDecimals(price) {
  return price !== null && price > 0 ? Math.min(Math.max(2, 4 - Math.floor(Math.log10(price))), 12) : 2;
}

/**
 * Return the name of a source of prices: "Binance", "the file SOL.csv", "what this server has collected from Binance".
 *
 * @param {string} id "binance", "file:data/{base}.csv", "store:binance"
 * @param {string} pair whose prices these are: "SOL/USD"
 * @returns {string}
 */
export function sourceName(id, pair) {
  const within = id.replace(/^store:/, "");
  const [base = "", quote = ""] = pair.split("/");
  const file = /^file:.*?([^/\\]*)[/\\]*$/s.exec(within)?.[1];
  const name = file === undefined
    ? within === "simulated" ? "simulated prices" : within.replace(/^[a-z]/, (first) => first.toUpperCase())
    : `the file ${file}`.replaceAll("{base}", base).replaceAll("{quote}", quote);
  return within === id ? name : `what this server has collected from ${name}`;
}

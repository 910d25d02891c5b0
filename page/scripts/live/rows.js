/** Rows of minutes that grow by themselves. */

import { secondsOf } from "../format.js";

const MOST = 2_000; // rows; then the oldest ones are dropped ...
const KEPT = 1_800; // ... down to this many, so that this is rare

/** @typedef {import("../types.d.ts").Table} Table */

/**
 * A minute, named by its opening.
 *
 * @typedef {object} Minute
 * @property {number} time the opening, in seconds since 1970, UTC
 * @property {string} verdict "traded", "quiet", "disconnected" or "exchange down"
 * @property {boolean} asked whether the exchange has answered for this minute
 * @property {string} reason why it was disconnected
 * @property {{ open: number, high: number, low: number, close: number } | null} candle
 * @property {number | null} vwap
 */

/**
 * What was forecast for the close of a minute some minutes before it.
 *
 * @typedef {object} PastForecast
 * @property {number} time the opening of the minute, as of the candle that it is compared with
 * @property {number} low of the 80 % interval
 * @property {number} high
 * @property {number | null} close what it was
 */

/**
 * Return the minutes of an answer of `/minutes/{pair}`.
 *
 * @param {Table & { minutes: any[][] }} answer
 * @returns {Minute[]}
 */
export function minutesOf({ columns, minutes }) {
  return minutes.map((values) => {
    const row = Object.fromEntries(columns.map((name, index) => [name, values[index]]));
    // The candle of the exchange, or until it has come, the one built from the ticks of its stream.
    const prefix = row.open === null && row.built_open !== null && !row.partial ? "built_" : "";
    const [open, high, low, close] = ["open", "high", "low", "close"].map((name) => row[prefix + name]);
    return {
      time: timeOf(row.time),
      verdict: row.verdict,
      asked: row.asked,
      reason: row.reason,
      candle: open === null ? null : { open, high, low, close },
      vwap: row.vwap,
    };
  });
}

/**
 * Return the forecasts of an answer of `/forecast/{pair}/minutes/past`, without those of closes that are still to come.
 *
 * @param {Table & { forecasts: any[][] }} answer
 * @returns {PastForecast[]}
 */
export function pastForecastsOf({ columns, forecasts }) {
  const [time, close, cutoff, low, high] = ["time", "close", "cutoff", "quantile_0.1", "quantile_0.9"].map((name) => columns.indexOf(name));
  const newest = timeOf(forecasts.at(-1)?.[/** @type {number} */ (cutoff)] ?? "1970-01-01T00:00:00Z");
  return forecasts
    .map((row) => ({
      time: timeOf(row[/** @type {number} */ (time)]) - 60,
      low: row[/** @type {number} */ (low)],
      high: row[/** @type {number} */ (high)],
      close: row[/** @type {number} */ (close)],
    }))
    .filter((row) => row.time < newest);
}

/**
 * Join rows with newer ones, which may replace some of them.
 *
 * @template {{ time: number }} Row
 * @param {Row[]} rowsBefore ascending by time
 * @param {Row[]} newer ascending by time
 * @returns {{ rows: Row[], changed: number } | null} `changed`: the index of the first row that is new or different;
 *     null: rows may be missing between them
 */
export function joined(rowsBefore, newer) {
  const first = newer[0];
  const last = rowsBefore.at(-1);
  if (!first || !last) {
    return { rows: newer.slice(-MOST), changed: 0 };
  }
  if (first.time > last.time + 60) {
    return null;
  }
  const before = rowsBefore.filter(({ time }) => time < first.time);
  const rows = [...before, ...newer];
  let changed = before.length;
  while (changed < rows.length && isEqual(rows[changed], rowsBefore[changed])) {
    changed += 1;
  }
  return rows.length > MOST ? { rows: rows.slice(-KEPT), changed: 0 } : { rows, changed };
}

/**
 * Give a series the rows that are new.
 *
 * @template {{ time: number }} Row
 * @template {{ time: number }} Point
 * @param {import("../chart/chart.js").Series<Point>} series
 * @param {Row[]} rows
 * @param {number} changed see `joined`
 * @param {number} drawn how many rows the series had before
 * @param {(row: Row) => Point} point
 */
export function draw(series, rows, changed, drawn, point) {
  if (changed === 0 || changed < drawn - 1 || rows.length < drawn) {
    series.set(rows.map(point));
  } else {
    rows.slice(changed).forEach((row) => series.update(point(row)));
  }
}

/**
 * @param {unknown} left
 * @param {unknown} right
 */
function isEqual(left, right) {
  return JSON.stringify(left) === JSON.stringify(right);
}

/** @param {string} text */
function timeOf(text) {
  const seconds = secondsOf(text);
  if (!Number.isFinite(seconds)) {
    throw new TypeError(`${text} is not an instant`);
  }
  return seconds;
}

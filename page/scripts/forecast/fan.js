/** The points of a forecast's lines and bands. */

import { DAY_SECONDS } from "../format.js";

/** @typedef {import("../chart/series.js").LinePoint} LinePoint */
/** @typedef {import("../chart/series.js").BandPoint} BandPoint */

/** The bands, the widest one first, with the levels of the quantiles at their ends. */
export const BANDS = /** @type {const} */ ([
  { text: "90\u202f%", color: "band-90", low: 0.05, high: 0.95 },
  { text: "80\u202f%", color: "band-80", low: 0.1, high: 0.9 },
  { text: "50\u202f%", color: "band-50", low: 0.25, high: 0.75 },
]);

/** The bands as a chart takes them. */
export const LEVELS = BANDS.map(({ text, color }) => ({ text, color }));

/**
 * Return the points of days.
 *
 * @param {number} first
 * @param {(number | null)[]} values
 * @returns {LinePoint[]}
 */
export function daily(first, values) {
  return values.map((value, index) => ({ time: first + index * DAY_SECONDS, value }));
}

/**
 * Return the points of the bands.
 *
 * @param {number} first the first day
 * @param {number[]} levels of the quantiles
 * @param {number[][]} quantiles a list of days a level
 * @returns {BandPoint[]}
 */
export function bandPoints(first, levels, quantiles) {
  const ends = BANDS.map(({ low, high }) => [quantiles[levels.indexOf(low)] ?? [], quantiles[levels.indexOf(high)] ?? []]);
  return (quantiles[0] ?? []).map((_, index) => ({
    time: first + index * DAY_SECONDS,
    areas: ends.map(([low, high]) => [low?.[index] ?? NaN, high?.[index] ?? NaN]),
  }));
}

/**
 * Return the point at which bands begin: the newest close.
 *
 * @param {LinePoint} joint
 * @returns {BandPoint[]}
 */
export function jointAreas({ time, value }) {
  return value === null ? [] : [{ time, areas: BANDS.map(() => [value, value]), joint: true }];
}

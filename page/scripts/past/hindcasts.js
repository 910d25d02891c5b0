/** The forecasts of the past as prices, beside what followed. */

import { DAY_SECONDS, secondsOf } from "../format.js";
import { pricesOf } from "../steps.js";

/** @typedef {import("../types.d.ts").ForecastDocument} ForecastDocument */
/** @typedef {import("../types.d.ts").HindcastDocument} HindcastDocument */

/**
 * A forecast of the past for one day. `time` is that day, `actual` its close, or null without a candle or before it is
 * known.
 *
 * @typedef {{ time: number, ahead: number, low: number, prediction: number, high: number, actual: number | null }} Step
 */

/** @typedef {{ time: number, close: number, steps: Step[] }} Issue forecasts that were made at the close of one day */

/**
 * Return what was forecast at each cutoff, the oldest first, and the monthly fans, as prices.
 *
 * @param {HindcastDocument} sent
 * @param {ForecastDocument} forecast whose closes followed
 * @returns {{ issues: Issue[], fans: Issue[] }}
 */
export function withOutcomes(sent, forecast) {
  const first = secondsOf(forecast.first);
  const closeOf = (/** @type {number} */ time) => forecast.closes[(time - first) / DAY_SECONDS] ?? null;
  const moves = (/** @type {number[]} */ steps) => pricesOf(steps, 1).map(Number);

  /**
   * @param {number} time of the cutoff
   * @param {number[]} horizons
   * @param {number[][]} ends the low, the middle and the high move of each horizon
   * @returns {Issue}
   */
  function issue(time, horizons, ends) {
    const close = closeOf(time) ?? NaN;
    const [low = [], prediction = [], high = []] = ends.map((end) => end.map((move) => close * Math.exp(move / 10_000)));
    const steps = horizons.map((ahead, index) => {
      const target = time + ahead * DAY_SECONDS;
      return { time: target, ahead, low: low[index] ?? NaN, prediction: prediction[index] ?? NaN, high: high[index] ?? NaN, actual: closeOf(target) };
    });
    return { time, close, steps };
  }
  const columns = [sent.low, sent.prediction, sent.high].map((end) => end.map(moves));
  const issues = moves(sent.cutoffs).map((cutoff, index) =>
    issue(first + cutoff * DAY_SECONDS, sent.horizons, columns.map((end) => end.map((column) => column[index] ?? NaN))),
  );
  const fans = sent.fans.map((fan) =>
    issue(secondsOf(fan.day), fan.low.map((_, index) => index + 1), [fan.low, fan.prediction, fan.high].map(moves)),
  );
  return { issues, fans };
}

/** @param {Step} step @returns {boolean | null} whether the range held the close; null: that is not known */
export function isInside({ low, high, actual }) {
  return actual === null ? null : low <= actual && actual <= high;
}

/**
 * Return the range of one horizon through time: by the day that was forecast. Days between two forecasts that are at
 * most `most` days apart join them.
 *
 * @param {Issue[]} issues ascending
 * @param {number} ahead days
 * @param {number} most
 * @returns {import("../chart/series.js").BandPoint[]}
 */
export function bandThroughTime(issues, ahead, most) {
  const steps = issues.flatMap((issue) => issue.steps.filter((step) => step.ahead === ahead));
  return steps.flatMap((step, index) => {
    const after = steps[index + 1];
    const days = after ? (after.time - step.time) / DAY_SECONDS : 0;
    const own = { time: step.time, areas: /** @type {[number, number][]} */ ([[step.low, step.high]]) };
    const between = Array.from({ length: after && days <= most ? days - 1 : 0 }, (_, day) => {
      const share = (day + 1) / days;
      const mixed = (/** @type {"low" | "high"} */ end) => step[end] + share * ((after?.[end] ?? NaN) - step[end]);
      return { time: step.time + (day + 1) * DAY_SECONDS, areas: /** @type {[number, number][]} */ ([[mixed("low"), mixed("high")]]), joint: true };
    });
    return [own, ...between];
  });
}

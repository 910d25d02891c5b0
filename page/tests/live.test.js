import assert from "node:assert/strict";
import test from "node:test";
import { sourceName } from "../scripts/format.js";
import { besideCandles } from "../scripts/live/candles.js";
import { scoreText } from "../scripts/live/words.js";

/**
 * @param {number} horizon
 * @param {number} forecasts
 */
function scored(horizon, forecasts) {
  const score = { horizon_minutes: horizon, forecasts, relative_mae: 0.9, relative_winkler: 1, relative_crps: 1.1, coverage_50: 0.5, coverage_80: 0.8, coverage_90: 0.9 };
  return scoreText({ pair: "BTC/USD", source: "binance", simulated: false, since: "2026-11-23T06:00:00Z", until: "2026-11-23T12:00:00Z", by_horizon: [score] }, horizon);
}

test("fewer than 100 outcomes that do not overlap are counted and not judged", () => {
  assert.equal(scored(1, 99), "Since 2026-11-23 06:00 UTC, 99 forecasts of 1 minute ahead came due: it is too early to say how good they are.");
  assert.match(scored(15, 1_499), /1,499 forecasts of 15 minutes ahead came due, of which 99 do not overlap: it is too early/);
  assert.match(scored(15, 1_500), /10\.0.% better\. .* 10\.0.% worse\. .* as many as it should, within chance\.$/s);
});

test("a source has a name for people", () => {
  const names = ["binance", "file:data/{base}-{quote}.csv", "file:/srv/export/", "store:poloniex", "simulated"].map((id) => sourceName(id, "SOL/USD"));
  assert.deepEqual(names, ["Binance", "the file SOL-USD.csv", "the file export", "what this server has collected from Poloniex", "simulated prices"]);
});

test("the line is drawn where candles are missing, and joins them", () => {
  const candle = (/** @type {number} */ time) => ({ time, open: 1, high: 9, low: 1, close: 10 * time, vwap: null });
  const closes = [1, 2, 3, 4, 5, 6].map((time) => ({ time, value: time === 6 ? null : time }));
  assert.deepEqual(besideCandles(closes, new Map([3, 4, 5].map((time) => [time, candle(time)]))), [
    { time: 1, value: 1 },
    { time: 2, value: 2 },
    { time: 3, value: 30, joint: true },
    { time: 4, value: null },
    { time: 5, value: 50, joint: true },
    { time: 6, value: null },
  ]);
});

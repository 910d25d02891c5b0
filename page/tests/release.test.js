import assert from "node:assert/strict";
import test from "node:test";
import { secondsOf } from "../scripts/format.js";
import { bandPoints, daily } from "../scripts/forecast/fan.js";
import { describe } from "../scripts/forecast/release.js";

const RELEASE = {
  pair: "BTC/USD",
  simulated: false,
  build: "1.2.3",
  made_at: "2026-11-20T06:05:00Z",
  anchor: { at: "2026-11-20T06:00:00Z", price: 100 },
  last: "2026-11-19",
  levels: [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95],
  prediction: [100, 101, 102],
  low: [90, 89, 88],
  high: [110, 111, 112],
  quantiles: null,
  outcomes: [null, null, null],
};
const followed = (/** @type {Record<string, number>} */ closes) => new Map(Object.entries(closes).map(([day, close]) => [secondsOf(day), close]));

test("a forecast of which no day is over has no score", () => {
  const words = describe(RELEASE, followed({ "2026-11-19": 99 }), "USD", 2);
  assert.equal(words, "Released 2026-11-20 06:05 UTC (1.2.3), from the price of 2026-11-20 06:00 UTC: 100.00 USD. None of the days that it forecasts is over.");
});

test("the score says how often the range held and how far the forecast was off", () => {
  const words = describe(RELEASE, followed({ "2026-11-20": 100, "2026-11-22": 125 }), "USD", 2);
  assert.match(words, /Its 80\u202f% range held the close on 1 of the 2 days that followed\./);
  assert.match(words, /2026-11-22, closed at 125\.00: outside the range from 88\.00 to 112\.00, \+22\.5\u202f% from the forecast of 102\.00\./);
  assert.match(words, /the forecast missed by 9\.2\u202f%, and “the price stays as it is” by 10\.0\u202f%\./);
});

test("the ends of a range belong to it", () => {
  assert.match(describe(RELEASE, followed({ "2026-11-20": 110 }), "USD", 2), /held the close on 1 of the one day that/);
});

test("days follow each other, and a day without a close is a gap", () => {
  assert.deepEqual(daily(86_400, [1, null, 3]), [
    { time: 86_400, value: 1 },
    { time: 172_800, value: null },
    { time: 259_200, value: 3 },
  ]);
});

test("the widest band comes first, each with its two quantiles", () => {
  const quantiles = RELEASE.levels.map((level) => [level * 100]);
  assert.deepEqual(bandPoints(0, RELEASE.levels, quantiles), [{ time: 0, areas: [[5, 95], [10, 90], [25, 75]] }]);
});

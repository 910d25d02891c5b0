import assert from "node:assert/strict";
import test from "node:test";
import { bandThroughTime, isInside, withOutcomes } from "../scripts/past/hindcasts.js";

const DAY = 86_400;
const FIRST = Date.UTC(2026, 0, 1) / 1000;
const FORECAST = /** @type {any} */ ({ first: "2026-01-01", closes: [100, null, 100, 121, 90] });
const SENT = /** @type {any} */ ({
  fans: [{ day: "2026-01-01", low: [-100, -50], prediction: [0, 10], high: [100, 50] }],
  cutoffs: [0, 2, 1],
  horizons: [1, 2],
  low: [[-1000, 0, 0], [-2000, -100, 0]],
  prediction: [[0, 0, 0], [100, 0, 0]],
  high: [[1000, 0, 0], [2000, 0, 0]],
});

test("forecasts of the past are prices from the close at their cutoff, beside the closes that followed", () => {
  const { issues } = withOutcomes(SENT, FORECAST);
  assert.deepEqual(issues.map(({ time, close }) => [(time - FIRST) / DAY, close]), [[0, 100], [2, 100], [3, 121]]);
  const [next, after] = issues[1]?.steps ?? [];
  assert.deepEqual([next?.time, next?.actual, after?.actual], [FIRST + 3 * DAY, 121, 90]);
  assert.ok(Math.abs((after?.low ?? 0) - 100 * Math.exp(-0.21)) < 1e-9);
  assert.deepEqual(issues.map(({ steps }) => steps.map(isInside)), [[null, true], [false, true], [false, null]]);
});

test("a fan has every day, and a day without a candle is neither inside nor outside", () => {
  const [fan] = withOutcomes(SENT, FORECAST).fans;
  assert.deepEqual(fan?.steps.map(({ ahead, actual }) => [ahead, actual]), [[1, null], [2, 100]]);
  assert.ok(Math.abs((fan?.steps[1]?.low ?? 0) - 100 * Math.exp(-0.015)) < 1e-9);
});

test("a band is joined between forecasts that are near, with points that are no values", () => {
  const { issues } = withOutcomes(SENT, FORECAST);
  const days = (/** @type {number} */ most) => bandThroughTime(issues, 1, most).map(({ time, joint = false }) => [(time - FIRST) / DAY, joint]);
  assert.deepEqual(days(2), [[1, false], [2, true], [3, false], [4, false]]);
  assert.deepEqual(days(1), [[1, false], [3, false], [4, false]]);
});

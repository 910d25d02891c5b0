import assert from "node:assert/strict";
import test from "node:test";
import { decimalsOfStep, formatChange, formatDay, formatMinute, formatPrice, formatShare, secondsOf } from "../scripts/format.js";

test("a price has its pair's decimals, from a hundred millionth to a hundred million", () => {
  assert.equal(formatPrice(0.00000001, 8), "0.00000001");
  assert.equal(formatPrice(107146.5, 2), "107,146.50");
  assert.equal(formatPrice(123456789.125, 2), "123,456,789.13");
  assert.equal(formatPrice(0, 0), "0");
});

test("a change has its sign, and none if it rounds to nothing", () => {
  assert.deepEqual([0.032, -0.032, 0.0004, -0.0004, 0].map((ratio) => formatChange(ratio)), [
    "+3.2\u202f%", "\u22123.2\u202f%", "0.0\u202f%", "0.0\u202f%", "0.0\u202f%",
  ]);
  assert.equal(formatShare(0.814), "81\u202f%");
});

test("times are UTC whatever the machine's time zone is", () => {
  const instant = secondsOf("2026-11-23T23:59:59Z");
  assert.equal(formatDay(instant), "2026-11-23");
  assert.equal(formatMinute(instant), "2026-11-23 23:59 UTC");
  assert.equal(secondsOf("2026-11-23"), Date.UTC(2026, 10, 23) / 1000);
});

test("an axis has the decimals that its steps need, and not more than the prices have", () => {
  assert.deepEqual([20000, 1, 0.5, 0.1, 0.02, 1e-8].map((step) => decimalsOfStep(step, 8)), [0, 0, 1, 1, 2, 8]);
  assert.equal(decimalsOfStep(0.001, 2), 2);
});

import assert from "node:assert/strict";
import test from "node:test";
import { axisOf, place } from "../scripts/record/axis.js";
import { filledDays, insideText } from "../scripts/record/outcomes.js";

for (const values of [[1], [0], [0.9, 1.1], [0.95, 1.0004], [-3, 7], [1e-9, 1e9], [0.4, 0.4000001], [5, 123]]) {
  test(`the axis of ${values.join(", ")} has all of them, between round ends`, () => {
    const axis = axisOf(values);
    assert.ok(axis.from <= Math.min(...values) + 1e-9 && Math.max(...values) <= axis.to * (1 + 1e-8) + 1e-9, JSON.stringify(axis));
    assert.ok(axis.from < axis.to);
    assert.ok(axis.ticks.length >= 2 && axis.ticks.length <= 6, JSON.stringify(axis));
    assert.deepEqual([axis.ticks[0], axis.ticks.at(-1)], [axis.from, axis.to]);
  });
}

test("a value has its place; one beyond the end is at the end", () => {
  const axis = { from: 0.5, to: 1.5, ticks: [] };
  assert.deepEqual([0.5, 1, 1.5, 9, -9].map((value) => place(value, axis)), ["0%", "50%", "100%", "100%", "0%"]);
});

/**
 * @param {string} target
 * @param {number} actual
 */
function outcome(target, actual) {
  const at = "2026-05-01T06:00:00Z";
  return { made_at: at, build: "1", target, horizon_days: 1, prediction: 100, low: 90, high: 110, persistence: 100, actual };
}

test("a day without a forecast is a hole, not a straight line", () => {
  const days = filledDays([outcome("2026-05-30", 100), outcome("2026-06-02", 100)]);
  assert.deepEqual(days.map(({ day }) => day), ["2026-05-30", "2026-05-31", "2026-06-01", "2026-06-02"]);
  assert.deepEqual(days.map((day) => day.outcome !== null), [true, false, false, true]);
  assert.equal(filledDays([outcome("2026-05-30", 100)]).length, 1);
});

test("outcomes at the ends of a range are inside it", () => {
  const outcomes = [outcome("2026-05-01", 90), outcome("2026-05-02", 110), outcome("2026-05-03", 110.01)];
  assert.equal(insideText(outcomes, "80 % range"), "2 of 3 were inside the 80 % range.");
  assert.equal(insideText(outcomes.slice(0, 1), "80 % range"), "1 of 1 was inside the 80 % range.");
});

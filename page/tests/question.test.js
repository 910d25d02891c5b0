import assert from "node:assert/strict";
import test from "node:test";
import { bracket, dayAfter, daysBetween, pathOf, readQuestion } from "../scripts/ask/question.js";

const DAYS = { first: "2020-01-01", end: "2027-06-30" };

/** @param {Partial<Record<"date" | "above" | "below", string>>} texts */
function read(texts, days = DAYS) {
  return readQuestion({ date: "2026-12-31", above: "", below: "", ...texts }, days);
}

/** @param {Partial<Record<"date" | "above" | "below", string>>} texts */
function faultyFields(texts) {
  return read(texts).faults.map(({ field }) => field);
}

test("a question has a day and up to two prices", () => {
  assert.deepEqual(read({ above: " 1e5 ", below: ".5e6" }), {
    question: { date: "2026-12-31", above: 100_000, below: 500_000 },
    faults: [],
  });
  assert.deepEqual(read({}).question, { date: "2026-12-31", above: null, below: null });
});

test("a day outside the model is named, with the days that it covers", () => {
  assert.match(read({ date: "2027-07-01" }).faults[0]?.message ?? "", /2027-07-01.* from 2020-01-01 to 2027-06-30/);
  assert.deepEqual(faultyFields({ date: "2019-12-31" }), ["date"]);
  assert.deepEqual(faultyFields({ date: "" }), ["date"]);
  assert.deepEqual(faultyFields({ date: "2027-06-30" }), []);
  assert.deepEqual(faultyFields({ date: "2020-01-01" }), []);
});

test("without the document the API checks the day", () => {
  const texts = { date: "2100-01-01", above: "", below: "" };
  assert.deepEqual(readQuestion(texts, null).faults, []);
});

for (const text of ["0", "-5", "100,000", "1e999", "NaN", "0x10", "five", "1e-999", "."]) {
  test(`"${text}" is not a price`, () => {
    assert.deepEqual(faultyFields({ above: text }), ["above"]);
    assert.deepEqual(faultyFields({ below: text }), ["below"]);
  });
}

test("below has to be more than above", () => {
  assert.deepEqual(faultyFields({ above: "100", below: "100" }), ["below"]);
  assert.deepEqual(faultyFields({ above: "100", below: "101" }), []);
});

test("all faults are said at once", () => {
  assert.deepEqual(faultyFields({ date: "?", above: "?", below: "?" }), ["date", "above", "below"]);
});

test("a question without a price is one about the forecast", () => {
  assert.equal(pathOf("BTC-USD", { date: "2026-12-31", above: null, below: null }), "forecast/BTC-USD?start=2026-12-31&end=2026-12-31");
  assert.equal(pathOf("BTC-USD", { date: "2026-12-31", above: 1e21, below: null }), "probability/BTC-USD?date=2026-12-31&above=1e%2B21");
  assert.equal(pathOf("BTC-USD", { date: "2026-12-31", above: 1, below: 2 }), "probability/BTC-USD?date=2026-12-31&above=1&below=2");
});

test("days are counted across months, years and leap days", () => {
  assert.equal(dayAfter("2024-02-28", 2), "2024-03-01");
  assert.equal(dayAfter("2026-12-31", 1), "2027-01-01");
  assert.equal(daysBetween("2024-02-28", "2024-03-01"), 2);
  assert.equal(daysBetween("2026-03-28", "2026-03-30"), 2); // summer time begins in between
});

const LEVELS = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];
const PRICES = [50, 60, 80, 100, 120, 150, 170];

test("a probability lies between those of the quantiles on both sides", () => {
  assert.deepEqual(bracket(LEVELS, PRICES, { above: 90, below: null }), { low: 0.5, high: 0.75 });
  assert.deepEqual(bracket(LEVELS, PRICES, { above: null, below: 90 }), { low: 0.25, high: 0.5 });
  assert.deepEqual(bracket(LEVELS, PRICES, { above: 90, below: 130 }), { low: 0.25, high: 0.65 });
  assert.deepEqual(bracket(LEVELS, PRICES, { above: 10, below: null }), { low: 0.95, high: 1 });
  assert.deepEqual(bracket(LEVELS, PRICES, { above: 999, below: null }), { low: 0, high: 0.05 });
  assert.deepEqual(bracket(LEVELS, PRICES, { above: 81, below: 82 }), { low: 0, high: 0.25 });
});

test("the bracket of any limits has the true probability", () => {
  // Between two quantiles the share that is below grows evenly here; the bracket must not depend on that.
  const share = (/** @type {number} */ price) => {
    const index = PRICES.findIndex((other) => other > price);
    if (index <= 0) {
      return index === 0 ? 0.02 : 0.98;
    }
    const [from = 0, to = 0, least = 0, most = 0] = [PRICES[index - 1], PRICES[index], LEVELS[index - 1], LEVELS[index]];
    return least + ((most - least) * (price - from)) / (to - from);
  };
  for (let above = 40; above <= 180; above += 7) {
    for (let below = above + 1; below <= 190; below += 5) {
      const { low, high } = bracket(LEVELS, PRICES, { above, below });
      const truth = share(below) - share(above);
      assert.ok(low <= truth + 1e-9 && truth <= high + 1e-9, `${above} to ${below}: ${low} <= ${truth} <= ${high}`);
      assert.ok(low >= 0 && high <= 1);
    }
  }
});

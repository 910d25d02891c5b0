import assert from "node:assert/strict";
import test from "node:test";
import { bracket, dayAfter, daysBetween, isOfCloses, kindOf, KINDS, pathOf, readQuestion } from "../scripts/ask/question.js";

/** @typedef {import("../scripts/ask/question.js").Field} Field */

const DAYS = { first: "2020-01-01", end: "2027-06-30" };

/** @param {Partial<Record<Field, string>>} texts */
function read(texts, kind = "ends-between", days = DAYS) {
  return readQuestion(kind, { date: "2026-12-31", time: "", price: "", other: "", ...texts }, days);
}

/** @param {Partial<Record<Field, string>>} texts */
function faultyFields(texts, kind = "ends-between") {
  return read(texts, kind).faults.map(({ field }) => field);
}

test("a question has a time, and a price or two whose meaning is chosen", () => {
  const texts = { price: " 1e5 ", other: ".5e6", time: "15:00" };
  assert.deepEqual(read(texts), { question: { date: "2026-12-31T15:00Z", limits: { above: 100_000, below: 500_000 } }, faults: [] });
  assert.deepEqual(read(texts, "stays-between").question.limits, { stays_above: 100_000, stays_below: 500_000 });
  assert.deepEqual(read(texts, "touches").question, { date: "2026-12-31T15:00Z", limits: { touches: 100_000 } });
  assert.deepEqual(read({ price: "1" }, "ends-below").question, { date: "2026-12-31", limits: { below: 1 } });
});

test("without a price it is the forecast of a day, but not what the price does until then", () => {
  assert.deepEqual(read({}), { question: { date: "2026-12-31", limits: {} }, faults: [] });
  assert.deepEqual(faultyFields({}, "touches"), ["price"]);
  assert.deepEqual(faultyFields({}, "stays-between"), ["price", "other"]);
  assert.deepEqual(faultyFields({ time: "15:00" }, "ends-above"), ["price"]);
});

test("a price that is missing is named", () => {
  assert.deepEqual(faultyFields({ price: "1" }), ["other"]);
  assert.match(read({ other: "1" }).faults[0]?.message ?? "", /^A price is missing/);
});

test("a day outside the model is named, with the days that it covers", () => {
  assert.match(read({ date: "2027-07-01" }).faults[0]?.message ?? "", /2027-07-01.* from 2020-01-01 to 2027-06-30/);
  assert.deepEqual(faultyFields({ date: "2019-12-31" }), ["date"]);
  assert.deepEqual(faultyFields({ date: "" }), ["date"]);
  assert.deepEqual(faultyFields({ date: "2027-06-30" }), []);
  assert.deepEqual(faultyFields({ date: "2020-01-01" }), []);
});

test("without the document the API checks the day", () => {
  const texts = { date: "2100-01-01", time: "", price: "", other: "" };
  assert.deepEqual(readQuestion("ends-above", texts, null).faults, []);
});

for (const text of ["0", "-5", "100,000", "1e999", "NaN", "0x10", "five", "1e-999", "."]) {
  test(`"${text}" is not a price`, () => {
    assert.deepEqual(faultyFields({ price: text, other: "1" }), ["price"]);
    assert.deepEqual(faultyFields({ price: "1", other: text }), ["other"]);
  });
}

for (const time of ["24:00", "9:00", "noon", "15:00:30"]) {
  test(`"${time}" is not a time`, () => assert.deepEqual(faultyFields({ time, price: "1", other: "2" }), ["time"]));
}

test("the second price has to be more than the first", () => {
  assert.deepEqual(faultyFields({ price: "100", other: "100" }), ["other"]);
  assert.deepEqual(faultyFields({ price: "100", other: "101" }), []);
  assert.deepEqual(faultyFields({ price: "100", other: "1" }, "touches"), []); // which has one price
});

test("all faults are said at once", () => {
  assert.deepEqual(faultyFields({ date: "?", time: "?", price: "?", other: "?" }), ["date", "time", "price", "other"]);
});

test("a question without a price is one about the forecast", () => {
  assert.equal(pathOf("BTC-USD", { date: "2026-12-31", limits: {} }), "forecast/BTC-USD?start=2026-12-31&end=2026-12-31");
  assert.equal(pathOf("BTC-USD", { date: "2026-12-31", limits: { above: 1e21 } }), "probability/BTC-USD?date=2026-12-31&above=1e%2B21");
  assert.equal(pathOf("BTC-USD", { date: "2026-12-31", limits: { below: 2, above: 1 } }), "probability/BTC-USD?date=2026-12-31&above=1&below=2");
  assert.equal(pathOf("BTC-USD", { date: "2026-12-31T15:00Z", limits: { touches: 5 } }), "probability/BTC-USD?date=2026-12-31T15:00Z&touches=5");
});

test("the kind of a question follows from its limits", () => {
  for (const [kind, names] of Object.entries(KINDS)) {
    assert.equal(kindOf(Object.fromEntries(names.map((name, index) => [name, index + 1]))), kind);
  }
  assert.equal(kindOf({}), "ends-above");
});

test("closes answer neither a time within a day nor what happens until then", () => {
  assert.ok(isOfCloses({ date: "2026-12-31", limits: {} }));
  assert.ok(isOfCloses({ date: "2026-12-31", limits: { above: 1, below: 2 } }));
  assert.ok(!isOfCloses({ date: "2026-12-31T15:00Z", limits: { above: 1 } }));
  assert.ok(!isOfCloses({ date: "2026-12-31", limits: { touches: 1 } }));
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
  assert.deepEqual(bracket(LEVELS, PRICES, { above: 90 }), { low: 0.5, high: 0.75 });
  assert.deepEqual(bracket(LEVELS, PRICES, { below: 90 }), { low: 0.25, high: 0.5 });
  assert.deepEqual(bracket(LEVELS, PRICES, { above: 90, below: 130 }), { low: 0.25, high: 0.65 });
  assert.deepEqual(bracket(LEVELS, PRICES, { above: 10 }), { low: 0.95, high: 1 });
  assert.deepEqual(bracket(LEVELS, PRICES, { above: 999 }), { low: 0, high: 0.05 });
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

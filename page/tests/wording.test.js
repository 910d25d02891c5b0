import assert from "node:assert/strict";
import test from "node:test";
import { bracketText, frequencyText, intervalTexts, limitsText, probabilityText } from "../scripts/ask/wording.js";

test("a probability is never said to be 0 or 100 %", () => {
  assert.deepEqual([0, 0.004, 0.37, 0.996, 1].map(probabilityText), ["Below 0.5 %", "Below 0.5 %", "37 %", "Above 99.5 %", "Above 99.5 %"]);
});

test("a probability is said as a frequency", () => {
  assert.equal(frequencyText(0.37), "That should come true about 37 times in 100.");
  assert.equal(frequencyText(0.01), "That should come true about once in 100.");
  assert.equal(frequencyText(0.001), "That should come true less than once in 200 times.");
  assert.equal(frequencyText(0.999), "That should fail less than once in 200 times.");
});

test("a bracket without an end says so", () => {
  assert.equal(bracketText({ low: 0.25, high: 0.5 }), "Between 25 and 50 %");
  assert.equal(bracketText({ low: 0, high: 0.05 }), "At most 5 %");
  assert.equal(bracketText({ low: 0.95, high: 1 }), "At least 95 %");
  assert.equal(bracketText({ low: 0, high: 1 }), "Anything");
});

test("limits are words with separators", () => {
  assert.equal(limitsText({ above: 100_000 }, "USD"), "above 100,000 USD");
  assert.equal(limitsText({ below: 0.00001234 }, "USDT"), "below 0.00001234 USDT");
  assert.equal(limitsText({ above: 1, below: 2.5 }, "USD"), "between 1 and 2.5 USD");
  assert.equal(limitsText({ above: 1e300 }, "USD"), "above 1.00000e+300 USD");
});

test("an interval has the decimals of the pair", () => {
  assert.deepEqual(
    intervalTexts({ prediction: 107146.5, low: 95_000, high: 128_000 }, { quote: "USD", decimals: 2 }),
    { middle: "107,146.50 USD", range: "four times out of five between 95,000.00 and 128,000.00 USD" },
  );
});

import assert from "node:assert/strict";
import test from "node:test";
import { withPrices } from "../scripts/steps.js";

const SENT = {
  pair: "BTC/USD",
  slug: "BTC-USD",
  quote: "USD",
  decimals: 2,
  simulated: false,
  source: "alpaca",
  first: "2026-11-22",
  last: "2026-11-24",
  closes: [10714651, null, -1],
  fitted: [10700000, 0, 29],
  anchor: { at: "2026-11-25T00:00:00Z", price: 107146.5 },
  levels: [0.1, 0.9],
  prediction: [10714650],
  quantiles: [[10], [30]],
  served: "combined",
  models: ["prophet"],
  hindcasts: [],
};

test("prices are those whose differences were sent, to the last decimal", () => {
  const document = withPrices(SENT);
  assert.deepEqual(document.closes, [107146.51, null, 107146.5]);
  assert.deepEqual(document.fitted, [107000, 107000, 107000.29]);
  assert.deepEqual(document.prediction, [107146.5]);
  assert.deepEqual(document.quantiles, [[0.1], [0.3]]);
  assert.deepEqual(document.anchor, SENT.anchor);
});

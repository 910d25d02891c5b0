/** Prices by day, which are sent as differences: that takes a third less. */

/** @typedef {import("./types.d.ts").ForecastDocument} ForecastDocument */

/**
 * Return a document as it was sent with its prices in place of their differences.
 *
 * @param {ForecastDocument} sent
 * @returns {ForecastDocument}
 */
export function withPrices(sent) {
  const unit = 10 ** sent.decimals;
  const prices = (/** @type {number[]} */ steps) => /** @type {number[]} */ (pricesOf(steps, unit));
  return {
    ...sent,
    closes: pricesOf(sent.closes, unit),
    fitted: prices(sent.fitted),
    prediction: prices(sent.prediction),
    quantiles: sent.quantiles.map(prices),
  };
}

/**
 * Return the prices of differences; null stays, and the difference after it is that from the price before it.
 *
 * @param {(number | null)[]} steps in units of the last decimal, the first one from 0
 * @param {number} unit how many of them are 1
 * @returns {(number | null)[]}
 */
export function pricesOf(steps, unit) {
  let sum = 0;
  return steps.map((step) => {
    if (step === null) {
      return null;
    }
    sum += step;
    return sum / unit; // exact: whole numbers until here, and the division rounds as the decimal fraction does
  });
}

/** A dozen monthly fans over what then happened. */

import { createChart } from "../chart/chart.js";
import { formatShare } from "../format.js";
import { isInside } from "./hindcasts.js";

/** @typedef {import("../types.d.ts").ForecastDocument} ForecastDocument */
/** @typedef {import("./hindcasts.js").Issue} Issue */

/**
 * Make the chart. Returned is what shows the fans of a model.
 *
 * @param {HTMLElement} figure
 * @param {ForecastDocument} forecast
 * @param {number} coverage nominal
 */
export function createFans(figure, { pair, decimals }, coverage) {
  const chart = createChart(figure, { label: `Price of ${pair}`, decimals, step: "day" });
  const close = chart.addLine({ name: "what happened", color: "price" });
  const outside = chart.addLine({ name: "outside the range", color: "down", drawn: false });
  const middle = chart.addLine({ name: "forecast", color: "forecast", dashed: true, width: 1 });
  const band = chart.addBand({ name: "Range", levels: [{ text: formatShare(coverage), color: "band-80" }] });
  return {
    /**
     * @param {string} model
     * @param {Issue[]} fans ascending
     */
    setModel(model, fans) {
      const starts = fans.map(({ time, close: price }) => ({ time, low: price, prediction: price, high: price, actual: price, ahead: 0 }));
      const steps = fans.flatMap((fan, index) => [...starts.slice(index, index + 1), ...fan.steps]);
      close.set(steps.map(({ time, actual }) => ({ time, value: actual })));
      outside.set(steps.map((step) => ({ time: step.time, value: isInside(step) === false ? step.actual : null })));
      middle.set(steps.map(({ time, prediction, ahead }) => (ahead === 0 ? { time, value: prediction, joint: true } : { time, value: prediction })));
      band.set(steps.map(({ time, low, high, ahead }) => ({ time, areas: [[low, high]], ...(ahead === 0 ? { joint: true } : {}) })));
      chart.setLabel(`Price of ${pair} by day, and the forecasts of ${model} of the past year, a month apart`);
      chart.setRange(steps[0]?.time ?? 0, steps.at(-1)?.time ?? 0);
    },
  };
}

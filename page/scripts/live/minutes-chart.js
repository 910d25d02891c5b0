/** The chart of minutes: candles with VWAP and verdicts, what was forecast before, and the next minutes with their bands. */

import { createChart } from "../chart/chart.js";
import { secondsOf } from "../format.js";
import { draw } from "./rows.js";

/** @typedef {import("../types.d.ts").MinutesAhead} MinutesAhead */
/** @typedef {import("./rows.js").Minute} Minute */
/** @typedef {import("./rows.js").PastForecast} PastForecast */

const MINUTE = 60;

/** The quantiles that bound each band, the widest first. */
const BOUNDS = [["0.05", "0.95"], ["0.1", "0.9"], ["0.25", "0.75"]];

/**
 * Fill a figure with the chart. A minute is drawn at its opening, and so is what was forecast for its close.
 *
 * @param {HTMLElement} figure
 * @param {string} pair "BTC/USD"
 * @param {number} decimals of its prices
 */
export function createMinutesChart(figure, pair, decimals) {
  const label = `Price of ${pair} in ${pair.split("/")[1]} by minute, and the forecast of the next minutes`;
  const chart = createChart(figure, { label, decimals, step: "minute", page: 15 });
  const past = chart.addBand({ name: "forecast before", levels: [{ text: "earlier forecast: 80 %", color: "band-80" }] });
  const band = chart.addBand({
    name: "range",
    levels: [{ text: "90 %", color: "band-90" }, { text: "80 %", color: "band-80" }, { text: "50 %", color: "band-50" }],
  });
  const candles = chart.addCandles({ name: "price" });
  const close = chart.addLine({ name: "close", color: "price" });
  // Far from the price it would flatten the candles; its value is still read.
  const vwap = chart.addLine({ name: "VWAP", color: "vwap", width: 1, widens: false });
  const forecast = chart.addLine({ name: "forecast", color: "forecast" });
  const strip = chart.addStrip({ name: "minute" });
  let newest = 0; // the last minute
  let end = 0; // of the forecast

  return {
    tools: chart.tools,
    remove: chart.remove,

    /**
     * Draw the minutes; `changed` and `drawn` are those of `draw`.
     *
     * @param {Minute[]} rows
     * @param {number} changed
     * @param {number} drawn
     */
    showMinutes(rows, changed, drawn) {
      draw(candles, rows, changed, drawn, ({ time, candle }) => (candle ? { time, ...candle } : { time }));
      draw(close, rows, changed, drawn, ({ time, candle }) => ({ time, value: candle?.close ?? null }));
      draw(vwap, rows, changed, drawn, ({ time, vwap: value }) => ({ time, value }));
      draw(strip, rows, changed, drawn, ({ time, verdict }) => ({ time, kind: verdict.replace(" ", "-") }));
      newest = rows.at(-1)?.time ?? 0;
      chart.setHome(newest);
      chart.mark([{ time: newest, text: "newest" }]);
    },

    /**
     * Draw the next minutes, from the last price on.
     *
     * @param {MinutesAhead | null} ahead
     */
    showAhead(ahead) {
      const rows = ahead?.forecast ?? [];
      /** @type {{ time: number, value: number, areas: [number, number][], joint?: boolean }[]} */
      const points = rows.map(({ time, prediction, quantiles }) => ({ time: secondsOf(time) - MINUTE, value: prediction, areas: areasOf(quantiles) }));
      if (ahead) {
        const areas = BOUNDS.map(() => /** @type {[number, number]} */ ([ahead.price, ahead.price]));
        points.unshift({ time: secondsOf(ahead.cutoff) - MINUTE, value: ahead.price, areas, joint: true });
      }
      band.set(points);
      forecast.set(points);
      end = points.at(-1)?.time ?? 0;
    },

    /**
     * Draw the ranges of past forecasts; `changed` and `drawn` are those of `draw`.
     *
     * @param {PastForecast[]} rows
     * @param {number} changed
     * @param {number} drawn
     */
    showPast(rows, changed, drawn) {
      draw(past, rows, changed, drawn, ({ time, low, high }) => ({ time, areas: [/** @type {[number, number]} */ ([low, high])] }));
    },

    /** @param {boolean} isLine a line of the closes in place of candles */
    showAsLine(isLine) {
      candles.show(!isLine);
      close.show(isLine);
    },

    /** Show the last hours, and the forecast. @param {number} hours */
    showHours(hours) {
      chart.setRange(newest - hours * 60 * MINUTE, Math.max(newest, end));
    },
  };
}

/**
 * @param {Record<string, number>} quantiles
 * @returns {[number, number][]}
 */
function areasOf(quantiles) {
  return BOUNDS.map(([low = "", high = ""]) => [quantiles[low] ?? NaN, quantiles[high] ?? NaN]);
}

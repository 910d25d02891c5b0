/** The chart of the page. */

import { createChart } from "../../page/scripts/chart/chart.js";
import { candles, frame, measure } from "./measure.js";

const chart = createChart(document.querySelector("figure"), { label: "candles", decimals: 2, step: "minute" });
const band = chart.addBand({ name: "forecast", levels: [{ text: "80 %", color: "band-80" }] });
const prices = chart.addCandles({ name: "price" });

const areas = ({ time, bottom, top }) => ({ time, areas: [[bottom, top]] });
const bars = ({ time, open, high, low, close }) => ({ time, open, high, low, close });
band.set(candles().map(areas));
prices.set(candles().map(bars));
await frame();

globalThis.measured = await measure((point) => {
  band.update(areas(point));
  prices.update(bars(point));
});

/** The same chart of plotly, the usual library of notebooks. */

import { candles, frame, measure } from "./measure.js";

const found = candles();
const figure = document.querySelector("figure");

/** Return what plotly draws: a band, and the candles. */
function traces() {
  const x = found.map(({ time }) => new Date(time * 1000));
  const column = (name) => found.map((candle) => candle[name]);
  const edge = { mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
  return [
    { x, y: column("bottom"), ...edge },
    { x, y: column("top"), fill: "tonexty", ...edge },
    { x, open: column("open"), high: column("high"), low: column("low"), close: column("close"), type: "candlestick" },
  ];
}

await Plotly.newPlot(figure, traces());
await frame();

globalThis.measured = await measure((point) => {
  found.splice(point.time > found.at(-1).time ? found.length : found.length - 1, 1, point);
  return Plotly.react(figure, traces());
});

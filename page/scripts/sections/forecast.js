/** The forecast: history, fitted curve, and the days ahead with their bands. */

import { announce } from "../announce.js";
import { readState, writeState } from "../address.js";
import { createChart } from "../chart/chart.js";
import { choices, toggle } from "../controls.js";
import { DAY_SECONDS, formatDay, secondsOf } from "../format.js";
import { getJson } from "../requests.js";
import { LEVELS, bandPoints, daily, jointAreas } from "./fan.js";
import { mount as mountReleases } from "./release.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").ForecastDocument} ForecastDocument */
/** @typedef {import("../chart/series.js").LinePoint} LinePoint */

/** The ranges: days of history, and days ahead. */
const RANGES = { "1m": 30, "6m": 182, "1y": 365, "5y": 1826, all: Infinity };

/**
 * Mount the section. It shows the chart first, then what is not needed at once.
 *
 * @param {HTMLElement} root
 * @param {Context} context
 */
export async function mount(root, context) {
  const figure = /** @type {HTMLElement} */ (root.querySelector("#forecast-chart"));
  const [forecast, now] = await Promise.all([context.forecast, context.now]);
  const view = createView(figure, forecast, now);
  requestAnimationFrame(() => performance.mark("chart-drawn"));

  const { site } = context;
  addControls(view);
  await afterPaint();
  view.addFitted();
  addProphet(root, view, context);
  if (site.live) {
    addCandles(view, context);
  }
  const releases = root.querySelector("#release");
  if (releases) {
    await mountReleases(/** @type {HTMLElement} */ (releases), context, view);
  }
}

/** @typedef {ReturnType<typeof createView>} View */

/**
 * Draw the chart of a forecast.
 *
 * @param {HTMLElement} figure
 * @param {ForecastDocument} forecast
 * @param {number} now milliseconds since 1970, UTC
 */
function createView(figure, forecast, now) {
  const { pair, quote, decimals, closes, levels, quantiles, prediction } = forecast;
  const first = secondsOf(forecast.first);
  const last = secondsOf(forecast.last);
  const end = last + prediction.length * DAY_SECONDS;
  const label = `Price of ${pair} in ${quote} by day, and its forecast`;
  const chart = createChart(figure, { label, decimals, step: "day" });
  const price = chart.addLine({ name: "close", color: "price" });
  const line = chart.addLine({ name: "forecast", color: "forecast" });
  const band = chart.addBand({ name: "range", levels: LEVELS });
  const history = daily(first, closes);
  /** @type {import("../chart/chart.js").Series<LinePoint> | undefined} */
  let fitted;
  /** @type {import("../chart/chart.js").Series<LinePoint> | undefined} */
  let prophet;
  let isProphetShown = false;
  let isPast = false; // an earlier release is shown

  price.set(history);
  const joint = { time: last, value: closes.at(-1) ?? forecast.anchor.price, joint: true };
  line.set([joint, ...daily(last + DAY_SECONDS, prediction)]);
  band.set([...jointAreas(joint), ...bandPoints(last + DAY_SECONDS, levels, quantiles)]);
  chart.setHome(last);
  chart.mark(marks());
  showRange();
  chart.setScale(readState().scale === "log" ? "log" : "linear");

  function marks() {
    const today = Math.floor(now / 1000 / DAY_SECONDS) * DAY_SECONDS;
    if (today - last <= 2 * DAY_SECONDS) {
      return [{ time: today, text: "today" }];
    }
    const newest = { time: last, text: `newest price: ${formatDay(last)}` };
    return today > end ? [newest] : [newest, { time: today, text: "today" }];
  }

  function showRange() {
    const { range = "1y", ahead = "90" } = readState();
    const days = RANGES[/** @type {keyof typeof RANGES} */ (range)] ?? RANGES["1y"];
    chart.setRange(Math.max(last - days * DAY_SECONDS, first), last + Number(ahead) * DAY_SECONDS);
  }

  return {
    chart,
    first,
    last,
    history,
    price,
    showRange,
    addFitted() {
      fitted = chart.addLine({ name: "fitted curve", color: "fitted", width: 1 });
      fitted.set(daily(first, forecast.fitted));
      fitted.show(!isPast);
    },
    /** @param {boolean} shown */
    showProphet(shown) {
      isProphetShown = shown;
      if (shown && !prophet) {
        prophet = chart.addLine({ name: "Prophet alone", color: "prophet", dashed: true });
        prophet.set(daily(last + DAY_SECONDS, forecast.prophet.prediction));
      }
      prophet?.show(shown && !isPast);
    },
    /**
     * Show the present forecast, or hide it while an earlier one is shown.
     *
     * @param {boolean} past
     */
    setPast(past) {
      isPast = past;
      line.show(!past);
      band.show(!past);
      fitted?.show(!past);
      prophet?.show(!past && isProphetShown);
      if (!past) {
        price.set(history);
        chart.setHome(last);
        chart.mark(marks());
        chart.setLabel(label);
        showRange();
      }
    },
  };
}

/** @param {View} view */
function addControls(view) {
  const { range, ahead, scale } = readState();
  const ranges = { "1m": "1M", "6m": "6M", "1y": "1Y", "5y": "5Y", all: "All" };
  const aheads = { 30: "30", 90: "90", 365: "365" };
  view.chart.tools.append(
    choices("History", ranges, range, { "1m": "1M: one month", "6m": "6M: six months", "1y": "1Y: one year", "5y": "5Y: five years", all: "All days" }, (value) => {
      writeState({ range: value });
      view.showRange();
    }),
    choices("Days ahead", aheads, ahead, {}, (value) => {
      writeState({ ahead: value });
      view.showRange();
    }),
    choices("Scale", { linear: "Linear", log: "Log" }, scale, {}, (value) => {
      writeState({ scale: value });
      view.chart.setScale(value === "log" ? "log" : "linear");
    }),
  );
}

/**
 * Add the button that shows what Prophet alone says, beside its record.
 *
 * @param {HTMLElement} root
 * @param {View} view
 * @param {Context} context
 */
function addProphet(root, view, context) {
  const words = document.createElement("p");
  words.className = "note prophet";
  words.hidden = true;
  root.querySelector("#forecast-chart")?.append(words);

  /** @param {boolean} shown */
  async function show(shown) {
    view.showProphet(shown);
    words.hidden = !shown;
    if (shown && !words.textContent) {
      words.textContent = await prophetWords(context);
    }
  }
  view.chart.tools.append(
    toggle("Prophet alone", readState().prophet === "on", (shown) => {
      writeState({ prophet: shown ? "on" : "off" });
      void show(shown);
    }),
  );
  void show(readState().prophet === "on");
}

/** @param {Context} context */
async function prophetWords(context) {
  try {
    const { backtest } = await context.record;
    return backtest?.prophet?.words ?? "What Prophet alone says has not been scored: the history is too short.";
  } catch (error) {
    return `The record of Prophet cannot be shown: ${error instanceof Error ? error.message : error}.`;
  }
}

/**
 * Add the choice of candlesticks and VWAP, which the database has.
 *
 * @param {View} view
 * @param {Context} context
 */
function addCandles(view, { site }) {
  /** @type {{ show: (shown: boolean) => void } | undefined} */
  let drawn;
  /** @param {string} name */
  async function show(name) {
    if (name === "candles" && !drawn) {
      try {
        drawn = await drawCandles(view, `${site.api}candles/${site.slug}?interval=1d&limit=5000`);
      } catch (error) {
        announce(`Candles cannot be shown: ${error instanceof Error ? error.message : error}.`);
        return;
      }
    }
    drawn?.show(name === "candles");
    view.price.show(name !== "candles");
  }
  view.chart.tools.append(
    choices("History as", { line: "Line", candles: "Candles" }, readState().view, {}, (value) => {
      writeState({ view: value });
      void show(value);
    }),
  );
  void show(readState().view ?? "line");
}

/**
 * @param {View} view
 * @param {string} url
 */
async function drawCandles({ chart, first, last }, url) {
  const { columns, candles: rows } = await getJson(url);
  const column = Object.fromEntries(columns.map((/** @type {string} */ name, /** @type {number} */ index) => [name, index]));
  const found = new Map(rows.map((/** @type {any[]} */ row) => [secondsOf(row[column.time]), row]));
  const times = [];
  for (let time = first; time <= last; time += DAY_SECONDS) {
    times.push(time);
  }
  const candles = chart.addCandles({ name: "price" });
  candles.set(
    times.map((time) => {
      const row = found.get(time);
      return row ? { time, open: row[column.open], high: row[column.high], low: row[column.low], close: row[column.close] } : { time };
    }),
  );
  const vwap = chart.addLine({ name: "VWAP", color: "vwap", width: 1 });
  vwap.set(times.map((time) => ({ time, value: found.get(time)?.[column.vwap] ?? null })));
  return {
    show(/** @type {boolean} */ shown) {
      candles.show(shown);
      vwap.show(shown);
    },
  };
}

/** Return when the browser has drawn what has been made so far. @returns {Promise<void>} */
function afterPaint() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
  });
}

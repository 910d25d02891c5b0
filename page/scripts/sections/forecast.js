/** The forecast: history, fitted curve, and the days ahead with their bands. */

import { announce } from "../announce.js";
import { readState, writeState } from "../address.js";
import { createChart } from "../chart/chart.js";
import { choices } from "../controls.js";
import { DAY_SECONDS, formatDay, secondsOf } from "../format.js";
import { besideCandles, createDailyCandles } from "../live/candles.js";
import { followNewestPrice } from "../live/newest-price.js";
import { slugOf } from "../live/prices.js";
import { follow } from "../poll.js";
import { LEVELS, bandPoints, daily, jointAreas } from "../forecast/fan.js";
import { addModels } from "../forecast/models.js";
import { mount as mountReleases } from "../forecast/release.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").ForecastDocument} ForecastDocument */
/** @typedef {import("../chart/series.js").LinePoint} LinePoint */
/** @typedef {import("../forecast/models.js").OtherModel} OtherModel */
/** @typedef {import("../live/candles.js").Candle} Candle */

const NEWEST_CANDLES = 30; // days that are asked for again and again

/** The ranges: days of history. */
const RANGE_NAMES = { "1m": "1M: one month", "6m": "6M: six months", "1y": "1Y: one year", "5y": "5Y: five years", all: "All days" };
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
  if (site.live) {
    addCandles(view, context);
    followNewestPrice(/** @type {HTMLElement} */ (root.querySelector(".price")), site);
  }
  void addModels(root, view, context);
  await afterPaint();
  view.addFitted();
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
  const price = chart.addLine({ name: "daily close", color: "price" });
  const line = chart.addLine({ name: "forecast", color: "forecast" });
  const band = chart.addBand({ name: "range", levels: LEVELS });
  let history = daily(first, closes);
  /** @type {import("../chart/chart.js").Series<LinePoint> | undefined} */
  let fitted;
  /** @type {OtherModel | null} */
  let other = null; // that is shown beside the forecast
  /** @type {ReturnType<typeof createCandles> | undefined} */
  let candles;
  /** @type {Map<number, Candle> | null} */
  let shownCandles = null; // null: the line is shown
  let followRange = () => {};
  /** @type {number | null} */
  let past = null; // the last day before the earlier forecast that is shown; null: the present one is shown

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
    const newest = { time: last, text: `last close: ${formatDay(last)}` };
    return today > end ? [newest] : [newest, { time: today, text: "today" }];
  }

  /** Draw the history up to the forecast: candles where there are some, and the line on all other days. */
  function showHistory() {
    const hasCandles = past === null && shownCandles !== null;
    candles?.show(hasCandles);
    if (hasCandles && shownCandles) {
      candles ??= createCandles(chart, first);
      candles.set(shownCandles, Math.max(last, ...shownCandles.keys()));
      const beside = besideCandles(history, shownCandles);
      price.set(beside.some((point) => point.value !== null && !point.joint) ? beside : []);
    } else if (past === null) {
      price.set(history);
    }
  }

  /** The first day of the chosen range. */
  function start() {
    const days = RANGES[/** @type {keyof typeof RANGES} */ (readState().range)] ?? RANGES["1y"];
    return Math.max((past ?? last) - days * DAY_SECONDS, first);
  }

  function showRange() {
    chart.setRange(start(), (past ?? last) + Number(readState().ahead ?? 90) * DAY_SECONDS);
    followRange();
  }

  return {
    chart,
    last,
    start,
    showRange,
    price,
    /** The closes that are known. */
    history: () => history,
    /**
     * Add the closes of days after those of the model.
     *
     * @param {LinePoint[]} later ascending
     */
    setLater(later) {
      if (later.length > 0) {
        history = [...daily(first, closes), ...withGaps(later, last)];
        showHistory();
      }
    },
    /**
     * Show these candlesticks, and the line on days without one; null: the line alone.
     *
     * @param {Map<number, Candle> | null} candlesByDay
     */
    showCandles(candlesByDay) {
      shownCandles = candlesByDay;
      showHistory();
    },
    /** Call a function whenever another range is chosen. @param {() => void} call */
    watchRange(call) {
      followRange = call;
    },
    addFitted() {
      fitted = chart.addLine({ name: "fitted curve", color: "fitted", width: 1 });
      fitted.set(daily(first, forecast.fitted));
      fitted.show(past === null);
    },
    /**
     * Show another model beside the forecast, instead of the one before; null: none.
     *
     * @param {OtherModel | null} model
     */
    showModel(model) {
      other?.show(false);
      other = model;
      other?.show(past === null);
    },
    /**
     * Hide the present forecast while an earlier one is shown, or show it again.
     *
     * @param {number | null} day the last one before the earlier forecast; null: show the present one
     */
    setPast(day) {
      past = day;
      const isPresent = past === null;
      showHistory();
      line.show(isPresent);
      band.show(isPresent);
      fitted?.show(isPresent);
      other?.show(isPresent);
      if (isPresent) {
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
  view.chart.tools.append(
    choices("History", { "1m": "1M", "6m": "6M", "1y": "1Y", "5y": "5Y", all: "All" }, range, RANGE_NAMES, (value) => {
      writeState({ range: value });
      view.showRange();
    }),
    choices("Ahead", { 30: "30", 90: "90", 365: "365" }, ahead, { 30: "30 days", 90: "90 days", 365: "365 days" }, (value) => {
      writeState({ ahead: value });
      view.showRange();
    }),
    choices("Scale", { linear: "Linear", log: "Log" }, scale, {}, (value) => {
      writeState({ scale: value });
      view.chart.setScale(value === "log" ? "log" : "linear");
    }, false),
  );
}

/**
 * Follow the daily candles of the database: the closes after those of the model, and, if they are chosen, candlesticks
 * and VWAP of the days of the range. Days that are made of minutes come a month at a time, and are drawn as they come.
 *
 * @param {View} view
 * @param {Context} context
 */
function addCandles(view, { site }) {
  const api = site.api ?? site.root;
  const collected = slugOf(site.traded);
  const days = createDailyCandles(api, collected);
  const isChosen = () => readState().view === "candles";
  let isAsking = false;

  function draw() {
    view.setLater([...days.candles.values()].filter(({ time }) => time > view.last).sort((left, right) => left.time - right.time).map(({ time, close }) => ({ time, value: close })));
    view.showCandles(isChosen() ? days.candles : null);
  }

  async function show() {
    draw();
    if (isAsking) {
      return;
    }
    isAsking = true;
    try {
      while (isChosen() && (await days.extend(view.start()))) {
        draw();
      }
    } catch (error) {
      announce(`Candles cannot be shown: ${error instanceof Error ? error.message : error}.`);
    } finally {
      isAsking = false;
    }
  }
  view.chart.tools.append(
    choices("History as", { line: "Line", candles: "Candles" }, readState().view, {}, (value) => {
      writeState({ view: value });
      void show();
    }, false),
  );
  view.watchRange(() => void show());
  // Not every pair of the model is collected.
  follow(() => `${api}candles/${collected}?interval=1d&limit=${NEWEST_CANDLES}`, {
    receive(answer) {
      days.add(answer);
      draw();
    },
    fail: ({ status }) => status === 404,
  });
  if (isChosen()) {
    void show();
  }
}

/**
 * Return the points of all days after `last`, with gaps.
 *
 * @param {LinePoint[]} points ascending
 * @param {number} last
 */
function withGaps(points, last) {
  const values = new Map(points.map(({ time, value }) => [time, value]));
  const days = ((points.at(-1)?.time ?? last) - last) / DAY_SECONDS;
  return daily(last + DAY_SECONDS, Array.from({ length: days }, (_, index) => values.get(last + (index + 1) * DAY_SECONDS) ?? null));
}

/**
 * @param {import("../chart/chart.js").Chart} chart
 * @param {number} first day
 */
function createCandles(chart, first) {
  const series = chart.addCandles({ name: "price" });
  const vwap = chart.addLine({ name: "VWAP", color: "vwap", width: 1 });
  return {
    /**
     * @param {Map<number, Candle>} candles by day
     * @param {number} last day
     */
    set(candles, last) {
      const times = Array.from({ length: (last - first) / DAY_SECONDS + 1 }, (_, index) => first + index * DAY_SECONDS);
      series.set(times.map((time) => candles.get(time) ?? { time }));
      vwap.set(times.map((time) => ({ time, value: candles.get(time)?.vwap ?? null })));
    },
    /** @param {boolean} shown */
    show(shown) {
      series.show(shown);
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

/** The kinds of series of a chart: what each one draws and how its values are worded. */

import { CandlestickSeries, LineSeries, LineStyle } from "lightweight-charts";
import { formatPrice } from "../format.js";
import { Band } from "./band.js";
import { KINDS, Strip } from "./strip.js";

/** @typedef {import("lightweight-charts").IChartApi} IChartApi */
/** @typedef {import("lightweight-charts").UTCTimestamp} UTCTimestamp */
/** @typedef {import("./theme.js").Theme} Theme */
/** @typedef {import("./theme.js").ColorName} ColorName */

/**
 * The points of series. `time` is seconds since 1970 in UTC. A `joint` is drawn, to join a series to another one, but
 * is not a value of its own.
 */
/** @typedef {{ time: number, value: number | null, joint?: boolean }} LinePoint null: a gap */
/** @typedef {{ time: number, open: number, high: number, low: number, close: number } | { time: number }} CandlePoint without prices: a gap */
/** @typedef {{ time: number, areas?: [number, number][], joint?: boolean }} BandPoint the prices below and above, the widest area first */
/** @typedef {{ time: number, kind?: string }} StripPoint a key of KINDS in strip.js */

/** @typedef {{ color: ColorName, text: string, shape: "line" | "dashed" | "dots" | "area" | "candles" | "bar" }} LegendItem */

/**
 * A series of a chart. Points are ascending by time and have no time twice.
 *
 * @template {{ time: number }} Point
 * @typedef {object} Series
 * @property {string} name
 * @property {(points: Point[]) => void} set replace all points
 * @property {(point: Point) => void} update replace the newest point, or add one after it; the others stay
 * @property {(visible: boolean) => void} show
 */

/**
 * What the chart itself needs of a series.
 *
 * @typedef {object} Part
 * @property {string} name
 * @property {string[]} columns of the table
 * @property {import("lightweight-charts").ISeriesApi<any>} api
 * @property {() => any[]} points
 * @property {() => boolean} visible
 * @property {(point: any) => string[] | null} cells the texts of a point, one a column; null: a gap
 * @property {(point: any) => number | null} price at which the cursor stands
 * @property {LegendItem[]} legend
 * @property {(theme: Theme) => void} paint
 */

/** What all series have: no line at the last price and no label of it on the axis. */
const PLAIN = { lastValueVisible: false, priceLineVisible: false };

/**
 * Return the index of the first point that is not before `time`.
 *
 * @param {{ time: number }[]} points ascending
 * @param {number} time
 */
export function indexOf(points, time) {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {{ time: number }} */ (points[middle]).time < time) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/**
 * Join a series of lightweight-charts with its points.
 *
 * @template {{ time: number }} Point
 * @param {Omit<Part, "points" | "visible">} part
 * @param {(points: Point[]) => any[]} drawn what lightweight-charts gets
 * @param {() => void} changed is called after each change
 * @returns {{ part: Part, series: Series<Point> }}
 */
function joined(part, drawn, changed) {
  /** @type {Point[]} */
  let points = [];
  let visible = true;
  return {
    part: { ...part, points: () => points, visible: () => visible },
    series: {
      name: part.name,
      set(all) {
        points = all.slice();
        part.api.setData(drawn(points));
        changed();
      },
      update(point) {
        const index = indexOf(points, point.time);
        const first = Math.max(index - 1, 0);
        const [before] = drawn(points.slice(first));
        points.splice(index, points.length - index, point);
        const after = drawn(points.slice(first));
        if (index > 0 && before.color !== after[0].color) {
          part.api.update(after[0], true); // a hole begins or ends behind the point before
        }
        part.api.update(after.at(-1));
        changed();
      },
      show(shown) {
        if (shown !== visible) {
          visible = shown;
          part.api.applyOptions({ visible });
          changed();
        }
      },
    },
  };
}

/**
 * @typedef {object} LineOptions
 * @property {string} name for legend, reading and table
 * @property {ColorName} color
 * @property {boolean} [dashed]
 * @property {1 | 2 | 3} [width] pixels, by default 2
 * @property {number} [decimals] of its values; by default those of the chart
 * @property {boolean} [points] with a dot at each value, for a line of a few
 * @property {boolean} [drawn] whether the line itself is drawn, or its dots alone; by default it is
 * @property {boolean} [widens] whether the price axis has room for it; by default it has
 */

/**
 * Add a line. It has a hole where a value is null.
 *
 * @param {IChartApi} chart
 * @param {LineOptions} options
 * @param {number} decimals
 * @param {() => void} changed
 */
export function addLine(chart, { name, color, dashed = false, width = 2, decimals: own, points = false, drawn = true, widens = true }, decimals, changed) {
  const digits = own ?? decimals;
  const api = chart.addSeries(LineSeries, {
    ...PLAIN,
    lineWidth: width,
    lineStyle: dashed ? LineStyle.Dashed : LineStyle.Solid,
    lineVisible: drawn,
    pointMarkersVisible: points || !drawn,
    ...(widens ? {} : { autoscaleInfoProvider: () => null }),
    priceFormat: priceFormat(digits),
  });
  return joined(
    {
      name,
      api,
      columns: [name],
      cells: ({ value }) => (value === null ? null : [formatPrice(value, digits)]),
      price: ({ value }) => value,
      legend: [{ color, text: name, shape: drawn ? (dashed ? "dashed" : "line") : "dots" }],
      paint: (theme) => api.applyOptions({ color: theme[color], crosshairMarkerBackgroundColor: theme[color] }),
    },
    drawn ? withHoles : onlyValues,
    changed,
  );
}

/**
 * Return the data of a line. lightweight-charts would join the points at both sides of a hole, so the line from the
 * point before it is transparent.
 *
 * @param {LinePoint[]} points
 */
function withHoles(points) {
  return points.map(({ time, value }, index) => {
    if (value === null) {
      return { time };
    }
    return points[index + 1]?.value === null ? { time, value, color: "transparent" } : { time, value };
  });
}

/**
 * Return the data of dots, which are not joined.
 *
 * @param {LinePoint[]} points
 */
function onlyValues(points) {
  return points.map(({ time, value }) => (value === null ? { time } : { time, value }));
}

/**
 * Add candlesticks.
 *
 * @param {IChartApi} chart
 * @param {{ name: string }} options
 * @param {number} decimals
 * @param {() => void} changed
 */
export function addCandles(chart, { name }, decimals, changed) {
  const api = chart.addSeries(CandlestickSeries, { ...PLAIN, priceFormat: priceFormat(decimals) });
  return joined(
    {
      name,
      api,
      columns: ["open", "high", "low", "close"],
      cells: (point) =>
        "close" in point ? [point.open, point.high, point.low, point.close].map((price) => formatPrice(price, decimals)) : null,
      price: ({ close = null }) => close,
      legend: [
        { color: "up", text: `${name} up`, shape: "candles" },
        { color: "down", text: `${name} down`, shape: "candles" },
      ],
      paint: ({ up, down }) =>
        api.applyOptions({ upColor: up, borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down }),
    },
    (/** @type {CandlePoint[]} */ points) => points,
    changed,
  );
}

/**
 * @typedef {object} BandOptions
 * @property {string} name
 * @property {{ text: string, color: ColorName }[]} levels of the areas, the widest one first
 */

/**
 * Add a band.
 *
 * @param {IChartApi} chart
 * @param {BandOptions} options
 * @param {number} decimals
 * @param {() => void} changed
 */
export function addBand(chart, { name, levels }, decimals, changed) {
  const named = levels.slice().reverse(); // the narrowest one is read first
  const api = chart.addCustomSeries(new Band(), { ...PLAIN, priceFormat: priceFormat(decimals) });
  api.setSeriesOrder(0); // below the lines
  return joined(
    {
      name,
      api,
      columns: named.map(({ text }) => `${text} range`),
      cells: ({ areas }) =>
        areas?.map((/** @type {[number, number]} */ [low, high]) => `${formatPrice(low, decimals)} to ${formatPrice(high, decimals)}`).reverse() ?? null,
      price: ({ areas }) => (areas ? (areas[0][0] + areas[0][1]) / 2 : null),
      legend: named.map(({ text, color }) => ({ color, text: `${text} range`, shape: "area" })),
      paint: (theme) => api.applyOptions({ colors: levels.map(({ color }) => theme[color]) }),
    },
    (/** @type {BandPoint[]} */ points) => points,
    changed,
  );
}

/**
 * Add a strip of verdicts.
 *
 * @param {IChartApi} chart
 * @param {{ name: string }} options
 * @param {() => void} changed
 */
export function addStrip(chart, { name }, changed) {
  const api = chart.addCustomSeries(new Strip(), { ...PLAIN, priceScaleId: "strip" });
  /** @type {[keyof typeof KINDS, { words: string }][]} */
  const kinds = /** @type {any} */ (Object.entries(KINDS));
  return joined(
    {
      name,
      api,
      columns: [name],
      cells: ({ kind }) => (kind === undefined ? null : [KINDS[/** @type {keyof typeof KINDS} */ (kind)]?.words ?? kind]),
      price: () => null,
      legend: kinds.map(([kind, { words }]) => ({ color: kind, text: words, shape: "bar" })),
      paint: (theme) => api.applyOptions({ colors: Object.fromEntries(kinds.map(([kind]) => [kind, theme[kind]])) }),
    },
    (/** @type {StripPoint[]} */ points) => points,
    changed,
  );
}

/**
 * @param {number} decimals
 * @returns {import("lightweight-charts").PriceFormatCustom}
 */
function priceFormat(decimals) {
  return { type: "custom", formatter: (/** @type {number} */ price) => formatPrice(price, decimals), minMove: 10 ** -decimals };
}

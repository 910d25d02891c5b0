/** A chart in a figure: canvas, legend, reading, keyboard, and the table of its values. */

import { createChart as createCanvas, CrosshairMode, PriceScaleMode } from "lightweight-charts";
import { createAnnouncer } from "../announce.js";
import { element } from "../elements.js";
import { decimalsOfStep, formatDay, formatMinute, formatPrice, formatUtcDay } from "../format.js";
import { createCursor, HELP } from "./cursor.js";
import { Markers } from "./marker.js";
import { addBand, addCandles, addLine, addStrip, indexOf } from "./series.js";
import { STRIP_SHARE } from "./strip.js";
import { createTable } from "./table.js";
import { onThemeChange, readTheme } from "./theme.js";

/** @typedef {import("./series.js").Part} Part */
/** @typedef {import("./series.js").LinePoint} LinePoint */
/** @typedef {import("./series.js").CandlePoint} CandlePoint */
/** @typedef {import("./series.js").BandPoint} BandPoint */
/** @typedef {import("./series.js").StripPoint} StripPoint */
/** @typedef {import("lightweight-charts").UTCTimestamp} UTCTimestamp */

/**
 * @template {{ time: number }} Point
 * @typedef {import("./series.js").Series<Point>} Series
 */

/**
 * @typedef {object} ChartOptions
 * @property {string} label what the chart shows, for a screen reader: "Price of BTC/USD in USD, with its forecast"
 * @property {number} decimals of its prices
 * @property {"day" | "minute"} step what a time of the chart means
 * @property {number} [page] steps that Page Up and Page Down move, by default 30
 * @property {(time: number) => string} [word] the text of a time; by default its day or minute, in UTC
 */

/**
 * @typedef {object} Chart
 * @property {(options: import("./series.js").LineOptions) => Series<LinePoint>} addLine
 * @property {(options: { name: string }) => Series<CandlePoint>} addCandles
 * @property {(options: import("./series.js").BandOptions) => Series<BandPoint>} addBand drawn below the lines
 * @property {(options: { name: string }) => Series<StripPoint>} addStrip verdicts of minutes, at the bottom
 * @property {HTMLElement} tools above the plot, for the buttons of a section
 * @property {(marks: { time: number, text: string }[]) => void} mark draw vertical lines with a word, instead of earlier ones
 * @property {(time: number) => void} setHome the time whose values are read while nothing is pointed at; by default the
 *   newest one of the first series
 * @property {(scale: "linear" | "log") => void} setScale
 * @property {(from: number, to: number) => void} setRange show the times from `from` to `to`, both included
 * @property {(label: string) => void} setLabel
 * @property {() => void} remove
 */

const coarse = matchMedia("(pointer: coarse)");
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Fill a `<figure class="chart">` with a chart. Its content, except for a `<figcaption>`, is replaced.
 *
 * Times are seconds since 1970 in UTC. Points of a series are ascending by time. The chart is drawn in the next frame.
 *
 * @param {HTMLElement} figure
 * @param {ChartOptions} options
 * @returns {Chart}
 */
export function createChart(figure, { label, decimals, step, page = 30, word = step === "day" ? formatUtcDay : formatMinute }) {
  const { tools, legend, plot, canvas, reading, spoken } = createElements(figure, label);
  let digits = decimals; // of the price axis
  const chart = createCanvas(canvas, {
    autoSize: true,
    layout: { attributionLogo: false, background: { color: "transparent" }, fontFamily: getComputedStyle(figure).fontFamily },
    localization: {
      locale: "en-GB",
      timeFormatter: step === "day" ? formatDay : word,
      // The axis has as many decimals as it needs; the exact price is in the reading.
      priceFormatter: (/** @type {number} */ price) => formatPrice(price, digits),
      tickmarksPriceFormatter(/** @type {number[]} */ prices) {
        digits = axisDecimals(prices, decimals);
        return prices.map((price) => formatPrice(price, digits));
      },
    },
    crosshair: { mode: CrosshairMode.Magnet },
    hoveredSeriesOnTop: false,
    timeScale: { borderVisible: false, fixLeftEdge: true, fixRightEdge: true, minBarSpacing: 0.01, timeVisible: step === "minute", secondsVisible: false, lockVisibleTimeRangeOnResize: true },
    rightPriceScale: { borderVisible: false },
    // A finger that moves up and down scrolls the page.
    handleScroll: { vertTouchDrag: false },
    handleScale: { axisPressedMouseMove: { time: true, price: !coarse.matches } },
    kineticScroll: { touch: !reducedMotion.matches, mouse: false },
  });
  const scale = chart.timeScale();
  const markers = new Markers();
  chart.panes()[0]?.attachPrimitive(markers);
  const ended = new AbortController();
  const speak = createAnnouncer(spoken);

  /** @type {Part[]} */
  const parts = [];
  let theme = readTheme(figure);
  /** @type {number[] | null} */
  let times = null;
  /** @type {number | null} */
  let home = null;
  /** @type {number | null} */
  let pointedAt = null; // by pointer, finger or keyboard
  /** @type {number | null} */
  let cursorAt = null; // of the keyboard
  let pending = 0; // a frame in which legend and reading are renewed

  const allTimes = () => (times ??= timesOf(parts));
  const homeTime = () => home ?? parts.find((part) => part.visible() && part.points().length > 0)?.points().at(-1).time ?? 0;
  const indexAt = (/** @type {number} */ time) => scale.timeToIndex(/** @type {UTCTimestamp} */ (time), true) ?? 0;
  const values = (/** @type {number} */ time) => valuesAt(parts, time);

  const table = createTable({ label: () => plot.getAttribute("aria-label") ?? label, parts: () => parts, times: allTimes, home: homeTime, word });

  function read() {
    const time = pointedAt ?? homeTime();
    showReading(reading, word(time), values(time));
  }

  /** @param {number} time */
  function readAt(time) {
    pointedAt = time;
    read();
  }

  function changed() {
    times = null;
    if (!pending) {
      pending = requestAnimationFrame(refresh);
    }
  }
  function refresh() {
    pending = 0;
    if (showLegend(legend, parts)) {
      table.renew();
    }
    if (parts.some((part) => part.points().length > 0)) {
      read();
    }
  }

  /**
   * @template {{ time: number }} Point
   * @param {{ part: Part, series: Series<Point> }} added
   */
  function keep({ part, series }) {
    parts.push(part);
    part.paint(theme);
    changed();
    return series;
  }

  function paint() {
    theme = readTheme(figure);
    chart.applyOptions({
      layout: { textColor: theme.text },
      grid: { vertLines: { color: theme.grid }, horzLines: { color: theme.grid } },
      crosshair: {
        vertLine: { color: theme.cursor, labelBackgroundColor: theme["cursor-label"] },
        horzLine: { color: theme.cursor, labelBackgroundColor: theme["cursor-label"] },
      },
    });
    markers.paint(theme.today);
    parts.forEach((part) => part.paint(theme));
  }

  function rest() {
    chart.clearCrosshairPosition();
    cursorAt = null;
    pointedAt = null;
    read();
  }

  /** @param {number} time */
  function moveCursor(time) {
    const index = indexAt(time);
    const visible = scale.getVisibleLogicalRange();
    if (visible && (index < visible.from || index > visible.to)) {
      const shift = index < visible.from ? index - visible.from : index - visible.to;
      scale.setVisibleLogicalRange({ from: visible.from + shift, to: visible.to + shift });
    }
    cursorAt = time;
    requestAnimationFrame(drawCursor); // after the frame that moves the time axis
    readAt(time);
    speak(`${word(time)}: ${values(time).map(({ name, text }) => `${name} ${text}`).join(", ") || "no values"}`);
  }

  function drawCursor() {
    const nearestPart = parts.find((part) => part.visible() && cursorAt !== null && priceAt(part, cursorAt) !== null);
    if (cursorAt !== null && nearestPart) {
      chart.setCrosshairPosition(/** @type {number} */ (priceAt(nearestPart, cursorAt)), /** @type {UTCTimestamp} */ (cursorAt), nearestPart.api);
    }
  }

  /** @param {number} factor */
  function zoom(factor) {
    const visible = scale.getVisibleLogicalRange();
    if (visible) {
      const center = pointedAt === null ? (visible.from + visible.to) / 2 : indexAt(pointedAt);
      scale.setVisibleLogicalRange({ from: center - (center - visible.from) * factor, to: center + (visible.to - center) * factor });
    }
  }

  chart.subscribeCrosshairMove(({ time, sourceEvent }) => {
    if (cursorAt !== null && !sourceEvent) {
      if (time !== cursorAt) {
        requestAnimationFrame(drawCursor); // the time axis has moved below the cursor
      }
    } else if (time === undefined) {
      rest();
    } else if (time !== pointedAt) {
      cursorAt = null;
      readAt(/** @type {number} */ (time));
    }
  });
  chart.subscribeClick(({ time }) => {
    if (time !== undefined) {
      readAt(/** @type {number} */ (time)); // a finger does not hover
    }
  });
  // The wheel scrolls the page; with Ctrl, or by pinching, it zooms; to the side it moves the chart.
  plot.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) {
        event.stopPropagation();
      }
    },
    { capture: true, passive: true, signal: ended.signal },
  );
  createCursor({ plot, times: allTimes, home: homeTime, page, move: moveCursor, leave: rest, zoom });
  figure.append(table.details);
  paint();
  onThemeChange(paint, ended.signal);

  return {
    tools,
    addLine: (line) => keep(addLine(chart, line, decimals, changed)),
    addCandles: (candles) => keep(addCandles(chart, candles, decimals, changed)),
    addBand: (band) => keep(addBand(chart, band, decimals, changed)),
    addStrip(strip) {
      chart.priceScale("right").applyOptions({ scaleMargins: { top: 0.1, bottom: STRIP_SHARE + 0.02 } });
      return keep(addStrip(chart, strip, changed));
    },
    mark: (marks) => markers.place(marks),
    setHome(time) {
      home = time;
      changed();
    },
    setScale: (name) => chart.priceScale("right").applyOptions({ mode: name === "log" ? PriceScaleMode.Logarithmic : PriceScaleMode.Normal }),
    setRange(from, to) {
      scale.setVisibleLogicalRange({ from: indexAt(from), to: indexAt(to) });
    },
    setLabel: (text) => plot.setAttribute("aria-label", text),
    remove() {
      ended.abort();
      cancelAnimationFrame(pending);
      chart.remove();
      figure.querySelectorAll(":scope > :not(figcaption)").forEach((child) => child.remove());
    },
  };
}

/**
 * Fill a figure with the elements of a chart.
 *
 * @param {HTMLElement} figure
 * @param {string} label
 */
function createElements(figure, label) {
  figure.querySelectorAll(":scope > :not(figcaption)").forEach((child) => child.remove());
  figure.classList.remove("waiting");
  const tools = element("div", { class: "controls tools" });
  const legend = element("ul", { class: "legend" });
  const canvas = element("div", { class: "canvas", "aria-hidden": "true" }); // lightweight-charts draws in a table
  const plot = element(
    "div",
    { class: "plot", tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-label": label, "aria-description": HELP },
    canvas,
  );
  const reading = element("p", { class: "reading" });
  const spoken = element("p", { class: "visually-hidden", role: "status" });
  figure.append(tools, legend, plot, reading, spoken);
  return { tools, legend, plot, canvas, reading, spoken };
}

/**
 * Return the times of the visible series, ascending.
 *
 * @param {Part[]} parts
 * @returns {number[]}
 */
function timesOf(parts) {
  const shown = parts.filter((part) => part.visible());
  return [...new Set(shown.flatMap((part) => part.points().map(({ time }) => time)))].sort((left, right) => left - right);
}

/**
 * @param {Part} part
 * @param {number} time
 */
function pointAt(part, time) {
  const point = part.points()[indexOf(part.points(), time)];
  return point?.time === time ? point : null;
}

/**
 * @param {Part} part
 * @param {number} time
 * @returns {number | null}
 */
function priceAt(part, time) {
  const point = pointAt(part, time);
  return point && part.price(point);
}

/**
 * Return the values of the visible series at a time.
 *
 * @param {Part[]} parts
 * @param {number} time
 * @returns {{ name: string, text: string }[]}
 */
function valuesAt(parts, time) {
  return parts.flatMap((part) => {
    const point = part.visible() ? pointAt(part, time) : null;
    const texts = point && !point.joint ? part.cells(point) : null;
    return texts ? texts.map((/** @type {string} */ text, /** @type {number} */ index) => ({ name: part.columns[index] ?? part.name, text })) : [];
  });
}

/**
 * @param {HTMLElement} reading
 * @param {string} time
 * @param {{ name: string, text: string }[]} items
 */
function showReading(reading, time, items) {
  const shown = items.map(({ name, text }) => element("span", {}, `${name} `, element("b", {}, text)));
  reading.replaceChildren(element("time", {}, time), ...shown.flatMap((item) => [" ", item]));
}

/**
 * Show the legend of the visible series, and return whether it has changed.
 *
 * @param {HTMLElement} legend
 * @param {Part[]} parts
 */
function showLegend(legend, parts) {
  const items = parts.filter((part) => part.visible() && part.points().length > 0).flatMap((part) => part.legend);
  const key = items.map(({ text }) => text).join("\n");
  if (legend.dataset.key === key) {
    return false;
  }
  legend.dataset.key = key;
  legend.replaceChildren(
    ...items.map(({ color, text, shape }) => {
      const swatch = element("span", { class: `swatch ${shape}` });
      swatch.style.color = `var(--chart-${color}, currentColor)`;
      return element("li", {}, swatch, text);
    }),
  );
  return true;
}

/**
 * Return the decimals that tell the prices of the axis apart.
 *
 * @param {number[]} prices
 * @param {number} decimals
 */
function axisDecimals(prices, decimals) {
  const steps = prices.slice(1).map((price, index) => Math.abs(price - /** @type {number} */ (prices[index])));
  const step = Math.min(...steps.filter((difference) => difference > 0), Infinity);
  return Number.isFinite(step) ? decimalsOfStep(step, decimals) : decimals;
}

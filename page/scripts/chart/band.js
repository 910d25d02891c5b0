/** The bands of a forecast: areas between two prices, the widest one below the others. */

import { customSeriesDefaultOptions } from "lightweight-charts";

/** @typedef {import("lightweight-charts").Time} Time */
/** @typedef {import("lightweight-charts").CustomSeriesOptions & { colors: string[] }} BandOptions */

/**
 * A point of a band.
 *
 * @typedef {object} BandPoint
 * @property {Time} time
 * @property {[number, number][]} [areas] the prices below and above, the widest area first; undefined: no forecast
 */

/** @typedef {import("lightweight-charts").PaneRendererCustomData<Time, BandPoint & { time: Time }>} Data */
/** @typedef {Data["bars"][number]} Bar */
/** @typedef {import("lightweight-charts").ICustomSeriesPaneView<Time, BandPoint, BandOptions>} View */

/**
 * How bands are drawn, for lightweight-charts.
 *
 * @implements {View}
 */
export class Band {
  /** @type {Data | null} */
  #data = null;
  /** @type {string[]} */
  #colors = [];

  renderer() {
    return this;
  }

  /**
   * @param {Data} data
   * @param {BandOptions} options
   */
  update(data, { colors }) {
    this.#data = data;
    this.#colors = colors;
  }

  /**
   * Draw the areas.
   *
   * @param {Parameters<import("lightweight-charts").ICustomSeriesPaneRenderer["draw"]>[0]} target
   * @param {import("lightweight-charts").PriceToCoordinateConverter} toY
   */
  draw(target, toY) {
    const range = this.#data?.visibleRange;
    if (!this.#data || !range || range.from >= range.to) {
      return;
    }
    const { bars, barSpacing: width } = this.#data;
    const visible = /** @type {Bar} */ (bars[range.from]);
    // A bar beyond the edges still has the place where it was seen last.
    const placed = bars
      .slice(Math.max(range.from - 1, 0), range.to + 1)
      .map((bar) => ({ ...bar, x: visible.x + (bar.time - visible.time) * width }));
    const runs = runsOf(placed);
    target.useMediaCoordinateSpace(({ context }) => {
      this.#colors.forEach((color, level) => {
        context.fillStyle = color;
        for (const run of runs) {
          context.fill(outline(run, level, width, toY));
        }
      });
    });
  }

  /**
   * Return the prices that have to be visible: the widest area.
   *
   * @param {BandPoint} point
   */
  priceValueBuilder({ areas }) {
    const [low, high] = areas?.[0] ?? [NaN, NaN];
    return [low, high, (low + high) / 2];
  }

  /**
   * @param {BandPoint | import("lightweight-charts").CustomSeriesWhitespaceData<Time>} point
   * @returns {point is import("lightweight-charts").CustomSeriesWhitespaceData<Time>}
   */
  isWhitespace(point) {
    return !("areas" in point) || point.areas === undefined;
  }

  /** @returns {BandOptions} */
  defaultOptions() {
    return { ...customSeriesDefaultOptions, colors: [] };
  }
}

/**
 * Split the bars where there are times without a forecast.
 *
 * @param {Data["bars"]} bars
 * @returns {Bar[][]}
 */
function runsOf(bars) {
  /** @type {Bar[][]} */
  const runs = [];
  for (const bar of bars) {
    const run = runs.at(-1);
    if (run?.at(-1)?.time === bar.time - 1) {
      run?.push(bar);
    } else {
      runs.push([bar]);
    }
  }
  return runs;
}

/**
 * Return the outline of an area: along its upper prices, and back along its lower ones. A single bar has a width.
 *
 * @param {Bar[]} run
 * @param {number} level
 * @param {number} width of a bar, in pixels
 * @param {import("lightweight-charts").PriceToCoordinateConverter} toY
 */
function outline(run, level, width, toY) {
  const path = new Path2D();
  const half = run.length === 1 ? width / 2 : 0;
  /** @type {(bar: Bar, end: 0 | 1, shift: number) => void} */
  const add = ({ x, originalData }, end, shift) => path.lineTo(x + shift, toY(originalData.areas?.[level]?.[end] ?? NaN) ?? NaN);
  run.forEach((bar) => add(bar, 1, -half));
  run.slice(-1).forEach((bar) => {
    add(bar, 1, half);
    add(bar, 0, half);
  });
  run.slice().reverse().forEach((bar) => add(bar, 0, -half));
  path.closePath();
  return path;
}

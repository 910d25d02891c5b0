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
    if (!this.#data || !range) {
      return;
    }
    const bars = this.#data.bars.slice(Math.max(range.from - 1, 0), range.to + 1);
    const backwards = bars.slice().reverse();
    target.useMediaCoordinateSpace(({ context }) => {
      this.#colors.forEach((color, level) => {
        context.beginPath();
        for (const { x, originalData } of bars) {
          context.lineTo(x, toY(originalData.areas?.[level]?.[1] ?? NaN) ?? NaN);
        }
        for (const { x, originalData } of backwards) {
          context.lineTo(x, toY(originalData.areas?.[level]?.[0] ?? NaN) ?? NaN);
        }
        context.closePath();
        context.fillStyle = color;
        context.fill();
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

/** A strip under the candles: a bar a minute, whose height and colour show a verdict. */

import { customSeriesDefaultOptions } from "lightweight-charts";

/** @typedef {import("lightweight-charts").Time} Time */
/** @typedef {import("lightweight-charts").CustomSeriesOptions & { colors: Record<string, string> }} StripOptions */

/**
 * @typedef {object} StripPoint
 * @property {Time} time
 * @property {string} [kind] a key of KINDS; undefined: unknown
 */

/** @typedef {import("lightweight-charts").PaneRendererCustomData<Time, StripPoint & { time: Time }>} Data */
/** @typedef {import("lightweight-charts").ICustomSeriesPaneView<Time, StripPoint, StripOptions>} View */

/** @typedef {{ kind: keyof typeof KINDS, first: number, last: number, index: number }} Run bars of one kind, from x to x */

/** The verdicts with their words and heights: a reader who does not see the colours sees the heights. */
export const KINDS = /** @type {const} */ ({
  traded: { words: "traded", height: 1 },
  quiet: { words: "quiet: connected, without a trade", height: 0.25 },
  disconnected: { words: "disconnected", height: 0.6 },
  "exchange-down": { words: "exchange down", height: 0.8 },
});

const THINNEST = 2; // pixels of a single minute, however many there are

/** The share of the chart's height that the strip takes. */
export const STRIP_SHARE = 0.08;

/**
 * How the strip is drawn, for lightweight-charts: at the bottom, whatever the prices are.
 *
 * @implements {View}
 */
export class Strip {
  /** @type {Data | null} */
  #data = null;
  /** @type {Record<string, string>} */
  #colors = {};

  renderer() {
    return this;
  }

  /**
   * @param {Data} data
   * @param {StripOptions} options
   */
  update(data, { colors }) {
    this.#data = data;
    this.#colors = colors;
  }

  /**
   * Draw the bars.
   *
   * @param {Parameters<import("lightweight-charts").ICustomSeriesPaneRenderer["draw"]>[0]} target
   */
  draw(target) {
    const data = this.#data;
    if (!data?.visibleRange) {
      return;
    }
    const { from, to } = data.visibleRange;
    const runs = runsOf(data.bars.slice(from, to));
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      for (const { kind, first, last } of runs) {
        const height = mediaSize.height * STRIP_SHARE * 0.9 * (KINDS[kind]?.height ?? 0);
        const width = Math.max(last - first + data.barSpacing, THINNEST);
        context.fillStyle = this.#colors[kind] ?? "transparent";
        context.fillRect((first + last - width) / 2, mediaSize.height - height, width, height);
      }
    });
  }

  priceValueBuilder() {
    return [0];
  }

  /**
   * @param {StripPoint | import("lightweight-charts").CustomSeriesWhitespaceData<Time>} point
   * @returns {point is import("lightweight-charts").CustomSeriesWhitespaceData<Time>}
   */
  isWhitespace(point) {
    return !("kind" in point) || point.kind === undefined;
  }

  /** @returns {StripOptions} */
  defaultOptions() {
    return { ...customSeriesDefaultOptions, colors: {} };
  }
}

/**
 * Join neighbours of the same kind. Minutes with trades come first, so that all others are drawn above them.
 *
 * @param {import("lightweight-charts").CustomBarItemData<Time, StripPoint & { time: Time }>[]} bars
 * @returns {Run[]}
 */
function runsOf(bars) {
  /** @type {Run[]} */
  const runs = [];
  for (const { x, time, originalData } of bars) {
    const kind = /** @type {keyof typeof KINDS} */ (originalData.kind);
    const run = runs.at(-1);
    if (run && run.kind === kind && time === run.index + 1) {
      run.last = x;
      run.index = time;
    } else {
      runs.push({ kind, first: x, last: x, index: time });
    }
  }
  return runs.sort((left, right) => Number(right.kind === "traded") - Number(left.kind === "traded"));
}

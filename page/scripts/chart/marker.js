/** Vertical lines with a word, for example at today. */

/** @typedef {import("lightweight-charts").Time} Time */

/** @typedef {import("lightweight-charts").IPanePrimitive<Time>} Primitive */

const FONT = "12px system-ui, sans-serif";

/** @typedef {{ time: number, text: string }} Mark */

/** @implements {Primitive} */
export class Markers {
  /** @type {import("lightweight-charts").PaneAttachedParameter<Time> | null} */
  #attached = null;
  #color = "transparent";
  /** @type {Mark[]} */
  #marks = [];
  #views = [{ renderer: () => this }];

  /** @param {import("lightweight-charts").PaneAttachedParameter<Time>} attached */
  attached(attached) {
    this.#attached = attached;
  }

  paneViews() {
    return this.#views;
  }

  /**
   * Replace all marks.
   *
   * @param {Mark[]} marks
   */
  place(marks) {
    this.#marks = marks;
    this.#attached?.requestUpdate();
  }

  /** @param {string} color */
  paint(color) {
    this.#color = color;
    this.#attached?.requestUpdate();
  }

  /**
   * Draw the marks.
   *
   * @param {Parameters<import("lightweight-charts").IPrimitivePaneRenderer["draw"]>[0]} target
   */
  draw(target) {
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      context.strokeStyle = this.#color;
      context.fillStyle = this.#color;
      context.font = FONT;
      context.setLineDash([2, 3]);
      for (const { time, text } of this.#marks) {
        const x = this.#coordinate(time);
        if (x !== null && x >= 0 && x <= mediaSize.width) {
          context.beginPath();
          context.moveTo(x, 0);
          context.lineTo(x, mediaSize.height);
          context.stroke();
          const width = context.measureText(text).width;
          context.fillText(text, x + 4 + width < mediaSize.width ? x + 4 : x - 4 - width, 12);
        }
      }
    });
  }

  /**
   * @param {number} time
   * @returns {number | null} pixels from the left; null if nothing is drawn yet
   */
  #coordinate(time) {
    const scale = this.#attached?.chart.timeScale();
    const index = scale?.timeToIndex(/** @type {Time} */ (time), true) ?? null;
    return index === null ? null : (scale?.logicalToCoordinate(/** @type {any} */ (index)) ?? null);
  }
}

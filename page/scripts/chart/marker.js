/** A vertical line with a word, for example at today. */

/** @typedef {import("lightweight-charts").Time} Time */

/** @typedef {import("lightweight-charts").IPanePrimitive<Time>} Primitive */

/** @implements {Primitive} */
export class Marker {
  /** @type {import("lightweight-charts").PaneAttachedParameter<Time> | null} */
  #attached = null;
  #color = "transparent";
  /** @type {Time | null} */
  #time = null;
  #text = "";
  #views = [{ renderer: () => this }];

  /** @param {import("lightweight-charts").PaneAttachedParameter<Time>} attached */
  attached(attached) {
    this.#attached = attached;
  }

  paneViews() {
    return this.#views;
  }

  /**
   * Put the marker at a time.
   *
   * @param {Time} time
   * @param {string} text
   */
  place(time, text) {
    this.#time = time;
    this.#text = text;
    this.#attached?.requestUpdate();
  }

  /** @param {string} color */
  paint(color) {
    this.#color = color;
    this.#attached?.requestUpdate();
  }

  /**
   * Draw the marker.
   *
   * @param {Parameters<import("lightweight-charts").IPrimitivePaneRenderer["draw"]>[0]} target
   */
  draw(target) {
    const scale = this.#attached?.chart.timeScale();
    const index = this.#time === null ? null : scale?.timeToIndex(this.#time, true);
    const x = index === null || index === undefined ? null : scale?.logicalToCoordinate(/** @type {any} */ (index));
    if (x === null || x === undefined) {
      return;
    }
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      context.strokeStyle = this.#color;
      context.fillStyle = this.#color;
      context.setLineDash([3, 3]);
      context.beginPath();
      context.moveTo(x, 0);
      context.lineTo(x, mediaSize.height);
      context.stroke();
      context.setLineDash([]);
      context.font = "12px sans-serif";
      context.fillText(this.#text, x + 4, 14);
    });
  }
}

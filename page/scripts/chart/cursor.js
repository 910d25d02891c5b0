/** The keyboard's cursor of a chart. */

/**
 * @typedef {object} CursorOptions
 * @property {HTMLElement} plot gets the keys
 * @property {() => number[]} times at which the cursor may stand, ascending
 * @property {() => number} home where it starts
 * @property {number} page of Page Up and Page Down, in steps
 * @property {(time: number) => void} move is called with the cursor's new place
 * @property {() => void} leave the cursor is gone
 * @property {(factor: number) => void} zoom by a factor: below 1 shows fewer points
 */

/** The help that a screen reader reads with the label of a chart. */
export const HELP = "Arrow keys move along the chart and read the values; Page Up, Page Down, Home and End move further; plus and minus zoom.";

/**
 * Let arrow keys, Home, End, Page Up and Page Down move a cursor along a chart, plus and minus zoom, Escape end it.
 *
 * @param {CursorOptions} options
 */
export function createCursor({ plot, times, home, page, move, leave, zoom }) {
  /** @type {number | null} */
  let at = null;

  /** @param {KeyboardEvent} event */
  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return; // of the browser
    }
    if (event.key === "+" || event.key === "=" || event.key === "-") {
      event.preventDefault();
      zoom(event.key === "-" ? 1.5 : 1 / 1.5);
      return;
    }
    if (event.key === "Escape") {
      at = null;
      leave();
      return;
    }
    const all = times();
    const last = all.length - 1;
    const here = at === null ? nearest(all, home()) : nearest(all, at);
    const there = {
      ArrowLeft: here - 1,
      ArrowDown: here - 1,
      ArrowRight: here + 1,
      ArrowUp: here + 1,
      PageDown: here + page,
      PageUp: here - page,
      Home: 0,
      End: last,
    }[event.key];
    if (there === undefined || last < 0) {
      return;
    }
    event.preventDefault();
    at = /** @type {number} */ (all[Math.min(Math.max(there, 0), last)]);
    move(at);
  }

  plot.addEventListener("keydown", pressed);
  plot.addEventListener("blur", () => {
    at = null;
    leave();
  });
}

/**
 * Return the index of the time that is nearest to `time`.
 *
 * @param {number[]} times ascending
 * @param {number} time
 */
export function nearest(times, time) {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    const left = time - /** @type {number} */ (times[middle]);
    const right = /** @type {number} */ (times[middle + 1]) - time;
    if (left <= right) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

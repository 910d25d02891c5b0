/** The colours of charts: the custom properties `--chart-*` of the style sheet. */

/**
 * The names of the colours, without `--chart-`. The style sheet sets each of them for light and dark.
 *
 * @typedef {typeof NAMES[number]} ColorName
 */
const NAMES = /** @type {const} */ ([
  "text", // on the axes
  "grid",
  "cursor", // the line under the pointer
  "cursor-label", // behind the text of the axis under the pointer
  "today", // the vertical marker
  "price",
  "fitted",
  "forecast",
  "model", // another one
  "actual", // what followed a forecast
  "vwap",
  "compare", // the second pair
  "up",
  "down",
  "band-50",
  "band-80",
  "band-90",
  "band-model",
  "traded", // the verdicts of minutes
  "quiet",
  "disconnected",
  "exchange-down",
]);

/** @typedef {Record<ColorName, string>} Theme */

/**
 * Return the colours that are valid now, as `rgb()` or `rgba()`.
 *
 * @param {HTMLElement} parent in which the custom properties are read
 * @returns {Theme}
 */
export function readTheme(parent) {
  const probe = document.createElement("span");
  probe.hidden = true;
  const swatches = NAMES.map((name) => {
    const swatch = document.createElement("span");
    swatch.style.color = `var(--chart-${name}, currentColor)`;
    return swatch;
  });
  probe.append(...swatches);
  parent.append(probe);
  const theme = Object.fromEntries(NAMES.map((name, index) => [name, getComputedStyle(/** @type {Element} */ (swatches[index])).color]));
  probe.remove();
  return /** @type {Theme} */ (theme);
}

const dark = matchMedia("(prefers-color-scheme: dark)");

/**
 * Call a function whenever the reader's colour scheme changes.
 *
 * @param {() => void} apply
 * @param {AbortSignal} signal ends it
 */
export function onThemeChange(apply, signal) {
  dark.addEventListener("change", apply, { signal });
}

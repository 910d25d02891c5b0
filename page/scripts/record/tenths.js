/** How evenly the outcomes fell into the tenths of the forecast: ten bars a horizon, and their table. */

import { captionOf, element, svg } from "../elements.js";
import { formatShare } from "../format.js";

/** @typedef {{ label: string, shares: number[] }} Horizon ten shares */

const EVEN = 0.1;
const LEAST_TOP = 0.2; // share at the upper edge

/**
 * Return the table of bars, with a dashed line at 10 %.
 *
 * @param {string} caption
 * @param {Horizon[]} horizons
 */
export function tenthsTable(caption, horizons) {
  const top = Math.max(LEAST_TOP, ...horizons.flatMap(({ shares }) => shares));
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, "Ahead"),
    element("td", {}, element("span", { class: "ends" }, element("span", {}, "lowest"), element("span", {}, "highest"))),
    element("th", { scope: "col" }, "Each tenth"),
  );
  const rows = horizons.map(({ label, shares }) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, label),
      element("td", {}, barsOf(shares, top)),
      element("td", {}, `${Math.round(100 * Math.min(...shares))}–${formatShare(Math.max(...shares))}`),
    ),
  );
  return element(
    "table",
    { class: "figures" },
    element("caption", {}, caption),
    element("thead", {}, head),
    element("tbody", {}, ...rows),
  );
}

/**
 * Return every share, behind a summary that opens it.
 *
 * @param {Horizon[]} horizons
 */
export function tenthsDetails(horizons) {
  const head = element("tr", {}, ...["Tenth", ...horizons.map(({ label }) => label)].map((text) => element("th", { scope: "col" }, text)));
  const rows = Array.from({ length: 10 }, (_, tenth) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, String(tenth + 1)),
      ...horizons.map(({ shares }) => element("td", {}, formatShare(shares[tenth] ?? NaN, 1))),
    ),
  );
  const caption = captionOf("Share of the outcomes in each tenth of the forecast, from the lowest prices to the highest; 10 % is meant.");
  const table = element("table", {}, caption, element("thead", {}, head), element("tbody", {}, ...rows));
  return element("details", {}, element("summary", {}, "Every share"), element("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Every share" }, table));
}

/**
 * @param {number[]} shares
 * @param {number} top share at the upper edge
 */
function barsOf(shares, top) {
  const at = (/** @type {number} */ share) => `${100 * (1 - share / top)}%`;
  return svg(
    "svg",
    { class: "bars", "aria-hidden": "true", focusable: "false" },
    ...shares.map((share, tenth) =>
      svg("rect", { class: "mark", x: `${10 * tenth + 0.75}%`, width: "8.5%", y: at(share), height: `${(100 * share) / top}%` }),
    ),
    svg("line", { class: "reference", x1: "0", x2: "100%", y1: at(EVEN), y2: at(EVEN) }),
  );
}

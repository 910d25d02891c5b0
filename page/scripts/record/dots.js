/** A table with a dot and its confidence interval in each row, beside a dashed line for what is meant. */

import { element, svg } from "../elements.js";
import { place } from "./axis.js";

/** @typedef {import("./axis.js").Axis} Axis */
/** @typedef {import("../types.d.ts").Confidence} Confidence */

/** @typedef {{ label: string, value: number, confidence: Confidence | null, text: string }} Row */

/**
 * Rows with the same meaning. Without rows it is left out.
 *
 * @typedef {object} Group
 * @property {string} name
 * @property {number} reference where the dashed line is
 * @property {Row[]} rows
 */

const MIDDLE = "50%";

/**
 * Return the table.
 *
 * @param {object} options
 * @param {string} options.caption
 * @param {string} options.rowHead the head of the labels
 * @param {string} options.valueHead the head of the texts
 * @param {Group[]} options.groups
 * @param {Axis} options.axis
 * @param {(value: number) => string} options.tickText
 */
export function dotTable({ caption, rowHead, valueHead, groups, axis, tickText }) {
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, rowHead),
    element("td", {}, ticksOf(axis, tickText)),
    element("th", { scope: "col" }, valueHead),
  );
  const bodies = groups
    .filter(({ rows }) => rows.length > 0)
    .map(({ name, reference, rows }) =>
      element(
        "tbody",
        {},
        element("tr", {}, element("th", { scope: "rowgroup", colspan: 3 }, name)),
        ...rows.map((row) => rowOf(row, reference, axis)),
      ),
    );
  return element("table", { class: "figures" }, element("caption", {}, caption), element("thead", {}, head), ...bodies);
}

/**
 * @param {Row} row
 * @param {number} reference
 * @param {Axis} axis
 */
function rowOf({ label, value, confidence, text }, reference, axis) {
  const [x, at] = [place(value, axis), place(reference, axis)];
  const drawing = svg("svg", { class: "dots", "aria-hidden": "true", focusable: "false" });
  drawing.append(svg("line", { class: "reference", x1: at, x2: at, y1: "0", y2: "100%" }));
  if (confidence) {
    const [low, high] = [place(confidence.low, axis), place(confidence.high, axis)];
    drawing.append(
      svg("line", { class: "whisker", x1: low, x2: high, y1: MIDDLE, y2: MIDDLE }),
      ...[low, high].map((end) => svg("line", { class: "whisker", x1: end, x2: end, y1: "30%", y2: "70%" })),
    );
  }
  drawing.append(value > axis.to ? arrow() : svg("circle", { class: "mark", cx: x, cy: MIDDLE, r: 4.5 }));
  return element("tr", {}, element("th", { scope: "row" }, label), element("td", {}, drawing), element("td", {}, text));
}

/** Return an arrow at the end of the axis: the value is beyond it. */
function arrow() {
  return svg("svg", { x: "100%", y: MIDDLE, overflow: "visible" }, svg("path", { class: "mark", d: "M-10 -5 L0 0 L-10 5 Z" }));
}

/**
 * @param {Axis} axis
 * @param {(value: number) => string} tickText
 */
function ticksOf(axis, tickText) {
  const anchor = (/** @type {number} */ tick) => (tick === axis.from ? "start" : tick === axis.to ? "end" : "middle");
  return svg(
    "svg",
    { class: "ticks", "aria-hidden": "true", focusable: "false" },
    ...axis.ticks.map((tick) => svg("text", { x: place(tick, axis), y: "75%", "text-anchor": anchor(tick) }, tickText(tick))),
  );
}

/** The table of the values behind a chart. Its rows are made when it is opened, a page at a time. */

import { action } from "../controls.js";
import { captionOf, element } from "../elements.js";
import { indexOf } from "./series.js";

/** @typedef {import("./series.js").Part} Part */

const ROWS = 50; // of a page

/**
 * Return a `<details>` with the table of a chart's visible series, and what renews it when others are visible.
 *
 * @param {object} options
 * @param {() => string} options.label of the chart
 * @param {() => Part[]} options.parts the series
 * @param {() => number[]} options.times all times of the visible series, ascending
 * @param {() => number} options.home the time of the first page
 * @param {(time: number) => string} options.word
 */
export function createTable({ label, parts, times, home, word }) {
  let first = 0;
  const earlier = action("Earlier", () => turn(-ROWS));
  const later = action("Later", () => turn(ROWS));
  const scroll = element("div", { class: "scroll", tabindex: 0, role: "region" });
  const content = element("div", {}, element("p", { class: "paging" }, earlier, " ", later), scroll);
  const details = element("details", { class: "values" }, element("summary", {}, "Values as a table"));

  /** @param {number} rows */
  function turn(rows) {
    first += rows;
    fill();
  }

  function fill() {
    const all = times();
    first = Math.max(Math.min(first, all.length - ROWS), 0);
    const shown = parts().filter((part) => part.visible());
    const head = ["Time", ...shown.flatMap(({ columns }) => columns)].map((text) => element("th", { scope: "col" }, text));
    const rows = all.slice(first, first + ROWS).map((time) =>
      element("tr", {}, element("th", { scope: "row" }, word(time)), ...shown.flatMap((part) => cellsOf(part, time)).map((text) => element("td", {}, text))),
    );
    const table = element("table", {}, captionOf(label()), element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
    earlier.disabled = first === 0;
    later.disabled = first + ROWS >= all.length;
    scroll.setAttribute("aria-label", `Values: ${label()}`);
    scroll.replaceChildren(table);
  }

  function renew() {
    if (details.open) {
      first = indexOf(times().map((time) => ({ time })), home()) - ROWS / 2;
      fill();
    }
  }

  details.addEventListener("toggle", () => {
    if (details.open) {
      details.append(content);
      renew();
    } else {
      content.remove();
      scroll.replaceChildren();
    }
  });
  return { details, renew };
}

/**
 * Return the texts of a series at a time; empty ones where it has no value.
 *
 * @param {Part} part
 * @param {number} time
 * @returns {string[]}
 */
function cellsOf(part, time) {
  const point = part.points()[indexOf(part.points(), time)];
  return (point?.time === time && !point.joint ? part.cells(point) : null) ?? part.columns.map(() => "");
}

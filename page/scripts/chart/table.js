/** The table of the values behind a chart. Its rows are made when it is opened, a page at a time. */

import { indexOf } from "./series.js";

/** @typedef {import("./series.js").Part} Part */

const ROWS = 50; // of a page

/**
 * Return a `<details>` with the table of a chart's visible series.
 *
 * @param {object} options
 * @param {string} options.label of the chart
 * @param {() => Part[]} options.parts the series
 * @param {() => number[]} options.times all times of the visible series, ascending
 * @param {() => number} options.home the time of the first page
 * @param {(time: number) => string} options.word
 */
export function createTable({ label, parts, times, home, word }) {
  const details = document.createElement("details");
  details.className = "values";
  const summary = document.createElement("summary");
  summary.textContent = "Values as a table";
  details.append(summary);
  let first = 0;

  const content = document.createElement("div");
  const earlier = button("Earlier", () => turn(-ROWS));
  const later = button("Later", () => turn(ROWS));
  const paging = document.createElement("p");
  paging.className = "paging";
  paging.append(earlier, " ", later);
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `Values: ${label}`);
  content.append(paging, scroll);

  /** @param {number} rows */
  function turn(rows) {
    first += rows;
    fill();
  }

  function fill() {
    const all = times();
    first = Math.max(Math.min(first, all.length - ROWS), 0);
    const shown = parts().filter((part) => part.visible());
    const table = document.createElement("table");
    table.createCaption().textContent = label;
    const head = table.createTHead().insertRow();
    for (const text of ["Time", ...shown.flatMap(({ columns }) => columns)]) {
      head.append(cell("th", text, "col"));
    }
    const body = table.createTBody();
    for (const time of all.slice(first, first + ROWS)) {
      const row = body.insertRow();
      row.append(cell("th", word(time), "row"));
      for (const part of shown) {
        const point = part.points()[indexOf(part.points(), time)];
        const texts = (point?.time === time && !point.joint ? part.cells(point) : null) ?? part.columns.map(() => "");
        row.append(...texts.map((text) => cell("td", text)));
      }
    }
    earlier.disabled = first === 0;
    later.disabled = first + ROWS >= all.length;
    scroll.replaceChildren(table);
  }

  details.addEventListener("toggle", () => {
    if (details.open) {
      first = indexOf(times().map((time) => ({ time })), home()) - ROWS / 2;
      details.append(content);
      fill();
    } else {
      content.remove();
      scroll.replaceChildren();
    }
  });
  return details;
}

/**
 * @param {"th" | "td"} name
 * @param {string} text
 * @param {string} [scope]
 */
function cell(name, text, scope) {
  const element = document.createElement(name);
  element.textContent = text;
  if (scope) {
    element.setAttribute("scope", scope);
  }
  return element;
}

/**
 * @param {string} text
 * @param {() => void} press
 */
function button(text, press) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = text;
  element.addEventListener("click", press);
  return element;
}

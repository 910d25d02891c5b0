/** The list of pairs: its rows come from the page, prices and further rows from the collector. */

import { captionOf, element } from "../elements.js";
import { formatMinute, formatPrice, priceDecimals, secondsOf, sourceName } from "../format.js";
import { byPopularity, slugOf } from "./prices.js";
import { changeText, completenessText, counted, isLate, stateText } from "./words.js";

/** @typedef {import("../types.d.ts").PairPrice} PairPrice */
/** @typedef {import("../types.d.ts").SeriesState} SeriesState */

/** @typedef {{ pair: string, change: number | null, row: HTMLTableRowElement }} Listed */

/** @type {Record<string, (one: Listed, other: Listed) => number>} */
const COMPARE = {
  popularity: byName,
  gain: (left, right) => (right.change ?? -Infinity) - (left.change ?? -Infinity) || byName(left, right),
  loss: (left, right) => (left.change ?? Infinity) - (right.change ?? Infinity) || byName(left, right),
};

/** The columns, as the page has them. */
const PRICE = 2;
const CHANGE = 3;
const RANGE = 4;
const TIME = 5;
const COLLECTION = 6; // is added here

/**
 * Take over the table of pairs.
 *
 * @param {HTMLTableElement} table
 * @param {boolean} isLive whether pairs can be collected
 */
export function createPairsTable(table, isLive) {
  const body = /** @type {HTMLTableSectionElement} */ (table.tBodies[0]);
  /** @type {Map<string, Listed>} */
  const listed = new Map();
  /** What an exchange trades in place of a pair has the row of that pair: ETH/USDT that of ETH/USD. @type {Map<string, string>} */
  const names = new Map();
  let order = "popularity";
  for (const row of body.rows) {
    const pair = row.cells[0]?.querySelector("a")?.textContent ?? row.cells[0]?.textContent ?? "";
    listed.set(slugOf(pair), { pair, change: shareOf(row.cells[CHANGE]?.textContent ?? ""), row });
    names.set(row.dataset["traded"] ?? pair, pair);
  }
  for (const { pair } of listed.values()) {
    names.set(pair, pair);
  }
  if (isLive) {
    const heads = /** @type {HTMLTableRowElement} */ (table.tHead?.rows[0]);
    heads.append(element("th", { scope: "col", class: "text" }, "Collection"));
    for (const { row } of listed.values()) {
      row.append(element("td", { class: "text" }, "not collected"));
    }
  }

  function sort() {
    const sorted = [...listed.values()].sort(COMPARE[order] ?? byName).map(({ row }) => row);
    // A row that is moved loses the focus.
    if (sorted.some((row, index) => row !== body.rows[index]) && !body.contains(document.activeElement)) {
      body.append(...sorted);
    }
  }
  sort();

  return {
    /** All pairs by their slugs, the popular ones first. @returns {Map<string, string>} */
    pairs: () => new Map([...listed].sort(([, left], [, right]) => byName(left, right)).map(([slug, { pair }]) => [slug, pair])),

    /** @param {string} by "popularity", "gain" or "loss" */
    orderBy(by) {
      order = by;
      sort();
    },

    /** @param {PairPrice[]} prices */
    showPrices(prices) {
      for (const price of prices) {
        const pair = names.get(price.pair) ?? price.pair;
        const slug = slugOf(pair);
        const listing = listed.get(slug) ?? { pair, change: null, row: newRow(pair) };
        listed.set(slug, listing);
        if (showPrice(listing.row, price)) {
          listing.change = price.change_24h;
        }
      }
      sort();
    },

    /** @param {Map<string, SeriesState[]>} collected the series of each pair */
    showStates(collected) {
      for (const { pair, row } of listed.values()) {
        const series = [...(collected.get(pair) ?? []), ...(collected.get(row.dataset["traded"] ?? "") ?? [])];
        const first = series.sort((left, right) => Number(isLate(left)) - Number(isLate(right)))[0];
        write(row.cells[COLLECTION], first ? `${stateText(first)}, ${sourceName(first.source, pair)}` : "not collected");
      }
    },
  };
}

/**
 * Return a table of what is collected, in words.
 *
 * @param {SeriesState[]} series
 */
export function collectionTable(series) {
  const heads = ["Pair", "Source", "Candles", "State", "How complete"];
  const rows = series.map((state) => [sourceName(state.source, state.pair), state.interval, stateText(state), completenessText(state)]);
  return element(
    "table",
    { id: "collection-table" },
    captionOf("What is collected, and how complete it is"),
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col", class: "text" }, head)))),
    element(
      "tbody",
      {},
      ...rows.map((cells, index) =>
        element("tr", {}, element("th", { scope: "row" }, series[index]?.pair ?? ""), ...cells.map((cell) => element("td", { class: "text" }, cell))),
      ),
    ),
  );
}

/**
 * Return the state of the whole collection in a sentence.
 *
 * @param {SeriesState[]} series
 */
export function collectionText(series) {
  const active = series.filter(({ state }) => state === "active");
  const late = active.filter(isLate);
  if (active.length === 0) {
    return "No pair is collected now.";
  }
  return late.length === 0
    ? `${counted(active.length, "series")} of candles ${active.length === 1 ? "is" : "are"} collected, all up to date.`
    : `${counted(active.length, "series")} of candles ${active.length === 1 ? "is" : "are"} collected; ${late.length} not up to date: ` +
        `${late.slice(0, 5).map((state) => `${state.pair} ${state.interval} from ${sourceName(state.source, state.pair)} (${stateText(state)})`).join(", ")}${late.length > 5 ? ", …" : ""}.`;
}

/**
 * @param {Listed} left
 * @param {Listed} right
 */
function byName(left, right) {
  return byPopularity(left.pair, right.pair);
}

/** @param {string} pair */
function newRow(pair) {
  const link = element("a", { href: `?minutes=${encodeURIComponent(slugOf(pair))}#minutes` }, pair);
  const row = element("tr", { "data-pair": slugOf(pair) }, element("th", { scope: "row" }, link));
  for (const text of ["", "", "", "not forecast", "", ""]) {
    row.append(element("td", {}, text));
  }
  row.cells[1]?.classList.add("text");
  row.cells[COLLECTION]?.classList.add("text");
  row.cells[RANGE]?.classList.add("note");
  return row;
}

/**
 * Show a price, unless that of the model is newer; return whether it is shown.
 *
 * @param {HTMLTableRowElement} row
 * @param {PairPrice} price
 */
function showPrice(row, { price, time, change_24h: change, simulated }) {
  const shown = row.cells[TIME]?.textContent ?? "";
  if (price === null || time === null) {
    if (!shown) {
      write(row.cells[PRICE], "no candle yet");
    }
    return false;
  }
  const minute = formatMinute(secondsOf(time)).replace(" UTC", "");
  if (minute < shown) {
    return false;
  }
  write(row.cells[PRICE], formatPrice(price, priceDecimals(price)));
  write(row.cells[TIME], minute);
  const { text, direction } = changeText(change);
  const cell = row.cells[CHANGE];
  if (cell && (cell.textContent !== text || !cell.firstElementChild)) {
    cell.replaceChildren(element("span", { class: direction }, text));
  }
  const head = row.cells[0];
  if (simulated && head && !head.querySelector("em")) {
    head.append(" ", element("em", {}, "simulated"));
  }
  return true;
}

/**
 * Write a text, if it is another one: nothing flickers, and a selection stays.
 *
 * @param {Element | undefined} place
 * @param {string} text
 */
function write(place, text) {
  if (place && place.textContent !== text) {
    place.textContent = text;
  }
}

/**
 * Return the number of a change: "−1.2 %" is -0.012; null without one.
 *
 * @param {string} text
 */
function shareOf(text) {
  const number = Number.parseFloat(text.replace("\u2212", "-"));
  return Number.isFinite(number) ? number / 100 : null;
}

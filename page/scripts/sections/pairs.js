/** The pairs: their prices, two of them drawn together, the state of the collection, and a form that adds one. */

import { readState, writeState } from "../address.js";
import { choices } from "../controls.js";
import { element } from "../elements.js";
import { createAddPair } from "../live/add-pair.js";
import { createComparison } from "../live/compare.js";
import { collectionTable, collectionText, createPairsTable } from "../live/pairs-table.js";
import { watchPrices } from "../live/prices.js";
import { follow } from "../poll.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").SeriesState} SeriesState */
/** @typedef {{ pair: string, collected: SeriesState[] | null }} PairState a row of `/pairs` */

/**
 * Mount the section.
 *
 * @param {HTMLElement} root
 * @param {Context} context
 */
export function mount(root, context) {
  const { site } = context;
  const table = /** @type {HTMLTableElement} */ (root.querySelector("#pairs-table"));
  const figure = /** @type {HTMLElement} */ (root.querySelector("#compare-chart"));
  const pairs = createPairsTable(table, site.live);
  const comparison = createComparison(figure, context, new Set(pairs.pairs().keys()));
  const { order } = readState();
  const names = { gain: "greatest gain first", loss: "greatest loss first" };
  const buttons = choices("Order", { popularity: "popularity", gain: "gain", loss: "loss" }, order, names, (value) => {
    writeState({ order: value });
    pairs.orderBy(value);
  });
  (table.closest(".table") ?? table).before(element("div", { class: "controls" }, buttons));
  pairs.orderBy(order ?? "popularity");
  comparison.offer(pairs.pairs(), !site.live);
  if (site.live) {
    const api = site.api ?? site.root;
    watchPrices(api, (prices) => {
      pairs.showPrices(prices);
      comparison.offer(pairs.pairs(), true);
    });
    followCollection(table, api, pairs, /** @type {HTMLElement} */ (root.querySelector("#add-pair")));
  }
}

/**
 * Show the state of the collection, and the form that changes it.
 *
 * @param {HTMLTableElement} table
 * @param {string} api the prefix of the API
 * @param {ReturnType<typeof createPairsTable>} pairs
 * @param {HTMLElement} form
 */
function followCollection(table, api, pairs, form) {
  const words = element("p", { id: "collection-words", class: "lead-in" }, "The state of the collection is being asked for.");
  const content = element("div", { class: "table tall", tabindex: 0, role: "region", "aria-label": "What is collected" });
  const details = element("details", { id: "collection" }, element("summary", {}, "How complete the collected prices are"), content);
  table.closest("section")?.querySelector(".controls")?.before(words);
  (table.closest(".table") ?? table).after(details);
  const follower = follow(() => `${api}pairs`, {
    receive(/** @type {PairState[]} */ rows) {
      if (rows.some(({ collected }) => collected === null)) {
        words.textContent = "The state of the collection cannot be read now.";
        return;
      }
      const series = rows.flatMap(({ collected }) => collected ?? []);
      pairs.showStates(new Map(rows.map(({ pair, collected }) => [pair, collected ?? []])));
      words.textContent = collectionText(series);
      content.replaceChildren(collectionTable(series));
    },
  });
  createAddPair(form, api, () => follower.ask());
}

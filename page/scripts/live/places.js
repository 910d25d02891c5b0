/** The texts below the chart of minutes. */

import { captionOf, element } from "../elements.js";
import { formatMinute, formatShare, secondsOf } from "../format.js";

/** @typedef {import("../types.d.ts").MinutesRecord} MinutesRecord */
/** @typedef {ReturnType<typeof createPlaces>} Places */

/**
 * Put the places for texts before and after a chart, and return how they are filled. An empty one is hidden.
 *
 * @param {HTMLElement} figure
 */
export function createPlaces(figure) {
  const above = {
    state: element("p", { class: "problem", id: "live-state" }),
    choice: element("p", { class: "note", id: "minutes-choice" }),
  };
  const below = {
    newest: element("p", { class: "note", id: "minutes-newest" }),
    ahead: element("p", { id: "minutes-ahead" }),
    score: element("p", { id: "minutes-score" }),
    held: element("p", { id: "minutes-held" }),
    verdicts: element("p", { id: "minutes-verdicts" }),
    holes: element("ul", { class: "note", id: "minutes-holes" }),
  };
  const places = { ...above, ...below };
  const scores = element("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Record of the forecasts of minutes" });
  const details = element("details", { id: "minutes-scores", hidden: true }, element("summary", {}, "Every horizon as a table"), scores);
  for (const place of Object.values(places)) {
    place.hidden = true;
  }
  figure.before(...Object.values(above));
  figure.after(element("div", { class: "prose" }, ...Object.values(below)), details);
  let shown = "";

  return {
    /**
     * @param {keyof typeof places} name
     * @param {string | null} text
     */
    say(name, text) {
      const place = places[name];
      if (place.textContent !== (text ?? "")) {
        place.textContent = text;
        place.hidden = !text;
      }
    },

    /** List times without candles. @param {string[]} lines */
    listHoles(lines) {
      const place = places.holes;
      if (lines.join("\n") !== Array.from(place.children, ({ textContent }) => textContent).join("\n")) {
        place.replaceChildren(...lines.map((line) => element("li", {}, line)));
        place.hidden = lines.length === 0;
      }
    },

    /** @param {MinutesRecord | undefined} record */
    showScores(record) {
      const text = JSON.stringify(record) ?? "";
      if (text !== shown) {
        shown = text;
        details.hidden = !record;
        scores.replaceChildren(...(record ? [tableOf(record)] : []));
      }
    },
  };
}

/** @param {MinutesRecord} record */
function tableOf({ since, by_horizon: scores }) {
  const heads = ["Minutes ahead", "Forecasts", "Error", "CRPS", "Held by the 50 % range", "80 % range", "90 % range"];
  const rows = scores.map((score) => [
    score.forecasts.toLocaleString("en-US"),
    ratioText(score.relative_mae),
    ratioText(score.relative_crps),
    ...[score.coverage_50, score.coverage_80, score.coverage_90].map((share) => formatShare(share, 1)),
  ]);
  const caption = `Forecasts of minutes and their outcomes since ${formatMinute(secondsOf(since))}. Error and CRPS: 1 is “the price stays as it is”, less is better.`;
  return element(
    "table",
    {},
    captionOf(caption),
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element(
      "tbody",
      {},
      ...rows.map((cells, index) =>
        element("tr", {}, element("th", { scope: "row" }, `${scores[index]?.horizon_minutes}`), ...cells.map((cell) => element("td", {}, cell))),
      ),
    ),
  );
}

/** @param {number | null} ratio */
function ratioText(ratio) {
  return ratio === null ? "not known" : ratio.toFixed(3);
}

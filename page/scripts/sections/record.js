/** The record: forecasts and outcomes, errors compared with persistence, coverage, and calibration. */

import { createChart } from "../chart/chart.js";
import { element } from "../elements.js";
import { formatShare, secondsOf } from "../format.js";
import { axisOf } from "../record/axis.js";
import { dotTable } from "../record/dots.js";
import { filledDays, insideText } from "../record/outcomes.js";
import { tenthsDetails, tenthsTable } from "../record/tenths.js";

/** @typedef {import("../types.d.ts").Confidence} Confidence */
/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").RecordDocument} RecordDocument */
/** @typedef {import("../types.d.ts").Score} Score */
/** @typedef {import("../types.d.ts").Site} Site */
/** @typedef {{ horizon_days: number, relative_mae: number | null, coverage: number }} ProphetScore */
/** @typedef {import("../record/dots.js").Row} Row */

const MOST_TIMES = 2; // an error that is more times as large is beyond the axis

/**
 * Draw the figures of the record beside its words, which the page has already.
 *
 * @param {HTMLElement} root
 * @param {Context} context
 */
export async function mount(root, { site, record }) {
  const recordDocument = await record;
  const places = /** @type {Record<string, HTMLElement>} */ (
    Object.fromEntries(["chart", "error", "coverage", "calibration"].map((name) => [name, root.querySelector(`#record-${name}`)]))
  );
  if (places.chart) {
    drawOutcomes(places.chart, recordDocument, site);
  }
  const scores = recordDocument.backtest?.scores ?? [];
  const ofProphet = recordDocument.backtest?.prophet?.scores ?? [];
  show(places.error, scores.length > 0 ? [errors(scores)] : []);
  show(places.coverage, scores.length > 0 ? [coverage(scores, ofProphet)] : []);
  show(places.calibration, calibration(scores));
}

/**
 * Fill the place of a figure that is not a chart. Without content it is hidden.
 *
 * @param {HTMLElement | null | undefined} figure
 * @param {HTMLElement[]} content
 */
function show(figure, content) {
  if (figure) {
    figure.className = "";
    figure.hidden = content.length === 0;
    figure.replaceChildren(...content);
  }
}

/**
 * Draw the newest published forecasts and what happened.
 *
 * @param {HTMLElement} figure
 * @param {RecordDocument} record
 * @param {Site} site
 */
function drawOutcomes(figure, { pair, coverage: nominal, live }, site) {
  if (!live || live.latest.length === 0) {
    return; // the page has no figure then
  }
  const range = `${formatShare(nominal)} range`;
  const outcomes = live.latest.slice().reverse();
  figure.classList.remove("waiting");
  figure.replaceChildren(
    element("figcaption", {}, `The newest published forecasts of ${pair}, each made shortly before its day, and what happened. ${insideText(outcomes, range)}`),
  );
  const chart = createChart(figure, { label: `Published forecasts of ${pair} and what happened`, decimals: site.decimals, step: "day", page: 7 });
  const days = filledDays(outcomes);
  const at = days.map(({ day }) => secondsOf(day));
  const line = (/** @type {"prediction" | "actual"} */ member) =>
    days.map(({ outcome }, index) => ({ time: at[index] ?? 0, value: outcome?.[member] ?? null }));
  chart
    .addBand({ name: "Range", levels: [{ text: formatShare(nominal), color: "band-80" }] })
    .set(
      days.map(({ outcome }, index) => {
        const time = at[index] ?? 0;
        return outcome ? { time, areas: [[outcome.low, outcome.high]] } : { time };
      }),
    );
  chart.addLine({ name: "Forecast", color: "forecast", dashed: true, points: true }).set(line("prediction"));
  chart.addLine({ name: "What happened", color: "price", points: true }).set(line("actual"));
}

/** @param {Score[]} scores */
function errors(scores) {
  const times = (/** @type {number} */ value) => value.toFixed(2);
  const groups = /** @type {const} */ ([
    ["Middle of the forecast (mean absolute error)", "relative_mae"],
    ["Whole forecast with its ranges (CRPS)", "relative_crps"],
  ]).map(([name, key]) => ({
    name,
    reference: 1,
    rows: scores.flatMap((score) => rowOf(score, score[key], score.confidence[key], times)),
  }));
  const values = groups.flatMap(({ rows }) => rows.flatMap(({ value, confidence }) => [value, ...(confidence ? [confidence.low, confidence.high] : [])]));
  return dotTable({
    caption:
      "Error, where 1 is that of “the price stays as it is” (persistence): to the left of the dashed line is better. " +
      "Line and brackets: 95 % confidence interval.",
    rowHead: "Ahead",
    valueHead: "Error",
    groups,
    axis: axisOf([0.9, 1.1, ...values.map((value) => Math.min(value, MOST_TIMES))]),
    tickText: (value) => String(value),
  });
}

/**
 * @param {Score[]} scores
 * @param {ProphetScore[]} ofProphet
 */
function coverage(scores, ofProphet) {
  const percent = (/** @type {number} */ value) => `${Math.round(100 * value)}`;
  const groups = /** @type {const} */ ([
    ["50", "coverage_50", 0.5],
    ["80", "coverage", 0.8],
    ["90", "coverage_90", 0.9],
  ]).map(([name, key, reference]) => ({
    name: `${name} % range`,
    reference,
    rows: scores.flatMap((score) => rowOf(score, score[key], score.confidence[key], percent)),
  }));
  const alone = ofProphet.flatMap((score) => rowOf(score, score.coverage, undefined, percent));
  groups.push({ name: "80 % range of Prophet alone", reference: 0.8, rows: alone });
  const values = groups.flatMap(({ rows }) => rows.flatMap(({ value, confidence }) => [value, ...(confidence ? [confidence.low] : [])]));
  return dotTable({
    caption:
      "Coverage: how often the price ended inside the range. On the dashed line it is as often as meant, to the left " +
      "the range was too narrow. Line and brackets: 95 % confidence interval.",
    rowHead: "Ahead",
    valueHead: "Inside, %",
    groups,
    axis: { from: Math.floor(10 * Math.min(0.4, ...values)) / 10, to: 1, ticks: [0.5, 0.8] },
    tickText: percent,
  });
}

/** @param {Score[]} scores */
function calibration(scores) {
  const horizons = scores
    .filter(({ pit }) => pit.length === 10)
    .map(({ horizon_days: days, pit }) => ({ label: daysText(days), shares: pit }));
  if (horizons.length === 0) {
    return [];
  }
  const caption =
    "Calibration: each tenth of the forecast should catch 10 % of the outcomes (dashed). High bars at both ends: the " +
    "forecast was too sure. High bars at one end: it leant to the other side.";
  return [tenthsTable(caption, horizons), tenthsDetails(horizons)];
}

/**
 * Return the row of a horizon; none without a value.
 *
 * @param {{ horizon_days: number }} score
 * @param {number | null} value
 * @param {Confidence | undefined} confidence
 * @param {(value: number) => string} format
 * @returns {Row[]}
 */
function rowOf({ horizon_days: days }, value, confidence, format) {
  if (value === null) {
    return [];
  }
  const bracketed = confidence ? ` (${format(confidence.low)}–${format(confidence.high)})` : "";
  return [{ label: daysText(days), value, confidence: confidence ?? null, text: `${format(value)}${bracketed}` }];
}

/** @param {number} days */
function daysText(days) {
  return days === 1 ? "1 day" : `${days} days`;
}

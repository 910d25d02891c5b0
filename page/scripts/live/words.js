/** Sentences about live data, for a reader who is not a statistician. */

import { formatChange, formatMinute, formatPrice, formatShare, secondsOf } from "../format.js";

/** @typedef {import("./rows.js").Minute} Minute */
/** @typedef {import("./rows.js").PastForecast} PastForecast */
/** @typedef {import("../types.d.ts").MinutesAhead} MinutesAhead */
/** @typedef {import("../types.d.ts").MinutesRecord} MinutesRecord */
/** @typedef {import("../types.d.ts").MinuteScore} MinuteScore */
/** @typedef {import("../types.d.ts").SeriesState} SeriesState */

const HOLES = 5; // that are listed, the newest ones
const LATE = 120; // seconds behind the newest possible close, from which a series is late
const AS_GOOD = 0.0005; // a smaller difference of an error is none
const LEAST = 100; // outcomes that do not overlap; fewer are not judged

/**
 * Return a number with its noun: "1 minute", "2,000 minutes".
 *
 * @param {number} count
 * @param {string} noun
 */
export function counted(count, noun) {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 || noun.endsWith("s") ? "" : "s"}`;
}

/**
 * Return the forecast of the next minutes in a sentence.
 *
 * @param {MinutesAhead} ahead
 * @param {number} decimals
 */
export function aheadText({ pair, cutoff, price, forecast }, decimals) {
  const last = forecast.at(-1);
  if (!last) {
    return "";
  }
  const [base, quote] = pair.split("/");
  const range = (/** @type {string} */ low, /** @type {string} */ high) =>
    `${formatPrice(last.quantiles[low] ?? NaN, decimals)} and ${formatPrice(last.quantiles[high] ?? NaN, decimals)}`;
  return (
    `At ${formatMinute(secondsOf(cutoff))} one ${base} cost ${formatPrice(price, decimals)} ${quote}. ` +
    `${counted(last.minutes, "minute")} later the price is expected at ${formatPrice(last.prediction, decimals)}: ` +
    `in 50 of 100 cases between ${range("0.25", "0.75")}, in 80 between ${range("0.1", "0.9")}, ` +
    `in 90 between ${range("0.05", "0.95")}.`
  );
}

/**
 * Return what the verdicts of minutes are, in sentences.
 *
 * @param {Minute[]} rows
 */
export function verdictText(rows) {
  const [first, last] = [rows[0], rows.at(-1)];
  if (!first || !last) {
    return "No minute is known yet.";
  }
  const count = (/** @type {string} */ verdict) => rows.filter((row) => row.verdict === verdict).length.toLocaleString("en-US");
  const holes = rows.filter(({ verdict, candle }) => candle === null && verdict !== "quiet");
  const open = holes.filter(({ asked }) => !asked).length;
  const final = holes.length - open;
  const words = [
    `Of the ${counted(rows.length, "minute")} from ${formatMinute(first.time)} to ${formatMinute(last.time)}: ` +
      `${count("traded")} traded, ${count("quiet")} quiet (connected, and nobody traded), ` +
      `${count("disconnected")} without a connection, ${count("exchange down")} while the exchange was down.`,
  ];
  if (final > 0) {
    words.push(`Of ${counted(final, "missing minute")} the exchange was asked, and it has no candle either.`);
  }
  if (open > 0) {
    words.push(`For ${counted(open, "missing minute")} it is still to be asked.`);
  }
  return words.join(" ");
}

/**
 * Return the newest times without a connection or with the exchange down, one a line, the newest first.
 *
 * @param {Minute[]} rows
 * @returns {string[]}
 */
export function holeTexts(rows) {
  /** @type {Minute[][]} */
  const spans = [];
  let before = "";
  for (const row of rows) {
    const kind = row.verdict === "disconnected" || row.verdict === "exchange down" ? `${row.verdict} ${row.reason} ${row.asked}` : "";
    if (kind && kind === before) {
      spans.at(-1)?.push(row);
    } else if (kind) {
      spans.push([row]);
    }
    before = kind;
  }
  return spans.slice(-HOLES).reverse().map(holeText);
}

/** @param {Minute[]} span of one kind, at least one row */
function holeText(span) {
  const first = /** @type {Minute} */ (span[0]);
  const reason = first.reason && ` (${first.reason})`;
  const question = first.asked ? "the exchange was asked and has no candle" : "the exchange is still to be asked";
  return `${formatMinute(first.time)}, ${counted(span.length, "minute")}: ${first.verdict}${reason}; ${question}.`;
}

/**
 * Return how many of the shown past forecasts held.
 *
 * @param {PastForecast[]} rows
 * @param {number} horizon minutes
 */
export function heldText(rows, horizon) {
  const scored = rows.filter(({ close }) => close !== null);
  if (scored.length === 0) {
    return "";
  }
  const hits = scored.filter(({ close, low, high }) => close !== null && low <= close && close <= high).length;
  return (
    `Of the last ${counted(scored.length, "close")}, ${hits.toLocaleString("en-US")} lay inside the 80 % range ` +
    `that was forecast ${counted(horizon, "minute")} before (${formatShare(hits / scored.length)}).`
  );
}

/**
 * Return the live record of the forecasts so many minutes ahead, in sentences. Losses are said as such.
 *
 * @param {MinutesRecord | undefined} record
 * @param {number} horizon minutes
 * @returns {string}
 */
export function scoreText(record, horizon) {
  const score = record?.by_horizon.find(({ horizon_minutes }) => horizon_minutes === horizon);
  if (!record || !score) {
    return "No forecast of the next minutes has an outcome yet, so nothing is known of how good they are.";
  }
  const apart = Math.floor(score.forecasts / horizon); // forecasts of the same minutes are right or wrong together
  const due = `Since ${formatMinute(secondsOf(record.since))}, ${counted(score.forecasts, "forecast")} of ${counted(horizon, "minute")} ahead came due`;
  if (apart < LEAST) {
    const overlap = horizon === 1 ? "" : `, of which ${apart.toLocaleString("en-US")} do not overlap`;
    return `${due}${overlap}: it is too early to say how good they are.`;
  }
  return [
    `${due}.`,
    errorText("Their error was", score.relative_mae, "that of \u201cthe price stays as it is\u201d"),
    errorText("Their distribution scored (CRPS)", score.relative_crps, "that of a plain range from the last day\u2019s moves"),
    `The 80 % range held ${formatShare(score.coverage_80, 1)} of the closes: ${coverageText(score.coverage_80, 0.8, apart)}.`,
  ].join(" ");
}

/**
 * @param {string} subject
 * @param {number | null} relative
 * @param {string} peer
 */
function errorText(subject, relative, peer) {
  if (relative === null) {
    return `${subject} not known beside ${peer}, since the price did not move.`;
  }
  const ratio = relative.toFixed(3);
  const difference = Math.abs(relative - 1);
  if (difference < AS_GOOD) {
    return `${subject} ${ratio} times ${peer}: no better and no worse.`;
  }
  return `${subject} ${ratio} times ${peer}: ${formatShare(difference, 1)} ${relative < 1 ? "better" : "worse"}.`;
}

/**
 * @param {number} coverage
 * @param {number} nominal
 * @param {number} count of forecasts that do not overlap
 */
function coverageText(coverage, nominal, count) {
  if (Math.abs(coverage - nominal) < 2 * Math.sqrt((nominal * (1 - nominal)) / count)) {
    return "as many as it should, within chance";
  }
  return coverage < nominal ? "fewer than it should, so it was too narrow" : "more than it should, so it was too wide";
}

/**
 * Return whether a collected series is not up to date.
 *
 * @param {SeriesState} series
 */
export function isLate({ state, lag_seconds: lag }) {
  return state !== "active" || lag === null || lag >= LATE;
}

/**
 * Return how a collected series does, in a few words: "up to date", "5 minutes behind".
 *
 * @param {SeriesState} series
 */
export function stateText({ state, lag_seconds: lag }) {
  if (state !== "active") {
    return state === "stopped" ? "no longer collected" : "no longer traded at the exchange";
  }
  if (lag === null) {
    return "waiting for its first candle";
  }
  return lag < LATE ? "up to date" : `${durationText(lag)} behind`;
}

/**
 * Return the completeness of a collected series in words.
 *
 * @param {SeriesState} series
 */
export function completenessText({ gaps, missing, compared, mismatched, mismatch_rate: rate }) {
  const holes = gaps === 0 ? "no gaps" : `${counted(gaps, "gap")} (${counted(missing, "candle")} missing)`;
  const differing = compared === 0 ? "not compared yet" : `${mismatched.toLocaleString("en-US")} of ${counted(compared, "compared candle")} differed (${formatShare(rate ?? 0, 2)})`;
  return `${holes}; ${differing}`;
}

/** @param {number} seconds */
function durationText(seconds) {
  if (seconds < 7_200) {
    return counted(Math.round(seconds / 60), "minute");
  }
  return seconds < 172_800 ? counted(Math.round(seconds / 3_600), "hour") : counted(Math.round(seconds / 86_400), "day");
}

/**
 * Return a change as text with its direction, which is also a class of the style sheet: null if it is not known.
 *
 * @param {number | null} change 0.012 is 1.2 %
 * @returns {{ text: string, direction: "up" | "down" | "" }}
 */
export function changeText(change) {
  if (change === null) {
    return { text: "not known", direction: "" };
  }
  const text = formatChange(change, 2);
  return { text, direction: text.startsWith("+") ? "up" : text.startsWith("\u2212") ? "down" : "" };
}

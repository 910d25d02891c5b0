/** Any past forecast again: the fan that was forecast then, under what really followed. */

import { readState, writeState } from "../address.js";
import { action } from "../controls.js";
import { element } from "../elements.js";
import { DAY_SECONDS, formatChange, formatDay, formatMinute, formatPrice, formatShare, secondsOf } from "../format.js";
import { getJson, RequestFailed } from "../requests.js";
import { bandPoints, daily, jointAreas, LEVELS } from "./fan.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").ReleasesDocument} ReleasesDocument */
/** @typedef {import("../types.d.ts").ReleaseDocument} ReleaseDocument */
/** @typedef {import("../chart/series.js").LinePoint} LinePoint */
/** @typedef {import("../sections/forecast.js").View} View */

const HISTORY_DAYS = 90; // before a release, in the chart
const NONE = "Past releases are not available here.";

/**
 * Mount the choice of a release below the chart of the forecast.
 *
 * @param {HTMLElement} root
 * @param {Context} context
 * @param {View} view
 */
export async function mount(root, { site, forecast }, view) {
  const words = element("p", { class: "note release-words", role: "status" });
  const base = `${site.root}page/${site.slug}/releases`;
  /** @type {ReleasesDocument} */
  let listed;
  try {
    listed = await getJson(`${base}.json`);
  } catch (error) {
    words.textContent = error instanceof RequestFailed && error.status === 404 ? NONE : `Past releases cannot be shown: ${error instanceof Error ? error.message : error}.`;
    root.append(words);
    return;
  }
  const { days } = listed;
  if (days.length === 0) {
    words.textContent = NONE;
    root.append(words);
    return;
  }
  const { quote, decimals } = await forecast;
  const controls = createControls(days, (day) => void choose(day));
  root.append(controls.place, words);

  const fan = createFan(view);
  /** @type {AbortController | undefined} */
  let asked;

  /** @param {string | undefined} day undefined: the present forecast */
  async function choose(day) {
    asked?.abort();
    controls.show(day);
    writeState({ release: day });
    if (day === undefined) {
      fan.hide();
      words.textContent = "The newest forecast is shown.";
      return;
    }
    asked = new AbortController();
    const { signal } = asked;
    try {
      /** @type {ReleaseDocument} */
      const release = await getJson(`${base}/${day}.json`, { signal });
      const closes = closesByDay(view.history(), release);
      fan.show(release, closes);
      words.textContent = describe(release, closes, quote, decimals);
    } catch (error) {
      if (!signal.aborted) {
        words.textContent = `The forecast of ${day} cannot be shown: ${error instanceof Error ? error.message : error}.`;
      }
    }
  }

  const { release } = readState();
  if (release !== undefined && days.includes(release)) {
    await choose(release);
  } else if (release !== undefined) {
    writeState({ release: undefined });
    words.textContent = `No forecast was released on ${release}; there are releases from ${days.at(-1)} to ${days[0]}.`;
  }
}

/**
 * Return the closes that are known, by their time: what the ledger recorded, and else those of the model's history.
 *
 * @param {LinePoint[]} history
 * @param {ReleaseDocument} release
 * @returns {Map<number, number>}
 */
function closesByDay(history, { last, outcomes }) {
  /** @type {Map<number, number>} */
  const closes = new Map();
  for (const { time, value } of [...history, ...daily(secondsOf(last) + DAY_SECONDS, outcomes)]) {
    if (value !== null) {
      closes.set(time, value);
    }
  }
  return closes;
}

/**
 * Make the select of a release with its buttons.
 *
 * @param {string[]} days newest first
 * @param {(day: string | undefined) => void} choose
 */
function createControls(days, choose) {
  const select = element("select", {}, new Option("now", ""), ...days.map((day) => new Option(day, day)));
  const earlier = action("Earlier release", () => step(1));
  const later = action("Later release", () => step(-1));
  const back = action("Back to today", () => choose(undefined));
  select.addEventListener("change", () => choose(select.value || undefined));
  show(undefined);

  /** @param {number} by options towards the past */
  function step(by) {
    choose(select.options[select.selectedIndex + by]?.value || undefined);
  }

  /** @param {string | undefined} day */
  function show(day) {
    select.value = day ?? "";
    earlier.disabled = select.selectedIndex === days.length;
    later.disabled = day === undefined;
    back.hidden = day === undefined;
  }
  const label = element("label", { class: "field" }, "Forecast released on", select);
  return { place: element("div", { class: "controls" }, label, earlier, later, back), show };
}

/**
 * Return what draws a past forecast in the chart of the present one. Its series are made at the first use.
 *
 * @param {View} view
 */
function createFan(view) {
  const { chart } = view;
  /** @type {{ band: import("../chart/chart.js").Series<any>, line: import("../chart/chart.js").Series<LinePoint>, actual: import("../chart/chart.js").Series<LinePoint> } | undefined} */
  let series;
  return {
    /**
     * @param {ReleaseDocument} release
     * @param {Map<number, number>} closes
     */
    show(release, closes) {
      series ??= {
        line: chart.addLine({ name: "forecast then", color: "forecast" }),
        actual: chart.addLine({ name: "what followed", color: "actual", width: 3 }),
        band: chart.addBand({ name: "range", levels: LEVELS }),
      };
      const last = secondsOf(release.last);
      const days = release.prediction.map((_, index) => last + (index + 1) * DAY_SECONDS);
      const joint = { time: last, value: closes.get(last) ?? release.anchor.price, joint: true };
      view.setPast(last);
      view.price.set(view.history().filter(({ time }) => time <= last));
      series.band.set([...jointAreas(joint), ...pastBand(release)]);
      series.line.set([joint, ...daily(last + DAY_SECONDS, release.prediction)]);
      series.actual.set([joint, ...days.map((time) => ({ time, value: closes.get(time) ?? null }))]);
      Object.values(series).forEach((one) => one.show(true));
      const day = formatDay(secondsOf(release.made_at));
      chart.mark([{ time: last, text: `forecast of ${day}` }]);
      chart.setLabel(`Price of ${release.pair} by day, the forecast of ${day}, and what followed`);
      chart.setHome(days.filter((time) => closes.has(time)).at(-1) ?? last);
      chart.setRange(last - HISTORY_DAYS * DAY_SECONDS, last + release.prediction.length * DAY_SECONDS);
    },
    hide() {
      if (series) {
        Object.values(series).forEach((one) => one.show(false));
      }
      view.setPast(null);
    },
  };
}

/**
 * Return the points of a release's bands. An early release has the 80 % range alone.
 *
 * @param {ReleaseDocument} release
 */
function pastBand({ last, levels, quantiles, low, high }) {
  const first = secondsOf(last) + DAY_SECONDS;
  const points = quantiles ? bandPoints(first, levels, quantiles) : [];
  return low.map((price, index) => {
    const middle = /** @type {[number, number]} */ ([price, high[index]]);
    const [wide = middle, , narrow = middle] = points[index]?.areas ?? [];
    return { time: first + index * DAY_SECONDS, areas: [wide, middle, narrow] };
  });
}

/**
 * Return in words how a past forecast did.
 *
 * @param {ReleaseDocument} release
 * @param {Map<number, number>} closes
 * @param {string} quote
 * @param {number} decimals
 */
export function describe({ made_at, build, anchor, last, prediction, low, high }, closes, quote, decimals) {
  const text = (/** @type {number} */ price) => formatPrice(price, decimals);
  const days = prediction.flatMap((predicted, index) => {
    const time = secondsOf(last) + (index + 1) * DAY_SECONDS;
    const actual = closes.get(time);
    return actual === undefined ? [] : [{ time, actual, predicted, low: low[index] ?? NaN, high: high[index] ?? NaN }];
  });
  const start = `Released ${formatMinute(secondsOf(made_at))} (${build}), from the price of ${formatMinute(secondsOf(anchor.at))}: ${text(anchor.price)} ${quote}.`;
  const newest = days.at(-1);
  if (!newest) {
    return `${start} None of the days that it forecasts is over.`;
  }
  const held = days.filter((day) => isInside(day)).length;
  const error = mean(days.map(({ actual, predicted }) => Math.abs(predicted / actual - 1)));
  const unchanged = mean(days.map(({ actual }) => Math.abs(anchor.price / actual - 1)));
  const difference = newest.actual / newest.predicted - 1;
  return [
    start,
    `Its 80\u202f% range held the close on ${held} of the ${days.length === 1 ? "one day" : `${days.length} days`} that followed.`,
    `The newest of them, ${formatDay(newest.time)}, closed at ${text(newest.actual)}: ${isInside(newest) ? "inside" : "outside"} the range`,
    `from ${text(newest.low)} to ${text(newest.high)}, ${formatChange(difference)} from the forecast of ${text(newest.predicted)}.`,
    `On average the forecast missed by ${formatShare(error, 1)}, and \u201cthe price stays as it is\u201d by ${formatShare(unchanged, 1)}.`,
  ].join(" ");
}

/** @param {{ actual: number, low: number, high: number }} day */
function isInside({ actual, low, high }) {
  return low <= actual && actual <= high;
}

/** @param {number[]} values at least one */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

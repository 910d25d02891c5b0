/** Any day again: what was forecast on a day of the past, under the price that followed. */

import { createAnnouncer } from "../announce.js";
import { readState, writeState } from "../address.js";
import { createChart } from "../chart/chart.js";
import { nearest } from "../chart/cursor.js";
import { action, choices } from "../controls.js";
import { captionOf, element } from "../elements.js";
import { daily } from "../forecast/fan.js";
import { DAY_SECONDS, formatDay, formatPrice, secondsOf } from "../format.js";
import { bandThroughTime, isInside } from "./hindcasts.js";

/** @typedef {import("../types.d.ts").ForecastDocument} ForecastDocument */
/** @typedef {import("./hindcasts.js").Issue} Issue */
/** @typedef {import("./hindcasts.js").Step} Step */

const BANDS = /** @type {const} */ ([
  { ahead: 1, color: "band-50" },
  { ahead: 7, color: "band-80" },
  { ahead: 30, color: "band-90" },
]);
const BEFORE = 120; // days before the chosen one, in the chart
const AFTER = 45;
const JOINED = 10; // days between two forecasts at most, of a band without a hole

/**
 * Make the slider, the chart and the table. Returned is what shows the forecasts of a model.
 *
 * @param {HTMLElement} root of the section
 * @param {ForecastDocument} forecast
 */
export function createReplay(root, forecast) {
  const controls = /** @type {HTMLElement} */ (root.querySelector("#past-day"));
  const figure = /** @type {HTMLElement} */ (root.querySelector("#past-chart"));
  const outcomes = /** @type {HTMLElement} */ (root.querySelector("#past-outcomes"));
  const { pair, quote, decimals } = forecast;
  const price = (/** @type {number} */ value) => formatPrice(value, decimals);

  const slider = element("input", { type: "range", min: 0, step: 1 });
  const shown = element("strong", { class: "day" });
  const earlier = action("Earlier day", () => step(-1));
  const later = action("Later day", () => step(1));
  controls.append(element("label", { class: "field slider" }, "Forecast of the day", slider), shown, earlier, later);

  const chart = createChart(figure, { label: `Price of ${pair}`, decimals, step: "day" });
  chart.tools.append(
    choices("Show", { near: "Around the day", all: "All days" }, readState().span, {}, (value) => {
      writeState({ span: value });
      showRange();
    }),
  );
  const close = chart.addLine({ name: "daily close", color: "price" });
  const middle = chart.addLine({ name: "forecast of the day", color: "forecast", dashed: true });
  const low = chart.addLine({ name: "its 80\u202f% range from", color: "forecast" });
  const high = chart.addLine({ name: "to", color: "forecast" });
  const bands = BANDS.map(({ ahead, color }) => ({
    ahead,
    band: chart.addBand({ name: `${ahead}`, levels: [{ text: `${daysText(ahead)} before: 80\u202f%`, color }] }),
  }));
  const spoken = element("p", { class: "visually-hidden", role: "status" });
  const speak = createAnnouncer(spoken);
  figure.append(spoken);

  /** @type {Issue[]} */
  let issues = [];
  let model = "";
  let first = 0;
  let last = 0;

  slider.addEventListener("input", () => show(true));
  slider.addEventListener("change", () => writeState({ day: slider.value === slider.max ? undefined : formatDay(chosen().time) }));

  /** @returns {Issue} */
  function chosen() {
    return /** @type {Issue} */ (issues[Number(slider.value)]);
  }

  /** @param {number} by */
  function step(by) {
    slider.value = String(Number(slider.value) + by);
    slider.dispatchEvent(new Event("input"));
    slider.dispatchEvent(new Event("change"));
  }

  function showRange() {
    const { time } = chosen();
    const isNear = readState().span !== "all";
    chart.setRange(isNear ? Math.max(first, time - BEFORE * DAY_SECONDS) : first, isNear ? Math.min(last, time + AFTER * DAY_SECONDS) : last);
  }

  /** @param {boolean} isAnnounced */
  function show(isAnnounced) {
    const issue = chosen();
    const { time, steps } = issue;
    const day = formatDay(time);
    const start = { time, value: issue.close, joint: true };
    low.set([start, ...steps.map((each) => ({ time: each.time, value: each.low }))]);
    middle.set([start, ...steps.map((each) => ({ time: each.time, value: each.prediction }))]);
    high.set([start, ...steps.map((each) => ({ time: each.time, value: each.high }))]);
    slider.setAttribute("aria-valuetext", day);
    shown.textContent = day;
    earlier.disabled = slider.value === "0";
    later.disabled = slider.value === slider.max;
    chart.setLabel(`Price of ${pair} by day, the forecast of ${model} of ${day}, and the ranges that it forecast before each day`);
    chart.mark([{ time, text: `forecast of ${day}` }]);
    chart.setHome(steps[0]?.time ?? time);
    showRange();
    outcomes.replaceChildren(tableOf(issue));
    if (isAnnounced) {
      speak(steps.map((each) => `${daysText(each.ahead)} after ${day}: ${wordOf(each)}, the range was from ${price(each.low)} to ${price(each.high)}.`).join(" "));
    }
  }

  /** @param {Step} each */
  function wordOf(each) {
    return each.actual === null ? "not known yet" : `${price(each.actual)}, ${isInside(each) ? "inside" : "outside"}`;
  }

  /** @param {Issue} issue */
  function tableOf({ time, close: then, steps }) {
    const caption = captionOf(`What ${model} forecast on ${formatDay(time)}, from the close of that day, ${price(then)} ${quote}, and what followed.`);
    const head = ["Days ahead", "Close of day", "80\u202f% range", "Forecast", "What happened", "Inside"];
    const rows = steps.map((each) => {
      const inside = isInside(each);
      const verdict = inside === null ? "" : element(inside ? "span" : "strong", { class: inside ? "up" : "down" }, inside ? "yes" : "no");
      const actual = each.actual === null ? "not known" : price(each.actual);
      const cells = [formatDay(each.time), `${price(each.low)} \u2013 ${price(each.high)}`, price(each.prediction), actual, verdict];
      return element("tr", {}, element("th", { scope: "row" }, String(each.ahead)), ...cells.map((cell) => element("td", {}, cell)));
    });
    const table = element("table", {}, caption, element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))), element("tbody", {}, ...rows));
    return element("div", { class: "table narrow", role: "region", tabindex: 0, "aria-label": "The forecast of the day and its outcomes" }, table);
  }

  return {
    /**
     * Show the forecasts of a model, those of the day in the address or of the newest day at first.
     *
     * @param {string} name
     * @param {Issue[]} past ascending, at least one
     */
    setModel(name, past) {
      const { day } = readState();
      const before = issues.length > 0 ? chosen().time : day === undefined ? Infinity : secondsOf(day);
      issues = past;
      model = name;
      first = issues[0]?.time ?? 0;
      last = secondsOf(forecast.last);
      slider.max = String(issues.length - 1);
      slider.value = String(before === Infinity ? newestDue(issues) : nearest(issues.map(({ time }) => time), before));
      close.set(daily(secondsOf(forecast.first), forecast.closes).filter(({ time }) => time >= first - BEFORE * DAY_SECONDS));
      for (const { ahead, band } of bands) {
        band.set(bandThroughTime(issues, ahead, JOINED));
        band.show(issues.some(({ steps }) => steps.some((each) => each.ahead === ahead)));
      }
      show(false);
    },
  };
}

/**
 * Return the index of the newest forecasts of which all outcomes are known; of the newest ones without any.
 *
 * @param {Issue[]} issues ascending
 */
function newestDue(issues) {
  const due = issues.filter(({ steps }) => steps.every(({ actual }) => actual !== null));
  return issues.indexOf(due.at(-1) ?? /** @type {Issue} */ (issues.at(-1)));
}

/** @param {number} days */
function daysText(days) {
  return days === 1 ? "1 day" : `${days} days`;
}

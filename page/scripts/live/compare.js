/** Two pairs drawn together, both 100 at the beginning. */

import { readState, writeState } from "../address.js";
import { createChart } from "../chart/chart.js";
import { choices } from "../controls.js";
import { element } from "../elements.js";
import { formatChange, formatDay, secondsOf } from "../format.js";
import { getJson, RequestFailed } from "../requests.js";
import { withPrices } from "../steps.js";
import { createDailyCandles } from "./candles.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {Map<number, number>} Closes by day, in seconds since 1970, UTC; those of the model's pairs ascending */

const DAY = 86_400;
const NONE = "";
const DAYS = { "1m": 30, "6m": 182, "1y": 365, all: Infinity };

/**
 * Let the reader choose a pair that is drawn beside that of the page.
 *
 * @param {HTMLElement} figure
 * @param {Context} context
 * @param {Set<string>} ofModel the slugs of the pairs of the model, whose documents have their days
 */
export function createComparison(figure, context, ofModel) {
  const { site } = context;
  const select = element("select", { id: "compare-pair" });
  const words = element("p", { id: "compare-words", hidden: true });
  const field = element("label", { class: "field" }, `Draw ${site.pair} together with`, select);
  figure.before(element("h3", {}, "Two pairs together"), element("div", { class: "controls" }, field));
  figure.after(words);
  figure.hidden = true;
  let { since } = readState();
  /** @type {import("../chart/chart.js").Chart | undefined} */
  let chart;
  let newest = 0; // the number of the question that is answered last
  /** @type {Map<string, ReturnType<typeof createDailyCandles>>} by slug, of pairs that the model does not have */
  const collected = new Map();

  /** @param {string} text */
  function say(text) {
    words.textContent = text;
    words.hidden = !text;
  }

  /**
   * @param {string} slug
   * @param {() => boolean} isAsked whether the question still stands
   */
  async function closesOf(slug, isAsked) {
    if (ofModel.has(slug)) {
      const { first, closes } = slug === site.slug ? await context.forecast : withPrices(await getJson(`${site.root}page/${slug}.json`));
      return closesFrom(secondsOf(first), closes);
    }
    const daily = collected.get(slug) ?? createDailyCandles(site.api ?? site.root, slug);
    collected.set(slug, daily);
    const from = (await context.now) / 1000 - DAYS[/** @type {keyof typeof DAYS} */ (since)] * DAY;
    while (isAsked() && (await daily.extend(from))) {
      // until the days since then are here
    }
    return new Map([...daily.candles.values()].map(({ time, close }) => [time, close]));
  }

  async function show() {
    const slug = select.value;
    const number = ++newest;
    const pair = select.selectedOptions[0]?.textContent ?? "";
    writeState({ compare: slug || undefined });
    if (slug === NONE) {
      hide("");
      return;
    }
    try {
      const isAsked = () => number === newest;
      const [closes, otherCloses] = await Promise.all([closesOf(site.slug, isAsked), closesOf(slug, isAsked)]);
      if (isAsked()) {
        draw(pair, closes, otherCloses);
      }
    } catch (error) {
      if (number === newest) {
        hide(`${pair} cannot be drawn: ${error instanceof RequestFailed ? error.detail : "its answer is not as expected"}.`);
      }
    }
  }

  /** @param {string} text */
  function hide(text) {
    chart?.remove();
    chart = undefined;
    figure.hidden = true;
    say(text);
  }

  /**
   * @param {string} pair
   * @param {Closes} closes of the pair of the page
   * @param {Closes} otherCloses
   */
  function draw(pair, closes, otherCloses) {
    const days = commonDays(closes, otherCloses, DAYS[/** @type {keyof typeof DAYS} */ (since)]);
    const [first, last] = [days[0], days.at(-1)];
    if (first === undefined || last === undefined) {
      hide(`${site.pair} and ${pair} have no day in common.`);
      return;
    }
    chart?.remove();
    figure.hidden = false;
    chart = createChart(figure, { label: `${site.pair} and ${pair}, both 100 on ${formatDay(first)}`, decimals: 1, step: "day" });
    chart.addLine({ name: site.pair, color: "price" }).set(rebased(closes, first, last));
    chart.addLine({ name: pair, color: "compare" }).set(rebased(otherCloses, first, last));
    chart.setRange(first, last);
    chart.tools.append(
      choices("Since", { "1m": "1 m", "6m": "6 m", "1y": "1 y", all: "all" }, since, { "1m": "1 m: 1 month ago", "6m": "6 m: 6 months ago", "1y": "1 y: 1 year ago" }, (value) => {
        writeState({ since: value });
        since = value;
        void show().then(() => /** @type {HTMLElement | undefined} */ (chart?.tools.querySelector(`[value="${value}"]`) ?? undefined)?.focus());
      }),
    );
    const change = (/** @type {Closes} */ ofPair) => formatChange((ofPair.get(last) ?? NaN) / (ofPair.get(first) ?? NaN) - 1);
    say(`From ${formatDay(first)} to ${formatDay(last)}: ${site.pair} ${change(closes)}, ${pair} ${change(otherCloses)}.`);
  }

  select.addEventListener("change", () => void show());
  let listed = "";
  let isWaiting = true; // for the pair of the address

  return {
    /**
     * Offer pairs.
     *
     * @param {Map<string, string>} pairs names by slug
     * @param {boolean} isAll whether no more pairs are to come
     */
    offer(pairs, isAll) {
      if ([...pairs.keys()].join() !== listed) {
        listed = [...pairs.keys()].join();
        const chosen = select.value;
        const options = [...pairs].filter(([slug]) => slug !== site.slug);
        select.replaceChildren(element("option", { value: NONE }, "no other pair"), ...options.map(([slug, pair]) => element("option", { value: slug }, pair)));
        select.value = chosen;
      }
      const compare = readState().compare?.toUpperCase();
      if (isWaiting && compare && compare !== site.slug && pairs.has(compare)) {
        isWaiting = false;
        select.value = compare;
        void show();
      } else if (isWaiting && isAll) {
        isWaiting = false;
        if (compare && compare !== site.slug) {
          say(`${compare.replace("-", "/")} is not among the pairs, so it is not drawn.`);
        }
      }
    },
  };
}

/**
 * @param {number} first day
 * @param {(number | null)[]} closes
 * @returns {Closes}
 */
function closesFrom(first, closes) {
  /** @type {Closes} */
  const closesByDay = new Map();
  closes.forEach((close, index) => {
    if (close !== null) {
      closesByDay.set(first + index * DAY, close);
    }
  });
  return closesByDay;
}

/**
 * Return the days for which both pairs have a price, ascending.
 *
 * @param {Closes} closes
 * @param {Closes} otherCloses
 * @param {number} most days before the last one
 */
function commonDays(closes, otherCloses, most) {
  const days = [...closes.keys()].filter((day) => otherCloses.has(day));
  const last = days.at(-1) ?? 0;
  return days.filter((day) => day >= last - most * DAY);
}

/**
 * Return the closes in percent of the first one.
 *
 * @param {Closes} closes
 * @param {number} first
 * @param {number} last
 */
function rebased(closes, first, last) {
  const base = closes.get(first) ?? NaN;
  const points = [];
  for (let time = first; time <= last; time += DAY) {
    const close = closes.get(time);
    points.push({ time, value: close === undefined ? null : (close / base) * 100 });
  }
  return points;
}

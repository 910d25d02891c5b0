/** The minutes of a collected pair: candles with verdicts, the forecast of the next 15 minutes, and how good it has been. */

import { readState, writeState } from "../address.js";
import { choices } from "../controls.js";
import { element } from "../elements.js";
import { formatMinute, priceDecimals, sourceName } from "../format.js";
import { createMinutesChart } from "../live/minutes-chart.js";
import { createPlaces } from "../live/places.js";
import { slugOf, watchPrices } from "../live/prices.js";
import { joined, minutesOf, pastForecastsOf } from "../live/rows.js";
import { aheadText, heldText, holeTexts, scoreText, verdictText } from "../live/words.js";
import { follow, watchOutage } from "../poll.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").PairPrice} PairPrice */
/** @typedef {import("../types.d.ts").MinutesAhead} MinutesAhead */
/** @typedef {import("../types.d.ts").MinutesRecord} MinutesRecord */
/** @typedef {import("../requests.js").RequestFailed} RequestFailed */
/** @typedef {import("../poll.js").Follower} Follower */
/** @typedef {import("../live/places.js").Places} Places */

const LOADED = 120; // minutes at first: twice what is shown
const RENEWED = 30; // minutes at each question after that
const AHEAD = 15; // minutes
const SCORED = 5; // minutes ahead, whose score is told while no past forecast is shown

/**
 * Mount the section. It needs a database.
 *
 * @param {HTMLElement} root
 * @param {Context} context
 */
export function mount(root, { site }) {
  if (!site.live) {
    return;
  }
  const api = site.api ?? site.root;
  const figure = /** @type {HTMLElement} */ (root.querySelector("#minutes-chart"));
  const select = /** @type {HTMLSelectElement} */ (root.querySelector("#minutes-pair"));
  const places = createPlaces(figure);
  /** @type {PairPrice[]} */
  let prices = [];
  /** @type {{ slug: string, stop: () => void } | undefined} */
  let shown;

  /** @param {PairPrice[]} newest */
  function receive(newest) {
    const before = prices.map(({ pair }) => pair).join();
    prices = newest;
    if (prices.map(({ pair }) => pair).join() !== before) {
      select.replaceChildren(...prices.map(({ pair }) => element("option", { value: slugOf(pair) }, pair)));
      select.value = shown?.slug ?? "";
    }
    if (prices.length === 0) {
      places.say("choice", "No pair is collected yet.");
    } else if (!prices.some(({ pair }) => slugOf(pair) === shown?.slug)) {
      choose(readState().minutes?.toUpperCase() ?? site.slug);
    }
  }

  /** @param {string} wished a slug, which need not be collected */
  function choose(wished) {
    const price = prices.find(({ pair }) => slugOf(pair) === wished) ?? nearest(prices, wished);
    const slug = slugOf(price.pair);
    const missing = wished.replace("-", "/");
    places.say("choice", slug === wished ? "" : `${missing} is not collected: these are the minutes of ${price.pair}.`);
    select.value = slug;
    shown?.stop();
    shown = { slug, stop: showPair(figure, places, api, price) };
  }

  select.addEventListener("change", () => {
    writeState({ minutes: select.value === site.slug ? undefined : select.value });
    choose(select.value);
  });
  watchPrices(api, receive);
  watchOutage((outage) => places.say("state", outage && `The prices stand still: ${outage}. They go on by themselves.`));
}

/**
 * Show a pair, and follow it until the returned function is called.
 *
 * @param {HTMLElement} figure
 * @param {Places} places
 * @param {string} api
 * @param {PairPrice} price
 */
function showPair(figure, places, api, { pair, price, source }) {
  const path = encodeURIComponent(slugOf(pair));
  const decimals = priceDecimals(price);
  const chart = createMinutesChart(figure, pair, decimals);
  let { bars, before } = readState();
  let hours = Number(readState().hours);
  let loaded = Math.max(LOADED, hours * 60);
  /** @type {import("../live/rows.js").Minute[]} */
  let minutes = [];
  /** @type {import("../live/rows.js").PastForecast[]} */
  let past = [];
  /** @type {MinutesRecord | undefined} */
  let record;
  let isWithAhead = false; // the range of the chart includes the forecast
  /** @type {Record<string, Follower>} */
  const followers = {};

  const horizon = () => (before === "off" ? SCORED : Number(before));

  function showScore() {
    places.say("held", before === "off" ? "" : heldText(past, horizon()));
    places.say("score", scoreText(record, horizon()));
    places.showScores(record);
  }

  /** @param {any} answer */
  function receiveMinutes(answer) {
    const joint = joined(minutes, minutesOf(answer));
    const drawn = minutes.length;
    minutes = joint?.rows ?? [];
    if (!joint) {
      return true; // all of them are asked for
    }
    chart.showMinutes(minutes, joint.changed, drawn);
    const last = minutes.at(-1);
    places.say("newest", last ? `Newest minute: ${formatMinute(last.time)}, from ${sourceName(answer.source, pair)}.` : "");
    places.say("verdicts", verdictText(minutes));
    places.listHoles(holeTexts(minutes));
    if (drawn === 0) {
      chart.showHours(hours);
    }
    return false;
  }

  /** @param {MinutesAhead} ahead */
  function receiveAhead(ahead) {
    places.say("ahead", aheadText(ahead, decimals)); // an answer of another form fails here, before it is drawn
    chart.showAhead(ahead);
    if (!isWithAhead && minutes.length > 0) {
      isWithAhead = true;
      chart.showHours(hours);
    }
  }

  /** @param {any} answer */
  function receivePast(answer) {
    const joint = joined(past, pastForecastsOf(answer));
    const drawn = past.length;
    past = joint?.rows ?? [];
    if (!joint) {
      return true;
    }
    chart.showPast(past, joint.changed, drawn);
    showScore();
    return false;
  }

  /** @param {any} answer */
  function receiveScorecard(answer) {
    record = answer.minutes?.find((/** @type {MinutesRecord} */ row) => row.pair === pair && row.source === source);
    showScore();
  }

  /** @param {RequestFailed} error */
  function failAhead({ status, members, detail }) {
    const isState = status === 404 || "lag_seconds" in members;
    if (isState) {
      chart.showAhead(null);
      places.say("ahead", `${detail}.`.replace(/^./, (first) => first.toUpperCase()));
    }
    return isState;
  }

  /**
   * Follow an address of the pair anew.
   *
   * @param {string} name
   * @param {() => string} address
   * @param {import("../poll.js").Handlers} handlers
   */
  function refollow(name, address, handlers) {
    followers[name]?.stop();
    followers[name] = follow(address, handlers);
  }

  const isNotCollected = (/** @type {RequestFailed} */ { status }) => status === 404;

  function followMinutes() {
    minutes = [];
    const address = () => `${api}minutes/${path}?limit=${minutes.length > 0 ? RENEWED : loaded}`;
    refollow("minutes", address, { receive: receiveMinutes, fail: isNotCollected });
  }

  function followPast() {
    past = [];
    chart.showPast(past, 0, 0);
    if (before === "off") {
      followers.past?.stop();
    } else {
      const address = () => `${api}forecast/${path}/minutes/past?horizon=${before}&limit=${(past.length > 0 ? RENEWED : loaded) + AHEAD}`;
      refollow("past", address, { receive: receivePast, fail: isNotCollected });
    }
    showScore();
  }

  chart.tools.append(
    choices("Show", { 1: "1 h", 4: "4 h", 24: "1 day" }, `${hours}`, { 1: "1 h: 1 hour", 4: "4 h: 4 hours" }, (value) => {
      writeState({ hours: value });
      hours = Number(value);
      if (hours * 60 > loaded) {
        loaded = hours * 60;
        followMinutes();
        followPast();
      } else {
        chart.showHours(hours);
      }
    }),
    choices("As", { candles: "candles", line: "line" }, bars, {}, (value) => {
      writeState({ bars: value });
      bars = value;
      chart.showAsLine(bars === "line");
    }),
    choices("Forecast before", { off: "off", 1: "1 min", 5: "5 min", 15: "15 min" }, before, {}, (value) => {
      writeState({ before: value });
      before = value;
      followPast();
    }),
  );
  chart.showAsLine(bars === "line");
  followMinutes();
  followPast();
  refollow("ahead", () => `${api}forecast/${path}/minutes`, { receive: receiveAhead, fail: failAhead });
  refollow("scorecard", () => `${api}scorecard`, { receive: receiveScorecard });
  return () => {
    Object.values(followers).forEach((follower) => follower.stop());
    chart.remove();
  };
}

/**
 * Return the pair to show in place of one that is not collected: another one of its currency, or else the first one.
 *
 * @param {PairPrice[]} prices at least one
 * @param {string} slug
 */
function nearest(prices, slug) {
  const base = slug.split("-")[0] ?? "";
  return /** @type {PairPrice} */ (prices.find(({ pair }) => slugOf(pair).startsWith(`${base}-`)) ?? prices[0]);
}

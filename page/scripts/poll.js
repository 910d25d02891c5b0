/**
 * Live data: one address is asked again and again, at the pace of the market.
 *
 * The next question follows the next close, as `Cache-Control` of the last answer says: the server computes it by its own
 * clock, so a clock of the browser that is wrong does not matter.
 */

import { announce } from "./announce.js";
import { getAnswer, RequestFailed } from "./requests.js";

const SLOW_MS = 4_000; // after which the reader is told that an answer takes long
const JITTER = 3; // seconds after a close, at random, so that not all readers ask at the same time
const SOONEST = 5; // seconds, if the answer does not say when it changes, doubled each time ...
const LATEST = 60; // ... up to this
const FIRST_RETRY = 2; // seconds after a failure, doubled each time ...
const LAST_RETRY = 120; // ... up to this
const LONGEST = 86_400; // seconds, whatever an answer says

/**
 * @typedef {object} Follower
 * @property {() => void} ask now, unless a question is on its way or the server has said to wait
 * @property {() => void} stop for good
 */

/**
 * @typedef {object} Handlers
 * @property {(value: any) => unknown} receive gets each answer that differs from the last one, and returns or resolves to
 *     true if the address has changed and is to be asked at once; what it throws counts as a failure
 * @property {(error: RequestFailed) => boolean} [fail] returns whether this failure is no outage but a state of the data
 *     that the section words itself, such as a pair that is not collected
 */

/** @type {Map<object, string>} what is wrong with each address, in the order in which that began; empty: all is well */
const outages = new Map();
/** @type {Set<(outage: string | null) => void>} */
const watchers = new Set();

/**
 * Ask an address now and after each close, until the page is left.
 *
 * There is one question at a time, and one timer. In a hidden tab nothing is asked; once it is shown again, at once. After
 * a failure it is asked again later and later, with jitter, and not before `Retry-After`. An outage and its end are
 * announced once, however many addresses it concerns.
 *
 * @param {() => string} address is asked for at each question
 * @param {Handlers} handlers
 * @returns {Follower}
 */
export function follow(address, { receive, fail = () => false }) {
  const key = {};
  const ended = new AbortController();
  /** @type {number | undefined} */
  let timer;
  /** @type {AbortController | null} */
  let asking = null;
  let isAway = false; // the page is in the history
  let failures = 0; // in succession
  let undated = 0; // answers in succession that do not say when they change
  let notBefore = 0; // by performance.now(): the server has said to wait until then
  let last = ""; // address and ETag of the last answer
  let wasMoved = false; // the last answer has changed the address

  const isOpen = () => !document.hidden && !isAway && !ended.signal.aborted;

  /** Ask unless the server has said to wait. */
  function ask() {
    const wait = (notBefore - performance.now()) / 1000;
    if (wait > 0 && !asking) {
      schedule(wait);
    } else {
      void begin();
    }
  }

  async function begin() {
    if (asking || !isOpen()) {
      return;
    }
    const mine = (asking = new AbortController());
    clearTimeout(timer);
    timer = window.setTimeout(() => report(key, "the server is slow to answer"), SLOW_MS);
    let delay;
    try {
      delay = await question(mine.signal);
    } catch (error) {
      if (asking !== mine) {
        return; // it was ended here
      }
      delay = failed(error);
    }
    if (asking === mine) {
      asking = null;
      schedule(delay);
    }
  }

  /**
   * Ask once, and return the seconds until the next question.
   *
   * @param {AbortSignal} signal
   */
  async function question(signal) {
    const url = address();
    const { value, headers } = await getAnswer(url, { signal, cache: "no-cache" });
    const etag = headers.get("ETag");
    const version = `${url} ${etag}`;
    const isMoved = (etag === null || version !== last) && (await receive(value)) === true;
    const atOnce = isMoved && !wasMoved;
    wasMoved = isMoved;
    last = version;
    failures = 0;
    report(key, null);
    return atOnce ? 0 : untilNext(headers);
  }

  /**
   * Return the seconds until it is asked again after a failure.
   *
   * @param {unknown} error
   */
  function failed(error) {
    const failure = error instanceof RequestFailed ? error : new RequestFailed(200, "the answer is not as expected");
    if (failure !== error) {
      console.error(error);
    }
    last = "";
    failures += 1;
    report(key, fail(failure) ? null : failure.detail);
    const requested = Math.min(failure.retryAfter ?? 0, LONGEST);
    notBefore = performance.now() + requested * 1000;
    const backoff = Math.min(FIRST_RETRY * 2 ** (failures - 1), LAST_RETRY) * (0.5 + Math.random());
    return Math.max(backoff, requested && requested + Math.random() * JITTER);
  }

  /** @param {Headers} headers */
  function untilNext(headers) {
    const seconds = Number(/\bmax-age=(\d+)/.exec(headers.get("Cache-Control") ?? "")?.[1] ?? 0);
    undated = seconds > 0 ? 0 : undated + 1;
    const wait = seconds > 0 ? Math.min(seconds, LONGEST) : Math.min(SOONEST * 2 ** (undated - 1), LATEST);
    return wait + 0.5 + Math.random() * JITTER;
  }

  /** @param {number} seconds */
  function schedule(seconds) {
    clearTimeout(timer);
    if (isOpen()) {
      timer = window.setTimeout(begin, seconds * 1000);
    }
  }

  function pause() {
    clearTimeout(timer);
    asking?.abort();
    asking = null;
  }

  const { signal } = ended;
  document.addEventListener("visibilitychange", () => (document.hidden ? asking || clearTimeout(timer) : ask()), { signal });
  window.addEventListener("pagehide", () => {
    isAway = true;
    pause();
  }, { signal });
  window.addEventListener("pageshow", () => {
    isAway = false; // the browser has taken the page out of the history as it was
    ask();
  }, { signal });
  ask();
  return {
    ask,
    stop() {
      ended.abort();
      pause();
      report(key, null);
    },
  };
}

/**
 * Call a function with what is wrong with the live data, or null while all is well: now and at each change.
 *
 * @param {(outage: string | null) => void} watcher
 */
export function watchOutage(watcher) {
  watchers.add(watcher);
  watcher(currentOutage());
}

/** @returns {string | null} */
function currentOutage() {
  return outages.values().next().value ?? null;
}

/**
 * Note what is wrong with an address, and say it once.
 *
 * @param {object} key
 * @param {string | null} outage
 */
function report(key, outage) {
  const before = currentOutage();
  if (outage === null) {
    outages.delete(key);
  } else {
    outages.set(key, outage);
  }
  const now = currentOutage();
  if (now !== before) {
    watchers.forEach((watcher) => watcher(now));
  }
  if (now !== null && before === null) {
    announce(`Live prices are interrupted: ${now}. They go on by themselves.`);
  } else if (now === null && before !== null) {
    announce("Live prices are back.");
  }
}

/** The state of the page in the query of its address, so that a view can be shared. */

const DAY = /^\d{4}-\d\d-\d\d$/;
const SLUG = /^[A-Z0-9]{1,20}-[A-Z0-9]{1,20}$/i;

/**
 * @param {...string} values the first one is the default
 * @returns {Parameter}
 */
const oneOf = (...values) => ({
  expected: values.join(", "),
  valid: (text) => values.includes(text),
  initial: values[0],
});

/** @type {Parameter} */
const day = {
  expected: "a day such as 2026-11-20",
  valid: (text) => DAY.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.startsWith(text) === true,
};

/** @type {Parameter} */
const moment = {
  expected: "a day, or an instant such as 2026-11-20T15:00Z",
  valid: (text) => day.valid(text.slice(0, 10)) && /^(T([01]\d|2[0-3]):[0-5]\dZ)?$/.test(text.slice(10)),
};

/** @type {Parameter} */
const price = { expected: "a price above 0", valid: (text) => /^[\d.]+(e[-+]?\d+)?$/i.test(text) && Number(text) > 0 && Number(text) < Infinity };

/** @type {Parameter} */
const model = { expected: "the name of a model such as garch", valid: (text) => /^[a-z][a-z0-9-]{0,29}$/.test(text) };

/** @type {Parameter} */
const slug = { expected: "a pair such as BTC-USD", valid: (text) => SLUG.test(text) };

/**
 * A parameter of the query. A parameter without an initial value is absent unless it is set.
 *
 * @typedef {object} Parameter
 * @property {string} expected
 * @property {(text: string) => boolean} valid
 * @property {string | undefined} [initial]
 */

/** @type {Record<string, Parameter>} */
const PARAMETERS = {
  range: oneOf("1y", "1m", "6m", "5y", "all"), // history in the forecast chart
  ahead: oneOf("90", "30", "365"), // days of forecast in it
  scale: oneOf("linear", "log"),
  view: oneOf("line", "candles"),
  model, // that is drawn beside the forecast
  past: model, // whose forecasts of the past are shown
  day, // of them
  span: oneOf("near", "all"), // around that day
  release: day,
  compare: slug,
  date: moment, // of a question
  above: price,
  below: price,
  touches: price,
  stays_above: price,
  stays_below: price,
  minutes: slug,
  hours: oneOf("1", "4", "24"), // of minutes in the chart
  bars: oneOf("candles", "line"), // in the chart of minutes
  before: oneOf("5", "1", "15", "off"), // minutes that a past forecast was made before its close
  order: oneOf("popularity", "gain", "loss"), // of the pairs
  since: oneOf("1y", "1m", "6m", "all"), // of the comparison of two pairs
};

/** @typedef {Record<string, string | undefined>} State */

/**
 * Return the state in a query, and a sentence for each value that is not usable. Such a value is its default.
 * Parameters that the page does not know, for example those of a link in a newsletter, are left alone.
 *
 * @param {string} query "?range=1y"
 * @returns {{ state: State, problems: string[] }}
 */
export function parseState(query) {
  const search = new URLSearchParams(query);
  const problems = [];
  /** @type {State} */
  const state = {};
  for (const [name, { expected, valid, initial }] of Object.entries(PARAMETERS)) {
    const text = search.get(name);
    const usable = text !== null && valid(text);
    state[name] = usable ? text : initial;
    if (text !== null && !usable) {
      problems.push(`The address has ${name}=${text.slice(0, 40)}, expected ${expected}; it is ignored.`);
    }
  }
  return { state, problems };
}

/**
 * Return a query with changed state. A value that is the default, or undefined, is left out.
 *
 * @param {string} query
 * @param {State} changes
 * @returns {string} "?range=1y", or "" without any parameter
 */
export function changedQuery(query, changes) {
  const search = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === PARAMETERS[name]?.initial) {
      search.delete(name);
    } else {
      search.set(name, value);
    }
  }
  const text = search.toString();
  return text && `?${text}`;
}

/** Return the state in the address of the page. @returns {State} */
export function readState() {
  return parseState(location.search).state;
}

/**
 * Change the state in the address of the page. The entry of the history is replaced: "back" leaves the page.
 *
 * @param {State} changes undefined: without this parameter
 */
export function writeState(changes) {
  history.replaceState(history.state, "", location.pathname + changedQuery(location.search, changes) + location.hash);
}

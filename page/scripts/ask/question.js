/** What is asked: a day, and the prices that its close may be above or below. */

/** @typedef {import("../types.d.ts").Day} Day */

/** @typedef {{ date: Day, above: number | null, below: number | null }} Question */
/** @typedef {"date" | "above" | "below"} Field */
/** @typedef {{ field: Field, message: string }} Fault */

/** @typedef {{ first: Day, end: Day }} Days the days that the model covers, both included */

const DAY = /^\d{4}-\d\d-\d\d$/;
const PRICE = /^(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const DAY_MS = 86_400_000;

/**
 * Return the question that the texts of the fields ask, and what is wrong with them. An empty price is not asked for.
 *
 * @param {Record<Field, string>} texts
 * @param {Days | null} days null: not known, so every day is accepted
 * @returns {{ question: Question, faults: Fault[] }} the question is of use if there are no faults
 */
export function readQuestion(texts, days) {
  /** @type {Fault[]} */
  const faults = [];
  const date = texts.date.trim();
  const within = days ? ` from ${days.first} to ${days.end}` : "";
  if (!DAY.test(date)) {
    faults.push({ field: "date", message: `Choose a day${within}.` });
  } else if (days && (date < days.first || date > days.end)) {
    faults.push({ field: "date", message: `${date} is not covered by this model: choose a day${within}.` });
  }
  const [above = null, below = null] = /** @type {const} */ (["above", "below"]).map((field) => {
    const text = texts[field].trim();
    if (text === "") {
      return null;
    }
    const price = PRICE.test(text) ? Number(text) : NaN;
    if (price > 0 && price < Infinity) {
      return price;
    }
    const message = `${text.slice(0, 40)} is not a price: write a number above 0 without separators, such as 100000.`;
    faults.push({ field, message });
    return null;
  });
  if (above !== null && below !== null && below <= above) {
    const message = `Below (${below}) must be more than above (${above}): both together ask for a price between them.`;
    faults.push({ field: "below", message });
  }
  return { question: { date, above, below }, faults };
}

/**
 * Return the path with which the API is asked, without the prefix of the API.
 *
 * @param {string} slug
 * @param {Question} question
 */
export function pathOf(slug, { date, above, below }) {
  if (above === null && below === null) {
    return `forecast/${slug}?${new URLSearchParams({ start: date, end: date })}`;
  }
  const query = new URLSearchParams({ date });
  for (const [name, price] of Object.entries({ above, below })) {
    if (price !== null) {
      query.set(name, String(price));
    }
  }
  return `probability/${slug}?${query}`;
}

/**
 * Return the days between two days.
 *
 * @param {Day} from
 * @param {Day} to
 */
export function daysBetween(from, to) {
  return Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS);
}

/**
 * Return a day some days after another one.
 *
 * @param {Day} day
 * @param {number} count
 * @returns {Day}
 */
export function dayAfter(day, count) {
  return new Date(Date.parse(day) + count * DAY_MS).toISOString().slice(0, 10);
}

/**
 * Return the range of the probability that a price is above the one limit and below the other, from the quantiles on
 * both sides of each limit. The API interpolates between them; this page does not.
 *
 * @param {number[]} levels of the quantiles, ascending
 * @param {number[]} quantiles prices
 * @param {{ above: number | null, below: number | null }} limits
 * @returns {{ low: number, high: number }} shares
 */
export function bracket(levels, quantiles, { above, below }) {
  const [from, to] = [above, below].map((limit, index) => {
    if (limit === null) {
      return { low: index, high: index }; // nothing is below no limit, everything is below none
    }
    const count = quantiles.filter((quantile) => quantile <= limit).length;
    return { low: levels[count - 1] ?? 0, high: levels[count] ?? 1 };
  });
  const { low: fromLow, high: fromHigh } = /** @type {{ low: number, high: number }} */ (from);
  const { low: toLow, high: toHigh } = /** @type {{ low: number, high: number }} */ (to);
  return { low: rounded(Math.max(toLow - fromHigh, 0)), high: rounded(toHigh - fromLow) };
}

/** @param {number} share */
function rounded(share) {
  return Math.round(share * 1e6) / 1e6;
}

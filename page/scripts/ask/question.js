/** What is asked: a day or an instant, and prices that the price may be above or below then, or at any time until then. */

/** @typedef {import("../types.d.ts").Day} Day */

/** @typedef {"above" | "below" | "touches" | "stays_above" | "stays_below"} Limit a price, as a parameter of /probability */
/** @typedef {Partial<Record<Limit, number>>} Limits */
/** @typedef {{ date: string, limits: Limits }} Question `date` is a day, for its close, or an instant: "2026-12-31T15:00Z" */
/** @typedef {"date" | "time" | "price" | "other"} Field */
/** @typedef {{ field: Field, message: string }} Fault */

/** @typedef {{ first: Day, end: Day }} Days the days that the model covers, both included */

/**
 * What can be asked, by the values of the field that chooses it: the limits, in the order of the fields for prices.
 *
 * @type {Record<string, [Limit] | [Limit, Limit]>}
 */
export const KINDS = {
  "ends-above": ["above"],
  "ends-below": ["below"],
  "ends-between": ["above", "below"],
  touches: ["touches"],
  "stays-above": ["stays_above"],
  "stays-below": ["stays_below"],
  "stays-between": ["stays_above", "stays_below"],
};
/** @type {Limit[]} */
export const LIMITS = ["above", "below", "touches", "stays_above", "stays_below"];

const DAY = /^\d{4}-\d\d-\d\d$/;
const TIME = /^([01]\d|2[0-3]):[0-5]\d$/;
const PRICE = /^(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const DAY_MS = 86_400_000;

/**
 * Return the question that the texts of the fields ask, and what is wrong with them. Without a price it is one about the
 * forecast of a day. `other` is the second price, where the kind has two.
 *
 * @param {string} kind one of `KINDS`
 * @param {Record<Field, string>} texts
 * @param {Days | null} days null: not known, so every day is accepted
 * @returns {{ question: Question, faults: Fault[] }} the question is of use if there are no faults
 */
export function readQuestion(kind, texts, days) {
  /** @type {Fault[]} */
  const faults = [];
  const names = KINDS[kind] ?? ["above"];
  const [day, time] = [texts.date.trim(), texts.time.trim()];
  const within = days ? ` from ${days.first} to ${days.end}` : "";
  if (!DAY.test(day)) {
    faults.push({ field: "date", message: `Choose a day${within}.` });
  } else if (days && (day < days.first || day > days.end)) {
    faults.push({ field: "date", message: `${day} is not covered by this model: choose a day${within}.` });
  }
  if (time !== "" && !TIME.test(time)) {
    faults.push({ field: "time", message: "Write a time such as 15:00, in UTC, or leave it empty for the close of the day." });
  }
  /** @type {Field[]} */
  const fields = names.length === 2 ? ["price", "other"] : ["price"];
  const isForecast = time === "" && kind.startsWith("ends") && fields.every((field) => texts[field].trim() === "");
  /** @type {Limits} */
  const limits = {};
  for (const [index, field] of isForecast ? [] : fields.entries()) {
    const text = texts[field].trim();
    const price = PRICE.test(text) ? Number(text) : NaN;
    if (price > 0 && price < Infinity) {
      limits[/** @type {Limit} */ (names[index])] = price;
    } else {
      const what = text === "" ? "A price is missing" : `${text.slice(0, 40)} is not a price`;
      faults.push({ field, message: `${what}: write a number above 0 without separators, such as 100000.` });
    }
  }
  const [least, most] = names.map((name) => limits[name]);
  if (least !== undefined && most !== undefined && most <= least) {
    faults.push({ field: "other", message: `The second price (${most}) must be more than the first (${least}).` });
  }
  return { question: { date: time === "" ? day : `${day}T${time}Z`, limits }, faults };
}

/**
 * Return the kind of a question, the one with two prices first; without a price the first one.
 *
 * @param {Limits} limits
 */
export function kindOf(limits) {
  const kinds = Object.entries(KINDS).filter(([, names]) => names.every((name) => limits[name] !== undefined));
  return kinds.sort(([, first], [, second]) => second.length - first.length)[0]?.[0] ?? "ends-above";
}

/**
 * Return whether closes of days can answer a question: it is not about a time within a day or the time until then.
 *
 * @param {Question} question
 */
export function isOfCloses({ date, limits }) {
  return DAY.test(date) && Object.keys(limits).every((name) => name === "above" || name === "below");
}

/**
 * Return the path with which the API is asked, without the prefix of the API.
 *
 * @param {string} slug
 * @param {Question} question
 */
export function pathOf(slug, { date, limits }) {
  const names = LIMITS.filter((name) => limits[name] !== undefined);
  if (names.length === 0) {
    return `forecast/${slug}?${new URLSearchParams({ start: date, end: date })}`;
  }
  const query = names.map((name) => `&${name}=${encodeURIComponent(String(limits[name]))}`);
  return `probability/${slug}?date=${date}${query.join("")}`;
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
 * @param {Limits} limits
 * @returns {{ low: number, high: number }} shares
 */
export function bracket(levels, quantiles, { above, below }) {
  const [from, to] = [above, below].map((limit, index) => {
    if (limit === undefined) {
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

/** Published forecasts whose outcome is known. */

import { dayAfter, daysBetween } from "../ask/question.js";

/** @typedef {import("../types.d.ts").LiveForecast} LiveForecast */
/** @typedef {import("../types.d.ts").Day} Day */

/**
 * Return every day from the first target to the last one, with its forecast where there is one.
 *
 * @param {LiveForecast[]} outcomes at least one, by target, ascending
 * @returns {{ day: Day, outcome: LiveForecast | null }[]}
 */
export function filledDays(outcomes) {
  const byDay = new Map(outcomes.map((outcome) => [outcome.target, outcome]));
  const first = outcomes[0]?.target ?? "";
  const count = daysBetween(first, outcomes.at(-1)?.target ?? first) + 1;
  return Array.from({ length: count }, (_, index) => {
    const day = dayAfter(first, index);
    return { day, outcome: byDay.get(day) ?? null };
  });
}

/**
 * Return how many outcomes were inside the range: "27 of 30 were inside the 80 % range."
 *
 * @param {LiveForecast[]} outcomes
 * @param {string} range
 */
export function insideText(outcomes, range) {
  const inside = outcomes.filter(({ low, actual, high }) => low <= actual && actual <= high).length;
  return `${inside} of ${outcomes.length} ${outcomes.length === 1 ? "was" : "were"} inside the ${range}.`;
}

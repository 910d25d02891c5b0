/** How old a model and its prices are, in words. Instants are milliseconds since 1970, UTC. */

import { formatMinute } from "../format.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * Return a length of time: "5 minutes", "47 hours", "2.5 days", "147 days".
 *
 * @param {number} span milliseconds; less than a minute counts as one
 */
export function durationText(span) {
  if (span < 2 * HOUR) {
    return counted(Math.max(Math.floor(span / MINUTE), 1), "minute");
  }
  if (span < 2 * DAY) {
    return counted(Math.floor(span / HOUR), "hour");
  }
  const days = span / DAY;
  return counted(days < 10 ? Math.round(days * 10) / 10 : Math.round(days), "day");
}

/**
 * Return where an instant is, seen from now: "3 hours ago", "in 20 minutes".
 *
 * @param {number} instant
 * @param {number} now
 */
export function distanceText(instant, now) {
  return instant > now ? `in ${durationText(instant - now)}` : `${durationText(now - instant)} ago`;
}

/**
 * Return when the next training is due: "in 2 hours", "due now" for as long as one may take, "overdue by 3 hours".
 *
 * @param {number} due
 * @param {number} now
 */
export function dueText(due, now) {
  const late = now - due;
  return late < 0 ? `in ${durationText(-late)}` : late < HOUR ? "due now" : `overdue by ${durationText(late)}`;
}

/**
 * Return why a forecast is stale; null if it is not. The text does not change with time: it is spoken only once.
 *
 * @param {{ trainedAt: number, newest: number, limit: number }} model training, newest price, and the age that is too old
 * @param {number} now
 */
export function staleText({ trainedAt, newest, limit }, now) {
  if (Math.max(now - newest, now - trainedAt) <= limit) {
    return null;
  }
  const price = `its newest price is of ${formatMinute(newest / 1000)}`;
  const model = now - trainedAt > limit ? ` and its model was trained at ${formatMinute(trainedAt / 1000)}` : "";
  return `This forecast is stale: ${price}${model}. Newer prices are not in it.`;
}

/**
 * @param {number} count
 * @param {string} noun
 */
function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

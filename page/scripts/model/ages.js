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
 * Return when the next training is due: "in 2 hours", "overdue by 3 hours".
 *
 * @param {number} due
 * @param {number} now
 */
export function dueText(due, now) {
  return due > now ? `in ${durationText(due - now)}` : `overdue by ${durationText(now - due)}`;
}

/**
 * Return why a forecast is stale; null if it is not.
 *
 * @param {{ trainedAt: number, newest: number, limit: number }} model training, newest price, and the age that is too old
 * @param {number} now
 */
export function staleText({ trainedAt, newest, limit }, now) {
  const old = [
    now - newest > limit ? `its newest price is ${durationText(now - newest)} old (${formatMinute(newest / 1000)})` : "",
    now - trainedAt > limit ? `its model was trained ${durationText(now - trainedAt)} ago` : "",
  ].filter(Boolean);
  return old.length > 0 ? `This forecast is stale: ${old.join(", and ")}. What happened since is not in it.` : null;
}

/**
 * @param {number} count
 * @param {string} noun
 */
function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

import assert from "node:assert/strict";
import test from "node:test";
import { distanceText, dueText, durationText, staleText } from "../scripts/model/ages.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOW = Date.parse("2026-11-23T12:00:00Z");

test("a length of time has one unit", () => {
  const spans = [0, MINUTE, 119 * MINUTE, 2 * HOUR, 47 * HOUR, 48 * HOUR, 2.5 * DAY, 9.99 * DAY, 147.4 * DAY];
  assert.deepEqual(spans.map(durationText), [
    "1 minute", "1 minute", "119 minutes", "2 hours", "47 hours", "2 days", "2.5 days", "10 days", "147 days",
  ]);
});

test("an instant lies ahead or has passed", () => {
  assert.equal(distanceText(NOW + 3 * HOUR, NOW), "in 3 hours");
  assert.equal(distanceText(NOW - 3 * HOUR, NOW), "3 hours ago");
});

test("a training that did not happen is overdue", () => {
  assert.equal(dueText(NOW + 20 * MINUTE, NOW), "in 20 minutes");
  assert.equal(dueText(NOW - 20 * MINUTE, NOW), "due now");
  assert.equal(dueText(NOW - 3 * HOUR, NOW), "overdue by 3 hours");
});

test("a forecast is stale if its model or its newest price is too old, and the banner says which", () => {
  const stale = (/** @type {number} */ trained, /** @type {number} */ newest) =>
    staleText({ trainedAt: NOW - trained, newest: NOW - newest, limit: DAY }, NOW);
  assert.equal(stale(HOUR, 2 * HOUR), null);
  assert.equal(stale(DAY, DAY), null);
  assert.match(stale(HOUR, 3 * DAY) ?? "", /^This forecast is stale: its newest price is of 2026-11-20 12:00 UTC\. /);
  assert.match(stale(2 * DAY, 3 * DAY) ?? "", / and its model was trained at 2026-11-21 12:00 UTC\. /);
});

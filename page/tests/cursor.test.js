import assert from "node:assert/strict";
import test from "node:test";
import { nearest } from "../scripts/chart/cursor.js";

test("the cursor goes to the time that is nearest, at both ends too", () => {
  const times = [10, 20, 30, 70];
  const places = [-5, 10, 14, 15, 16, 49, 51, 70, 1000].map((time) => nearest(times, time));
  assert.deepEqual(places, [0, 0, 0, 0, 1, 2, 3, 3, 3]);
});

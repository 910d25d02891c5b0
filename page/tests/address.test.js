import assert from "node:assert/strict";
import test from "node:test";
import { changedQuery, parseState } from "../scripts/address.js";

test("an address without a query shows the default view", () => {
  const { state, problems } = parseState("");
  assert.deepEqual([state.range, state.ahead, state.scale, state.view, state.model], ["1y", "90", "linear", "line", undefined]);
  assert.equal(state.release, undefined);
  assert.deepEqual(problems, []);
});

test("what is written is read again, whatever else the query has", () => {
  const changes = { range: "5y", scale: "log", release: "2026-11-20", compare: "ETH-USD", above: "0.00000001", date: "2026-12-31T15:00Z", stays_below: "1e5" };
  const query = changedQuery("?utm=letter&range=1m", changes);
  assert.deepEqual({ ...parseState(query).state, ...changes }, parseState(query).state);
  assert.deepEqual(parseState(query).problems, []);
  assert.match(query, /[?&]utm=letter(&|$)/);
});

test("a default is not written, and a removed value is gone", () => {
  assert.equal(changedQuery("?range=5y&release=2026-11-20", { range: "1y", release: undefined }), "");
});

test("nonsense is its default, and is said with the value and what was expected", () => {
  const nonsense = {
    range: "banana", ahead: "-1", scale: "", view: "<b>", release: "2026-02-30", date: "tomorrow", above: "-3", below: "1e999", touches: "0", stays_above: "x", compare: "a/b", model: "Garch 2", past: "-x", day: "2026-13-01", span: "5y",
  };
  const { state, problems } = parseState(`?${new URLSearchParams(nonsense)}`);
  assert.deepEqual([state.range, state.ahead, state.scale, state.view], ["1y", "90", "linear", "line"]);
  assert.deepEqual([state.release, state.date, state.above, state.below, state.compare, state.model, state.past, state.day], Array(8).fill(undefined));
  assert.equal(problems.length, Object.keys(nonsense).length);
  assert.equal(problems[0], "The address has range=banana, expected 1y, 1m, 6m, 5y, all; it is ignored.");
});

test("a value of any length makes a short message", () => {
  const [problem = ""] = parseState(`?range=${"x".repeat(100_000)}`).problems;
  assert.ok(problem.length < 150);
});

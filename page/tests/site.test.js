import assert from "node:assert/strict";
import test from "node:test";
import { presentInstant, readSite } from "../scripts/site.js";

const NEWEST = "2026-11-23T06:00:00Z";
const HEADER = "Mon, 23 Nov 2026 07:00:00 GMT";
const now = (/** @type {string} */ clock, /** @type {string | null} */ header) => new Date(presentInstant(Date.parse(clock), header, NEWEST)).toISOString();

test("a clock that agrees with the server is used", () => {
  assert.equal(now("2026-11-23T07:00:03Z", HEADER), "2026-11-23T07:00:03.000Z");
});

test("a clock that is wrong by years is not", () => {
  assert.equal(now("2001-01-01T00:00:00Z", HEADER), "2026-11-23T07:00:00.000Z");
  assert.equal(now("2099-01-01T00:00:00Z", HEADER), "2026-11-23T07:00:00.000Z");
});

test("it is never before the newest price, with or without the clock of a server", () => {
  assert.equal(now("2026-11-23T03:00:00Z", HEADER), "2026-11-23T06:00:00.000Z");
  assert.equal(now("1970-01-01T00:00:00Z", null), "2026-11-23T06:00:00.000Z");
  assert.equal(now("1970-01-01T00:00:00Z", "no date"), "2026-11-23T06:00:00.000Z");
});

test("a page without an address of an API cannot ask one", () => {
  const body = (/** @type {Record<string, string>} */ dataset) => readSite(/** @type {any} */ ({ dataset }));
  assert.equal(body({ root: "../../", site: "../../" }).api, "../../");
  assert.equal(body({ root: "../../", site: "" }).api, null);
});

/** Requests for the documents of the page and for the API: JSON only, with a time limit, and one kind of error. */

const TIMEOUT_MS = 10_000;

/** A request did not get the JSON that was asked for. */
export class RequestFailed extends Error {
  /**
   * @param {number} status of the answer; 0: there was no answer, or it broke off
   * @param {string} detail what was wrong, as the problem details of the API word it where it sent some
   * @param {number | null} retryAfter seconds until it may be asked again; null: the answer does not say
   * @param {Record<string, unknown>} members of the problem details, if the API sent some
   */
  constructor(status, detail, retryAfter = null, members = {}) {
    super(detail);
    this.name = "RequestFailed";
    this.status = status;
    this.detail = detail;
    this.retryAfter = retryAfter;
    this.members = members;
  }
}

/**
 * What a request takes beside its address.
 *
 * @typedef {object} Options
 * @property {AbortSignal} [signal] ends the request
 * @property {number} [timeout] milliseconds until the last byte of the answer, by default 10,000
 * @property {RequestCache} [cache] "no-cache" has the browser ask with the ETag of its copy
 * @property {string} [method] by default GET
 * @property {Record<string, string>} [headers] of the request
 * @property {string} [body] of the request
 */

/**
 * Return the JSON at an address.
 *
 * @param {string} url
 * @param {Options} [options]
 * @returns {Promise<any>} not checked beyond being JSON
 * @throws {RequestFailed} there is no answer in time, it is an error, or it is not JSON
 * @throws {DOMException} "AbortError": `signal` ended it
 */
export async function getJson(url, options = {}) {
  return (await getAnswer(url, options)).value;
}

/**
 * Return the JSON at an address, with the headers of the answer. Errors are those of `getJson`.
 *
 * @param {string} url
 * @param {Options} [options]
 * @returns {Promise<{ value: any, headers: Headers }>}
 */
export async function getAnswer(url, { signal, timeout = TIMEOUT_MS, ...init } = {}) {
  const limit = AbortSignal.timeout(timeout);
  const signals = signal ? [signal, limit] : [limit];
  let response;
  let text;
  try {
    const headers = { Accept: "application/json", ...init.headers };
    response = await fetch(url, { credentials: "same-origin", ...init, headers, signal: AbortSignal.any(signals) });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    const seconds = timeout / 1000;
    throw new RequestFailed(0, limit.aborted ? `no answer within ${seconds} seconds` : "the server cannot be reached");
  }
  const value = parsed(text);
  if (!response.ok) {
    const members = typeof value === "object" ? { ...value } : {};
    throw new RequestFailed(response.status, detailOf(members, response), retryAfter(response.headers), members);
  }
  if (value === undefined) {
    const type = typeOf(response);
    throw new RequestFailed(response.status, type.includes("json") ? "the answer is broken JSON" : `the answer is not JSON but ${type}`);
  }
  return { value, headers: response.headers };
}

/**
 * Return the value of a JSON text; undefined if it is not one.
 *
 * @param {string} text
 * @returns {unknown}
 */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Return what an error says: the detail of RFC 9457, or else its status.
 *
 * @param {Record<string, unknown>} problem
 * @param {Response} response
 * @returns {string}
 */
function detailOf(problem, response) {
  return typeof problem.detail === "string"
    ? problem.detail
    : `the server answered ${response.status} with ${typeOf(response)}`;
}

/** @param {Response} response */
function typeOf(response) {
  return response.headers.get("Content-Type")?.split(";")[0] || "something without a type";
}

/**
 * Return the seconds of Retry-After, which may also be a date by the clock of the server.
 *
 * @param {Headers} headers
 * @returns {number | null}
 */
function retryAfter(headers) {
  const value = headers.get("Retry-After");
  if (value === null) {
    return null;
  }
  const now = Date.parse(headers.get("Date") ?? "") || Date.now();
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1000;
  return Number.isFinite(seconds) ? Math.max(seconds, 0) : null;
}

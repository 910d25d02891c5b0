/** A question about a day and a price, and its answer. */

import { readState, writeState } from "../address.js";
import { announce } from "../announce.js";
import { bracket, dayAfter, daysBetween, isOfCloses, kindOf, KINDS, LIMITS, pathOf, readQuestion } from "../ask/question.js";
import { bracketText, frequencyText, intervalTexts, limitsText, probabilityText } from "../ask/wording.js";
import { element } from "../elements.js";
import { formatMinute, formatPrice, secondsOf, sourceName } from "../format.js";
import { getJson, RequestFailed } from "../requests.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").ForecastDocument} ForecastDocument */
/** @typedef {import("../types.d.ts").Site} Site */
/** @typedef {import("../ask/question.js").Question} Question */
/** @typedef {import("../ask/question.js").Field} Field */
/** @typedef {import("../ask/question.js").Limit} Limit */
/** @typedef {import("../ask/question.js").Limits} Limits */

/** @typedef {{ headline: (Node | string)[], words?: string, paragraphs: (Node | string)[][] }} Answer `words` are those of the API */

/** The fields by their names in the form, which without scripts asks for a price above another one. @type {Record<Field, string>} */
const FIELDS = { price: "above", other: "below", date: "date", time: "time" };
/** @type {Record<Limit, string>} */
const LABELS = { above: "Above", below: "Below", touches: "Price", stays_above: "Above", stays_below: "Below" };
const PATIENCE_MS = 400; // before it is said that an answer takes its time

/**
 * Answer the questions of the form, and the one in the address of the page.
 *
 * @param {HTMLElement} root
 * @param {Context} context
 */
export async function mount(root, { site, forecast }) {
  const form = /** @type {HTMLFormElement} */ (root.querySelector("#ask-form"));
  const output = /** @type {HTMLElement} */ (root.querySelector("#ask-answer"));
  const kind = /** @type {HTMLSelectElement} */ (form.elements.namedItem("kind"));
  const fields = /** @type {Record<Field, HTMLInputElement>} */ (
    Object.fromEntries(Object.entries(FIELDS).map(([field, name]) => [field, form.elements.namedItem(name)]))
  );
  // Without the document the API still answers, and checks the day itself.
  const forecastDocument = await forecast.catch(() => null);
  const days = forecastDocument && { first: forecastDocument.first, end: dayAfter(forecastDocument.last, forecastDocument.prediction.length) };
  form.noValidate = true; // the messages here say more
  fields.price.required = false; // without one it is the forecast that is asked for
  kind.disabled = fields.time.disabled = false;
  output.setAttribute("aria-live", "polite");
  /** @type {AbortController | undefined} */
  let running;

  /**
   * Answer what the fields ask.
   *
   * @param {boolean} byReader false: the address of the page asks, and the focus stays where it is
   */
  async function ask(byReader) {
    running?.abort();
    const current = new AbortController();
    running = current;
    const { question, faults } = readQuestion(kind.value, textsOf(fields), days);
    for (const [name, field] of Object.entries(fields)) {
      mark(field, output, faults.some((fault) => fault.field === name));
    }
    if (faults.length > 0) {
      output.replaceChildren(element("div", { class: "problem" }, ...faults.map(({ message }) => element("p", {}, message))));
      if (byReader) {
        fields[/** @type {Field} */ (faults[0]?.field)].focus();
      }
      return;
    }
    writeState({ date: question.date, ...Object.fromEntries(LIMITS.map((name) => [name, question.limits[name]?.toString()])) });
    const waiting = setTimeout(() => output.replaceChildren(element("p", { class: "note" }, "Asking …")), PATIENCE_MS);
    try {
      const answer = await answered(question, site, forecastDocument, current.signal);
      if (!current.signal.aborted) {
        output.replaceChildren(...shown(answer, question, site));
      }
    } catch (error) {
      if (!current.signal.aborted) {
        output.replaceChildren(element("p", { class: "problem" }, detailOf(error)));
      }
    } finally {
      clearTimeout(waiting);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void ask(true);
  });
  kind.addEventListener("change", () => choose(kind, fields));
  const { date, ...state } = readState();
  /** @type {Limits} */
  const limits = Object.fromEntries(LIMITS.flatMap((name) => (state[name] ? [[name, Number(state[name])]] : [])));
  const isAsked = date !== undefined || Object.keys(limits).length > 0;
  if (isAsked) {
    kind.value = kindOf(limits);
    const [least, most] = KINDS[kind.value] ?? [];
    fields.date.value = date?.slice(0, 10) ?? fields.date.value;
    fields.time.value = date?.slice(11, 16) ?? "";
    fields.price.value = (least && state[least]) ?? "";
    fields.other.value = (most && state[most]) ?? "";
  }
  choose(kind, fields);
  if (isAsked) {
    await ask(false);
  }
}

/**
 * Show as many fields for prices as the chosen question has.
 *
 * @param {HTMLSelectElement} kind
 * @param {Record<Field, HTMLInputElement>} fields
 */
function choose(kind, fields) {
  const names = KINDS[kind.value] ?? ["above"];
  for (const [index, field] of [fields.price, fields.other].entries()) {
    const name = names[index];
    const label = /** @type {HTMLElement} */ (field.closest("label"));
    label.hidden = field.disabled = name === undefined;
    const title = label.querySelector("span span");
    if (title && name) {
      title.textContent = LABELS[name];
    }
  }
}

/**
 * @param {HTMLInputElement} field
 * @param {HTMLElement} output has the message
 * @param {boolean} wrong
 */
function mark(field, output, wrong) {
  if (wrong) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", output.id);
  } else {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
}

/**
 * Return what the fields have. A browser gives no text of a number or a day that it cannot read.
 *
 * @param {Record<Field, HTMLInputElement>} fields
 * @returns {Record<Field, string>}
 */
function textsOf(fields) {
  const textOf = (/** @type {HTMLInputElement} */ field) => (field.validity.badInput ? "What was written" : field.value);
  return { date: textOf(fields.date), time: textOf(fields.time), price: textOf(fields.price), other: textOf(fields.other) };
}

/**
 * Return the answer of the API, or that of the document of the page where no API can be asked.
 *
 * @param {Question} question
 * @param {Site} site
 * @param {ForecastDocument | null} forecastDocument
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 * @throws {RequestFailed} neither can answer
 */
async function answered(question, site, forecastDocument, signal) {
  if (forecastDocument && isOfCloses(question) && question.date <= forecastDocument.last) {
    return ofThePast(question, forecastDocument);
  }
  let reason = "";
  if (site.api !== null) {
    try {
      return ofTheApi(question, site, forecastDocument, await getJson(`${site.api}${pathOf(site.slug, question)}`, { signal }));
    } catch (error) {
      const isOutage = error instanceof RequestFailed && (error.status === 0 || error.status >= 500);
      if (!isOutage || !forecastDocument || !isOfCloses(question)) {
        throw error;
      }
      reason = `The API could not answer (${error.detail}), so `;
    }
  }
  if (!forecastDocument) {
    throw new RequestFailed(0, "The forecast could not be loaded: reload the page.");
  }
  if (!isOfCloses(question)) {
    throw new RequestFailed(0, "No API can be asked from here, and this page itself has the closes of days alone: leave the time empty, and ask what the price ends above or below.");
  }
  return ofTheDocument(question, forecastDocument, reason);
}

/**
 * @param {Question} question a day of the history
 * @param {ForecastDocument} forecastDocument
 * @returns {Answer}
 */
function ofThePast(question, forecastDocument) {
  const { quote, decimals } = forecastDocument;
  const index = daysBetween(forecastDocument.first, question.date);
  const close = forecastDocument.closes[index] ?? null;
  const fitted = forecastDocument.fitted[index];
  if (close === null) {
    return { headline: [`${question.date} has passed, and the source has no price of that day.`], paragraphs: [] };
  }
  const headline = [`${question.date} has passed: ${forecastDocument.pair} closed at `, strong(`${formatPrice(close, decimals)} ${quote}`), "."];
  const paragraphs = [];
  const { above, below } = question.limits;
  if (above !== undefined || below !== undefined) {
    const inside = close > (above ?? 0) && close < (below ?? Infinity);
    paragraphs.push([`That was ${inside ? "" : "not "}${limitsText(question.limits, quote)}.`]);
  }
  if (fitted !== undefined) {
    const note = "it was made with hindsight and is not a forecast";
    paragraphs.push([`The fitted curve has ${formatPrice(fitted, decimals)} ${quote} there; ${note}.`]);
  }
  return { headline, paragraphs };
}

/**
 * @param {Question} question
 * @param {Site} site
 * @param {ForecastDocument | null} forecastDocument
 * @param {any} answer an answer of /probability, or the rows of /forecast
 * @returns {Answer}
 */
function ofTheApi(question, site, forecastDocument, answer) {
  const quote = forecastDocument?.quote ?? site.pair.split("/")[1] ?? "";
  const { decimals } = site;
  if (Array.isArray(answer)) {
    return ofAnInterval(question, site.pair, intervalTexts(answer[0], { quote, decimals }), forecastDocument);
  }
  const { probability, based_on: basis, words } = answer;
  const prices = `${pricesText(answer.simulated, basis.source, site.pair)} up to ${formatMinute(secondsOf(answer.as_of))}`;
  const paragraphs = [[`It rests on ${prices}, and on the model ${basis.build}.`]];
  if (answer.known) {
    return { headline: [strong(probability > 0.5 ? "Yes" : "No"), "."], words, paragraphs };
  }
  paragraphs.unshift([forecastText(intervalTexts(answer, { quote, decimals }))]);
  return { headline: [strong(probabilityText(probability)), `. ${frequencyText(probability)}`], words, paragraphs };
}

/**
 * @param {Question} question
 * @param {ForecastDocument} forecastDocument
 * @param {string} reason why the API was not asked: "" or the start of a sentence
 * @returns {Answer}
 */
function ofTheDocument(question, forecastDocument, reason) {
  const index = daysBetween(forecastDocument.last, question.date) - 1;
  const quantiles = forecastDocument.quantiles.map((prices) => prices[index] ?? NaN);
  const at = (/** @type {number} */ level) => quantiles[forecastDocument.levels.indexOf(level)] ?? NaN;
  const interval = intervalTexts({ prediction: forecastDocument.prediction[index] ?? NaN, low: at(0.1), high: at(0.9) }, forecastDocument);
  if (Object.keys(question.limits).length === 0) {
    return ofAnInterval(question, forecastDocument.pair, interval, forecastDocument);
  }
  const headline = [
    strong(bracketText(bracket(forecastDocument.levels, quantiles, question.limits))),
    ` is the probability of ${forecastDocument.pair} ${limitsText(question.limits, forecastDocument.quote)} at the close of ${question.date}.`,
  ];
  const exact = `${reason || "No API can be asked from here, so "}the answer is that of this page, which has ${forecastDocument.levels.length} prices of each day and not the whole distribution.`;
  return { headline, paragraphs: [[forecastText(interval)], [exact], ...basisOf(forecastDocument)] };
}

/**
 * @param {Question} question
 * @param {string} pair
 * @param {{ middle: string, range: string }} interval
 * @param {ForecastDocument | null} forecastDocument
 * @returns {Answer}
 */
function ofAnInterval(question, pair, interval, forecastDocument) {
  const headline = [`${pair} at the close of ${question.date}: about `, strong(interval.middle), `, ${interval.range}.`];
  return { headline, paragraphs: forecastDocument ? basisOf(forecastDocument) : [] };
}

/** @param {{ middle: string, range: string }} interval */
function forecastText({ middle, range }) {
  return `The forecast is about ${middle}, ${range}.`;
}

/** @param {ForecastDocument} forecastDocument */
function basisOf(forecastDocument) {
  return [[`It rests on ${pricesText(forecastDocument.simulated, forecastDocument.source, forecastDocument.pair)} up to ${formatMinute(secondsOf(forecastDocument.anchor.at))}.`]];
}

/**
 * @param {boolean} simulated
 * @param {string} source
 * @param {string} pair
 */
function pricesText(simulated, source, pair) {
  return simulated ? "invented prices" : `prices of ${sourceName(source, pair)}`;
}

/**
 * Return the elements of an answer.
 *
 * @param {Answer} answer
 * @param {Question} question
 * @param {Site} site
 */
function shown({ headline, words, paragraphs }, question, site) {
  const elements = [
    element("p", { class: "sentence" }, ...headline),
    ...(words ? [element("p", {}, words)] : []),
    ...paragraphs.map((parts) => element("p", { class: "note" }, ...parts)),
  ];
  if (site.api === null) {
    return elements;
  }
  const address = new URL(`${site.api}${pathOf(site.slug, question)}`, location.href).href;
  const code = element("code", {}, `curl "${address}"`);
  const copy = element("button", { type: "button" }, "Copy");
  copy.addEventListener("click", () => void copied(code));
  return [
    ...elements,
    element("p", { class: "note" }, "The same from a program:"),
    element("div", { class: "command" }, element("pre", { tabindex: 0, "aria-label": "Command" }, code), copy),
  ];
}

/**
 * Copy the text of an element; where the browser refuses, select it.
 *
 * @param {HTMLElement} source
 */
async function copied(source) {
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    announce("The command was copied.");
  } catch {
    getSelection()?.selectAllChildren(source);
    announce("The command is selected: copy it with the keyboard.");
  }
}

/** @param {string} text */
function strong(text) {
  return element("strong", {}, text);
}

/** @param {unknown} error */
function detailOf(error) {
  return error instanceof RequestFailed ? error.detail : `This question could not be answered: ${error}.`;
}

/** The banners, and the facts of the model that change while the page is open. */

import { element } from "../elements.js";
import { distanceText, dueText, staleText } from "../model/ages.js";
import { getAnswer, RequestFailed } from "../requests.js";
import { presentInstant } from "../site.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").ForecastDocument} ForecastDocument */
/** @typedef {import("../types.d.ts").Site} Site */

// Between two questions whether there is a newer release. `follow` of poll.js is for live prices: it asks more often,
// calls a failure an outage, and does not hand over the server's Date.
const ASK_MS = 300_000;
const RENEW_MS = 30_000; // between two renewals of the ages

/**
 * Keep the banners and the ages true while the page is open. It is mounted at once, in the element of the banners: a
 * stale forecast has to be named before anybody scrolls.
 *
 * @param {HTMLElement} banners
 * @param {Context} context
 */
export async function mount(banners, { site, forecast }) {
  const held = await forecast.catch(() => null);
  const newest = held?.anchor.at ?? site.trainedAt;
  const model = { trainedAt: Date.parse(site.trainedAt), newest: Date.parse(newest), limit: site.staleAfter * 1000 };
  const facts = document.getElementById("model-facts");
  const freshness = facts && addFreshness(facts, site);
  let offset = presentInstant(Date.now(), null, newest) - Date.now(); // of the server's clock from that of this browser

  function renew() {
    const now = Date.now() + offset;
    const stale = staleText(model, now);
    // The text of the page may say it already: another one would move what somebody reads.
    if (stale !== null && !banners.querySelector('[data-kind="stale"]')) {
      show(banners, "stale", stale);
    }
    if (freshness) {
      freshness.textContent = stale === null ? "yes" : "no";
    }
    if (facts) {
      renewAges(facts, Date.parse(site.nextTraining), now);
    }
  }

  async function ask() {
    const { date, newer } = await newestRelease(site, held);
    const server = Date.parse(date ?? "");
    if (!Number.isNaN(server)) {
      offset = presentInstant(server, date, newest) - Date.now();
    }
    renew();
    if (newer) {
      show(banners, "newer", "A newer forecast is there. ", reloadButton());
    }
  }

  await ask();
  setInterval(renew, RENEW_MS);
  const askIfShown = () => void (document.hidden || ask());
  setInterval(askIfShown, ASK_MS);
  document.addEventListener("visibilitychange", askIfShown);
}

/**
 * Return the server's time, and whether it has another forecast than this page. A static export has no API of its own:
 * its document is asked for instead.
 *
 * @param {Site} site
 * @param {ForecastDocument | null} held
 * @returns {Promise<{ date: string | null, newer: boolean }>} without a date if there is no answer
 */
async function newestRelease(site, held) {
  const own = site.api === site.root;
  try {
    const { value, headers } = await getAnswer(own ? `${site.root}version` : `${site.root}page/${site.slug}.json`, { cache: "no-cache" });
    const newer = own ? Date.parse(value.trained_at) !== Date.parse(site.trainedAt) : held !== null && value.anchor.at !== held.anchor.at;
    return { date: headers.get("Date"), newer };
  } catch (error) {
    if (error instanceof RequestFailed) {
      return { date: null, newer: false }; // the next question may be answered
    }
    throw error;
  }
}

/**
 * Show a banner unless there is one of its kind, for example from the server.
 *
 * @param {HTMLElement} banners
 * @param {"stale" | "newer"} kind
 * @param {...(string | Node)} content
 */
function show(banners, kind, ...content) {
  if (banners.querySelector(`[data-kind="${kind}"]`)) {
    return;
  }
  banners.append(element("p", { class: `banner ${kind}`, role: "alert", "data-kind": kind }, ...content));
}

/** Return a button that reloads the page. */
function reloadButton() {
  const button = element("button", { type: "button" }, "Reload the page");
  button.addEventListener("click", () => location.reload());
  return button;
}

/**
 * Write beside each instant how far away it is.
 *
 * @param {HTMLElement} facts
 * @param {number} due the instant of the next training; NaN if none is planned
 * @param {number} now
 */
function renewAges(facts, due, now) {
  for (const time of facts.querySelectorAll("time")) {
    const instant = time.dateTime.includes("T") ? Date.parse(time.dateTime) : NaN;
    if (!Number.isNaN(instant)) {
      const text = instant === due ? dueText(due, now) : distanceText(instant, now);
      const beside = time.nextElementSibling ?? time.parentElement?.appendChild(element("span", { class: "note" }));
      if (beside && beside.textContent !== ` ${text}`) {
        beside.textContent = ` ${text}`;
      }
    }
  }
}

/**
 * Add a line that says whether the forecast is fresh, with a link to what the API says where there is one.
 *
 * @param {HTMLElement} facts
 * @param {Site} site
 */
function addFreshness(facts, { api }) {
  const text = element("span");
  const link = api === null ? [] : [" ", element("a", { class: "note", href: `${api}fresh` }, "/fresh")];
  facts.append(element("div", {}, element("dt", {}, "Fresh"), element("dd", {}, text, ...link)));
  return text;
}

/**
 * The entry of the page: mounts each section when it comes near the window, the forecast at once. The script of a section
 * has the name of its element's id.
 */

import sections from "sections";
import { announce } from "./announce.js";
import { parseState } from "./address.js";
import { element } from "./elements.js";
import { getAnswer, getJson, RequestFailed } from "./requests.js";
import { presentInstant, readSite } from "./site.js";
import { withPrices } from "./steps.js";

/** @typedef {import("./types.d.ts").Context} Context */

const NEAR = "600px";
const PATIENCE_MS = 500;

document.documentElement.classList.add("scripted");
const site = readSite(document.body);
const context = createContext();

for (const problem of parseState(location.search).problems) {
  announce(problem);
}
const observer = new IntersectionObserver(mountNear, { rootMargin: NEAR });
const forecast = document.getElementById("forecast");
if (forecast) {
  void mount(forecast);
}
// The other sections wait for the first chart, unless its document takes long.
await Promise.race([context.now.catch(() => null), new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
setTimeout(observeOthers);

function observeOthers() {
  for (const id of Object.keys(sections)) {
    const root = document.getElementById(id);
    if (root && root !== forecast) {
      observer.observe(root);
    }
  }
}

/**
 * Return what the sections get. A document is asked for when the first section needs it.
 *
 * @returns {Context}
 */
function createContext() {
  /** @type {Promise<{ value: import("./types.d.ts").ForecastDocument, headers: Headers }> | undefined} */
  let answer;
  /** @type {Context["record"] | undefined} */
  let record;
  const getForecast = () => {
    answer ??= getAnswer(`${site.root}page/${site.slug}.json`)
      .then(({ value, headers }) => ({ value: withPrices(value), headers }))
      .catch((error) => {
        answer = undefined; // so that it can be asked for again
        throw error;
      });
    return answer;
  };
  return {
    site,
    get forecast() {
      return getForecast().then(({ value }) => value);
    },
    get record() {
      record ??= getJson(`${site.root}page/${site.slug}/record.json`).catch((error) => {
        record = undefined;
        throw error;
      });
      return record;
    },
    get now() {
      return getForecast().then(({ value, headers }) => presentInstant(Date.now(), headers.get("Date"), value.anchor.at));
    },
  };
}

/** @param {IntersectionObserverEntry[]} entries */
function mountNear(entries) {
  for (const { isIntersecting, target } of entries) {
    if (isIntersecting) {
      observer.unobserve(target);
      void mount(/** @type {HTMLElement} */ (target));
    }
  }
}

/**
 * Mount a section. One that fails says so in itself; the others go on.
 *
 * @param {HTMLElement} root
 */
async function mount(root) {
  try {
    await sections[root.id]?.(root, context);
  } catch (error) {
    console.error(error);
    const notice = element("p", { class: "error" }, `This part cannot be shown: ${error instanceof Error ? error.message : error}. `);
    if (error instanceof RequestFailed) {
      const again = element("button", { type: "button" }, "Try again");
      again.addEventListener("click", () => {
        notice.remove();
        void mount(root);
      });
      notice.append(again);
    }
    (root.querySelector("figure.waiting") ?? root).append(notice);
  }
}

/** The entry of the page: mounts each section. */

import { announce } from "./announce.js";
import { parseState } from "./address.js";
import { getJson } from "./requests.js";
import { readSite } from "./site.js";

/** @typedef {import("./types.d.ts").Context} Context */
/** @typedef {(root: HTMLElement, context: Context) => void | Promise<void>} Mount */

/**
 * The sections by the id of their element. Each one is mounted when it comes near the window, the first one at once.
 *
 * @type {Record<string, Mount>}
 */
const SECTIONS = {};

const NEAR = "600px";

document.documentElement.classList.add("scripted");
const site = readSite(document.body);
const context = createContext();

for (const problem of parseState(location.search).problems) {
  announce(problem);
}
const observer = new IntersectionObserver(mountNear, { rootMargin: NEAR });
for (const id of Object.keys(SECTIONS)) {
  const root = document.getElementById(id);
  if (root) {
    observer.observe(root);
  }
}

/**
 * Return what the sections get. A document is asked for when the first section needs it.
 *
 * @returns {Context}
 */
function createContext() {
  /** @type {Context["forecast"] | undefined} */
  let forecast;
  /** @type {Context["record"] | undefined} */
  let record;
  return {
    site,
    get forecast() {
      return (forecast ??= getJson(`${site.root}page/${site.slug}.json`));
    },
    get record() {
      return (record ??= getJson(`${site.root}page/${site.slug}/record.json`));
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
    await SECTIONS[root.id]?.(root, context);
  } catch (error) {
    const notice = document.createElement("p");
    notice.className = "problem";
    notice.textContent = `This part cannot be shown: ${error instanceof Error ? error.message : error}.`;
    root.append(notice);
    console.error(error);
  }
}

/** Texts for a screen reader. */

const WAIT_MS = 300;
const SHOWN_MS = 10_000;

/**
 * Return a function that says texts through a live region. Of texts in quick succession only the last one is said, so
 * that a key that is held down does not queue up hundreds of them.
 *
 * @param {HTMLElement} region an element with aria-live or the role status
 * @returns {(text: string) => void}
 */
export function createAnnouncer(region) {
  /** @type {number | undefined} */
  let last;
  return (text) => {
    clearTimeout(last);
    last = window.setTimeout(() => {
      region.textContent = text;
    }, WAIT_MS);
  };
}

/** @type {Set<string>} */
const waiting = new Set();
/** @type {number | undefined} */
let timer;

/**
 * Say a text through the live region of the page, `#status`, which also shows it for a while. Texts in quick succession
 * are said together.
 *
 * @param {string} text
 */
export function announce(text) {
  const region = document.getElementById("status");
  if (!region) {
    return;
  }
  waiting.add(text);
  clearTimeout(timer);
  timer = window.setTimeout(() => {
    region.textContent = [...waiting].join(" ");
    waiting.clear();
    timer = window.setTimeout(() => region.replaceChildren(), SHOWN_MS);
  }, WAIT_MS);
}

/** Texts for a screen reader. */

const WAIT_MS = 300;

/**
 * Return a function that says texts through a live region. Of texts in quick succession only the last one is said, so
 * that a key that is held down does not queue up hundreds of them.
 *
 * @param {HTMLElement} region an element with aria-live or the role status
 * @returns {(text: string) => void}
 */
export function createAnnouncer(region) {
  /** @type {number | undefined} */
  let timer;
  return (text) => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      region.textContent = text;
    }, WAIT_MS);
  };
}

/** @type {((text: string) => void) | undefined} */
let announcer;

/**
 * Say a text through the live region of the page, `#status`.
 *
 * @param {string} text
 */
export function announce(text) {
  const region = document.getElementById("status");
  if (region) {
    announcer ??= createAnnouncer(region);
    announcer(text);
  }
}

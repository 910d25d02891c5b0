/** The form that adds a pair to what is collected. */

import { element } from "../elements.js";
import { sourceName } from "../format.js";
import { getJson, RequestFailed } from "../requests.js";

const TIMEOUT_MS = 45_000; // the server asks up to three exchanges
const HEADER_TEXT = /^[\x21-\x7e\xa0-\xff]+$/; // what a header can carry

/**
 * Fill an element with the form. The token is sent once and kept nowhere.
 *
 * @param {HTMLElement} root
 * @param {string} api the prefix of the API
 * @param {() => void} added is called when a pair has been added
 */
export function createAddPair(root, api, added) {
  const pair = element("input", { id: "add-pair-name", required: true, maxlength: 31, placeholder: "SOL/USD", autocomplete: "off", autocapitalize: "characters", spellcheck: "false" });
  const token = element("input", { id: "add-pair-token", type: "password", required: true, autocomplete: "off" });
  const button = element("button", { class: "primary" }, "Add");
  const answer = element("p", { id: "add-pair-answer", role: "status" });
  const form = element(
    "form",
    { class: "fields", autocomplete: "off" },
    element("label", { class: "field" }, "Pair", pair),
    element("label", { class: "field" }, "Token of the administrator", token),
    button,
  );
  // Without a name a field is never part of an address, even if this script fails.
  root.replaceChildren(element("h3", {}, "Add a pair"), form, answer);

  /**
   * @param {string} text
   * @param {boolean} isProblem
   */
  function say(text, isProblem) {
    answer.textContent = text;
    answer.classList.toggle("problem", isProblem);
  }

  async function add() {
    if (button.disabled) {
      return;
    }
    if (!HEADER_TEXT.test(token.value)) {
      say("The token has a character that cannot be sent, such as a space: copy it again.", true);
      return;
    }
    button.disabled = true;
    say("Asking the exchanges …", false);
    try {
      const series = await getJson(`${api}pairs`, {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${token.value}` },
        body: JSON.stringify({ pair: pair.value.trim() }),
        timeout: TIMEOUT_MS,
        cache: "no-store",
      });
      say(`${series.pair} from ${sourceName(series.source, series.pair)} is collected. Its first prices appear here within two minutes.`, false);
      form.reset();
      added();
    } catch (error) {
      say(problemText(error), true);
    } finally {
      button.disabled = false;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void add();
  });
}

/** @param {unknown} error */
function problemText(error) {
  if (!(error instanceof RequestFailed)) {
    return "The answer of the server is not as expected.";
  }
  const detail = `${error.detail}.`.replace(/^./, (first) => first.toUpperCase());
  return error.status === 403
    ? `${detail} To switch this on, start the server with a token that you choose: ADMIN_TOKEN=… python api.py --collect (or with --database, and collect.py beside it).`
    : detail;
}

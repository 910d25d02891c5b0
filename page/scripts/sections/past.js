/** Forecasts of the past under what followed: a dozen monthly fans, and any day again. */

import { readState, writeState } from "../address.js";
import { select } from "../controls.js";
import { element } from "../elements.js";
import { createFans } from "../past/fans.js";
import { withOutcomes } from "../past/hindcasts.js";
import { createReplay } from "../past/replay.js";
import { getJson } from "../requests.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").HindcastDocument} HindcastDocument */

/**
 * Draw what the default model, or the one in the address, forecast in the past; others when they are chosen.
 *
 * @param {HTMLElement} root
 * @param {Context} context
 */
export async function mount(root, context) {
  const figure = /** @type {HTMLElement | null} */ (root.querySelector("#past-fans"));
  if (!figure) {
    return; // the page says why
  }
  const { site } = context;
  const forecast = await context.forecast;
  const { hindcasts, served } = forecast;
  const usual = hindcasts.includes(served) ? served : hindcasts[0] ?? served;
  const { past: name = usual } = readState();
  const isThere = hindcasts.includes(name);
  const words = /** @type {HTMLElement} */ (root.querySelector("#past-words"));
  const load = (/** @type {string} */ model) => /** @type {Promise<HindcastDocument>} */ (getJson(`${site.root}page/${site.slug}/hindcasts/${model}.json`));

  const sent = await load(isThere ? name : usual);
  const fans = createFans(figure, forecast, sent.coverage);
  const replay = createReplay(root, forecast);
  const problem = element("p", { class: "note", role: "status" });
  let chosen = sent.model;
  if (hindcasts.length > 1) {
    const texts = Object.fromEntries(hindcasts.map((each) => [each, each]));
    root.querySelector("#past-controls")?.append(select("Forecasts of", texts, chosen, (value) => void choose(value)), problem);
  }
  words.setAttribute("aria-live", "polite");
  show(sent);
  if (!isThere) {
    problem.textContent = `There are no past forecasts of a model ${name}; there are those of ${hindcasts.join(", ")}.`;
  }

  /** @param {HindcastDocument} model */
  function show(model) {
    const { issues, fans: monthly } = withOutcomes(model, forecast);
    fans.setModel(model.model, monthly);
    replay.setModel(model.model, issues);
    words.textContent = model.words || `No forecast of ${model.model} is a month old.`;
    problem.textContent = "";
  }

  /** @param {string} model */
  async function choose(model) {
    chosen = model;
    writeState({ past: model === usual ? undefined : model });
    try {
      const answer = await load(model);
      if (chosen === model) {
        show(answer);
      }
    } catch (error) {
      problem.textContent = `The forecasts of ${model} cannot be shown: ${error instanceof Error ? error.message : error}.`;
    }
  }
}

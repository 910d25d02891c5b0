/** Another model beside the forecast: its line and its 80 % range, loaded when it is chosen. */

import { readState, writeState } from "../address.js";
import { select } from "../controls.js";
import { element } from "../elements.js";
import { DAY_SECONDS } from "../format.js";
import { getJson } from "../requests.js";
import { pricesOf } from "../steps.js";
import { daily } from "./fan.js";

/** @typedef {import("../types.d.ts").Context} Context */
/** @typedef {import("../types.d.ts").ModelDocument} ModelDocument */
/** @typedef {import("../sections/forecast.js").View} View */

/**
 * A model that is drawn.
 *
 * @typedef {object} OtherModel
 * @property {string} words how good it has been
 * @property {(visible: boolean) => void} show
 */

const NONE = "none";

/**
 * Add the choice of a model, whose record is in words below the chart.
 *
 * @param {HTMLElement} root
 * @param {View} view
 * @param {Context} context
 */
export async function addModels(root, view, { site, forecast }) {
  const { models, decimals } = await forecast;
  if (models.length === 0) {
    return;
  }
  const words = element("p", { class: "note", id: "model-words", role: "status" });
  root.querySelector("#forecast-chart")?.append(words);
  /** @type {Map<string, OtherModel>} */
  const drawn = new Map();
  let chosen = NONE;

  /** @param {string} name */
  async function choose(name) {
    chosen = name;
    if (name === NONE) {
      view.showModel(null);
      words.textContent = "";
      return;
    }
    try {
      const model = drawn.get(name) ?? draw(view, await getJson(`${site.root}page/${site.slug}/models/${name}.json`), decimals);
      drawn.set(name, model);
      if (chosen === name) {
        view.showModel(model);
        words.textContent = model.words;
      }
    } catch (error) {
      words.textContent = `The forecast of ${name} cannot be shown: ${error instanceof Error ? error.message : error}.`;
    }
  }
  const { model: name = NONE } = readState();
  const isThere = name === NONE || models.includes(name);
  const control = select("Beside it", { [NONE]: "no other model", ...Object.fromEntries(models.map((each) => [each, each])) }, isThere ? name : NONE, (value) => {
    writeState({ model: value === NONE ? undefined : value });
    void choose(value);
  });
  view.chart.tools.append(control);
  if (isThere) {
    await choose(name);
  } else {
    words.textContent = `There is no model ${name} of this pair; there are ${models.join(", ")}.`;
  }
}

/**
 * Draw a model, hidden at first.
 *
 * @param {View} view
 * @param {ModelDocument} model
 * @param {number} decimals
 * @returns {OtherModel}
 */
function draw({ chart, last }, { model, words, prediction, low, high }, decimals) {
  const unit = 10 ** decimals;
  const line = chart.addLine({ name: model, color: "model", dashed: true });
  line.set(daily(last + DAY_SECONDS, pricesOf(prediction, unit)));
  const series = [line];
  if (low && high) {
    const ends = [pricesOf(low, unit), pricesOf(high, unit)];
    const band = chart.addBand({ name: model, levels: [{ text: `${model}: 80\u202f%`, color: "band-model" }] });
    band.set(prediction.map((_, index) => ({ time: last + (index + 1) * DAY_SECONDS, areas: [[ends[0]?.[index] ?? NaN, ends[1]?.[index] ?? NaN]] })));
    series.push(/** @type {any} */ (band));
  }
  const show = (/** @type {boolean} */ visible) => series.forEach((each) => each.show(visible));
  show(false);
  return { words, show };
}

/** Buttons of charts. */

import { element } from "./elements.js";

/**
 * Return a group of buttons of which one is pressed.
 *
 * @param {string} label of the group
 * @param {Record<string, string>} texts of the buttons, by value
 * @param {string | undefined} chosen value at first
 * @param {Record<string, string>} names of buttons whose text is not a name, by value
 * @param {(value: string) => void} choose is called with the value of the button that was pressed
 * @param {boolean} isCaptioned whether the label is also shown
 */
export function choices(label, texts, chosen, names, choose, isCaptioned = true) {
  const buttons = Object.entries(texts).map(([value, text]) => {
    const pressed = String(value === chosen);
    const button = element("button", { type: "button", value, "aria-pressed": pressed, "aria-label": names[value] ?? false }, text);
    button.addEventListener("click", () => {
      for (const other of buttons) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      choose(value);
    });
    return button;
  });
  // The caption is the label of the group, so it is not read twice.
  const caption = isCaptioned ? [element("span", { class: "caption", "aria-hidden": "true" }, label)] : [];
  return element("div", { class: "choices", role: "group", "aria-label": label }, ...caption, ...buttons);
}

/**
 * Return a labelled choice from a list.
 *
 * @param {string} label
 * @param {Record<string, string>} texts by value
 * @param {string} chosen value at first
 * @param {(value: string) => void} choose is called with the value that was chosen
 */
export function select(label, texts, chosen, choose) {
  const list = element("select", {}, ...Object.entries(texts).map(([value, text]) => new Option(text, value, false, value === chosen)));
  list.addEventListener("change", () => choose(list.value));
  return element("label", { class: "choice" }, label, list);
}

/**
 * Return a button.
 *
 * @param {string} text
 * @param {() => void} press
 */
export function action(text, press) {
  const button = element("button", { type: "button" }, text);
  button.addEventListener("click", press);
  return button;
}

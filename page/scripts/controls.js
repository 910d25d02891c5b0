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
 * Return a button that is pressed or not.
 *
 * @param {string} text
 * @param {boolean} pressed at first
 * @param {(pressed: boolean) => void} change
 */
export function toggle(text, pressed, change) {
  const button = element("button", { type: "button", "aria-pressed": String(pressed) }, text);
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    change(now);
  });
  return button;
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

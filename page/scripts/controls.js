/** Buttons of charts. */

/**
 * Return a group of buttons of which one is pressed.
 *
 * @param {string} label of the group
 * @param {Record<string, string>} texts of the buttons, by value
 * @param {string | undefined} chosen value at first
 * @param {Record<string, string>} names of buttons whose text is not a name, by value
 * @param {(value: string) => void} choose is called when another value has been chosen
 */
export function choices(label, texts, chosen, names, choose) {
  const group = document.createElement("div");
  group.className = "choices";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", label);
  const buttons = Object.entries(texts).map(([value, text]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.value = value;
    button.textContent = text;
    button.setAttribute("aria-pressed", String(value === chosen));
    if (names[value]) {
      button.setAttribute("aria-label", names[value]);
    }
    button.addEventListener("click", () => {
      for (const other of buttons) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      choose(value);
    });
    return button;
  });
  const caption = document.createElement("span");
  caption.className = "caption";
  caption.setAttribute("aria-hidden", "true"); // it is the label of the group
  caption.textContent = label;
  group.append(caption, ...buttons);
  return group;
}

/**
 * Return a button that is pressed or not.
 *
 * @param {string} text
 * @param {boolean} pressed at first
 * @param {(pressed: boolean) => void} change
 */
export function toggle(text, pressed, change) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.setAttribute("aria-pressed", String(pressed));
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    change(now);
  });
  return button;
}

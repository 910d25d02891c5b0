/** Elements of the page. Texts go in as text: nothing here reads HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Record<string, string | number | boolean>} Attributes true: without a value; false: left out */

/**
 * Return an element.
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/**
 * Return the caption of a table. The whole of it can be read where the table is wider than its place.
 *
 * @param {string} text
 */
export function captionOf(text) {
  return element("caption", {}, element("span", {}, text));
}

/**
 * Return an element of SVG.
 *
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} attributes
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[Name]}
 */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/**
 * @template {Element} Kind
 * @param {Kind} parent
 * @param {Attributes} attributes
 * @param {(Node | string)[]} children
 */
function filled(parent, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) {
      parent.setAttribute(name, value === true ? "" : String(value));
    }
  }
  parent.append(...children);
  return parent;
}

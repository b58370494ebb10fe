// Elements made of code: names and log lines come from devices, so text is only ever set as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** An HTML element. Functions among the attributes listen to the event of that name; strings among the children are
 * text. */
export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element, likewise. */
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Sets the text of an element where it is another one: what did not change is neither laid out nor read aloud again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an attribute where it is another one; null removes it. */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A link within the page. */
export const link = (href, text, attributes) => h("a", { href, ...attributes }, text);

/** A button. */
export const button = (text, click, attributes) => h("button", { type: "button", click, ...attributes }, text);

/** A field with its label, which stay together where lines are short. */
export const labelled = (text, field) => h("span", { class: "field" }, h("label", { for: field.id }, text), field);

/** A field for what a list is filtered by. */
export const filterField = (value, input) =>
  h("input", { type: "search", id: "filter", value: value ?? "", placeholder: "XX.*", input });

/** A choice between values, as a row of buttons of which one is pressed. */
export function choice(label, values, chosen, choose) {
  const buttons = values.map(([value, text]) =>
    button(text, () => choose(value), { "aria-pressed": String(value === chosen) }),
  );
  const group = h("div", { class: "choice", role: "group", "aria-label": label }, buttons);
  group.choose = (wanted) =>
    values.forEach(([value], k) => setAttribute(buttons[k], "aria-pressed", String(value === wanted)));
  return group;
}

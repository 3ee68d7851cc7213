// Elements of the page, made in one expression.

/** Make an element; texts among its children stay text, whatever they contain. */
export function element(name, attributes = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "boolean") {
      made.toggleAttribute(key, value);
    } else if (value !== undefined) {
      made.setAttribute(key, value);
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The element of an id, which the page has. */
export function byId(id) {
  return document.getElementById(id);
}

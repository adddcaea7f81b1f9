// Functions that make and change elements.

export const $ = (id) => document.getElementById(id);

// el makes an element. Strings among the children become text nodes, so the browser
// never reads data from the server as HTML.
export function el(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// svg makes an element of a drawing.
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// button makes a button. label is for screen readers, and for a tooltip, if the text alone
// does not say what the button does.
export function button(text, onclick, label = "") {
  const made = el("button", { type: "button", onclick }, text);
  if (label) Object.assign(made, { ariaLabel: label, title: label });
  return made;
}

// arrange makes elements the children of a parent, in their order. It moves only what is not
// in its place, and the focus stays where it is.
export function arrange(parent, elements) {
  const focus = document.activeElement;
  let next = parent.firstChild;
  for (const element of elements) {
    if (element === next) next = next.nextSibling;
    else parent.insertBefore(element, next);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
  if (focus !== document.activeElement && focus?.isConnected) focus.focus({ preventScroll: true });
}

// painter returns a function that has paint called before the browser draws the next
// time, once for any number of calls. pause returns the least time between two calls of
// paint, in ms: each takes long for a large drawing.
export function painter(paint, pause = () => 0) {
  let asked = false;
  let last = -Infinity;
  const now = () => {
    asked = false;
    last = performance.now();
    paint();
  };
  return () => {
    if (asked) return;
    asked = true;
    const wait = last + pause() - performance.now();
    if (wait > 0) setTimeout(() => requestAnimationFrame(now), wait);
    else requestAnimationFrame(now);
  };
}

// say tells a text to users of screen readers.
export const say = (text) => ($("said").textContent = text);

// Functions that the other files share.

export const $ = (id) => document.getElementById(id);

// el makes an element. Strings among the children become text nodes, so the browser
// never reads data from the server as HTML.
export function el(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// parse reads JSON. Whole numbers that are too large for JavaScript, such as seeds,
// keep their digits if the browser supports JSON.rawJSON.
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source && JSON.rawJSON
      ? JSON.rawJSON(context.source)
      : value);
}

// ask sends a request and returns the parsed body of the answer. If the status is an
// error, it throws a Refusal.
export async function ask(path, body) {
  const answer = await fetch(path, body === undefined ? {} : { method: "POST", body });
  const text = await answer.text();
  if (!answer.ok) throw new Refusal(answer.status, text);
  return text === "" ? null : parse(text);
}

// Refusal is an answer with an error status. It contains the text of the server and,
// if a workflow is not valid, the problems of each node.
export class Refusal extends Error {
  constructor(status, text) {
    let said = null;
    try {
      said = JSON.parse(text);
    } catch {
      // a proxy between the server and the browser sent the answer, not in JSON
    }
    const error = said?.error;
    super(error?.message ?? error ?? `the answer has status ${status}`);
    this.details = error?.details ?? "";
    this.nodes = said?.node_errors ?? {};
  }
}

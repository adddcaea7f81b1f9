// What the other files share.

export const $ = (id) => document.getElementById(id);

// el makes an element. Text among the children stays text: nothing that comes
// from the server is ever read as HTML.
export function el(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// parse reads JSON. Whole numbers too large for JavaScript, such as seeds, stay
// what they are where the browser can tell.
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source && JSON.rawJSON
      ? JSON.rawJSON(context.source)
      : value);
}

// ask makes a request and returns what the answer holds. If it is an error, that
// is thrown.
export async function ask(path, body) {
  const answer = await fetch(path, body === undefined ? {} : { method: "POST", body });
  const text = await answer.text();
  if (!answer.ok) throw new Refusal(answer.status, text);
  return text === "" ? null : parse(text);
}

// Refusal is an answer that is an error: in the words of the server, and by node
// if there is something wrong with a workflow.
export class Refusal extends Error {
  constructor(status, text) {
    let said = null;
    try {
      said = JSON.parse(text);
    } catch {
      // the words of something between the server and here
    }
    const error = said?.error;
    super(error?.message ?? error ?? `the answer has status ${status}`);
    this.details = error?.details ?? "";
    this.nodes = said?.node_errors ?? {};
  }
}

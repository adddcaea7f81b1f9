// Requests to the server.

// parse reads JSON. Whole numbers that are too large for JavaScript, such as seeds,
// keep their digits if the browser supports JSON.rawJSON.
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source && JSON.rawJSON
      ? JSON.rawJSON(context.source)
      : value);
}

// ask sends a request and returns the parsed body of the answer. A body that is not a text
// is sent as JSON. If the status is an error, ask throws a Refusal.
export async function ask(path, body) {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const answer = await fetch(path, text === undefined ? {} : { method: "POST", body: text });
  const said = await answer.text();
  if (!answer.ok) throw new Refusal(answer.status, said);
  return said === "" ? null : parse(said);
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
    this.status = status;
    this.details = error?.details ?? "";
    this.nodes = said?.node_errors ?? {};
  }
}

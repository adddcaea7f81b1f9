// A client of js/nodebus.js for the suite conform.Client. The first argument is JSON:
// the options of the client. Lines go to the standard output, each with one JSON object:
// {"event": …}, {"watched": id, "error": text}, and {"refused": text}. A line of the
// standard input is the id of a prompt to watch. The client is closed at the end of the
// input.
import { createInterface } from "node:readline";
import { Client } from "../../js/nodebus.js";

console.warn = () => {}; // the client warns of each broken frame

const client = new Client(JSON.parse(process.argv[2]));

let said = Promise.resolve(); // lines stay in order, although a Blob is read later
const say = (line) => (said = said.then(async () => process.stdout.write(`${JSON.stringify(await line)}\n`)));

const base64 = async (blob) => Buffer.from(await blob.arrayBuffer()).toString("base64");

// toEvent makes a line of a message. Blobs and bytes have no JSON form.
async function toEvent({ type, data, cursor, prompt_id, attempt, time }) {
  const event = { type, cursor, prompt_id, attempt, time, data };
  if (data instanceof Blob) Object.assign(event, { data: {}, image: await base64(data) });
  else if (data instanceof Uint8Array) event.data = { base64: Buffer.from(data).toString("base64") };
  else if (data?.blob instanceof Blob) {
    const { blob, ...rest } = data;
    Object.assign(event, { data: rest, image: await base64(blob) });
  }
  return { event };
}

client.addEventListener("message", ({ detail }) => say(toEvent(detail)));
client.addEventListener("refused", ({ detail }) => say({ refused: detail.message }));

const input = createInterface({ input: process.stdin });
input.on("line", (id) => client.watch(id).then(
  () => say({ watched: id }),
  (error) => say({ watched: id, error: error.message || "refused" }),
));
input.on("close", () => client.close());

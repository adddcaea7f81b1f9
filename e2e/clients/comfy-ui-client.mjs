// The npm package comfy-ui-client: it connects, queues a prompt, waits for the
// closing `executing`, and reads the record and the pictures over HTTP. What it
// does not tell itself is read from its socket.
//
//	node comfy-ui-client.mjs 127.0.0.1:8188
import { randomUUID } from "node:crypto";
import { ComfyUIClient } from "comfy-ui-client";
import { digest, graphs, report, Tally } from "./report.mjs";

const client = new ComfyUIClient(process.argv[2], randomUUID());
await client.connect();

let said = []; // of the socket, in order
let previews = [];
let waiting = () => {};
client.ws.on("message", (data, isBinary) => {
  if (isBinary) previews.push(`${data.readUInt32BE(0)} ${data.readUInt32BE(4)}`);
  else said.push(JSON.parse(data.toString()));
  waiting();
});

// until waits for a message that is as the caller wants it.
const until = (wanted) =>
  new Promise((resolve) => {
    waiting = () => {
      const found = said.find((m) => wanted(m.type, m.data));
      if (found) resolve(found.data);
    };
    waiting();
  });

// follow runs a graph as the package means it to be, and tells what it saw.
async function follow(name, meanwhile = async () => {}) {
  said = [];
  previews = [];
  const [images] = await Promise.all([client.getImages(graphs[name]), meanwhile()]);
  const start = said.find((m) => m.type === "execution_start").data;
  const tally = new Tally();
  for (const m of said) tally.take(m.type, m.data, start.prompt_id);
  return { images, tally, promptId: start.prompt_id };
}

async function picture(scenario) {
  const { images, tally } = await follow("picture");
  const [saved] = images["4"];
  report(scenario, { ...tally.run, previews, file: saved.image, sha256: await digest(saved.blob) });
}

await picture("picture");
await picture("cached");

{
  const { images, tally, promptId } = await follow("failing");
  const record = (await client.getHistory(promptId))[promptId];
  const { node_id, node_type, exception_message } = tally.cause;
  report("failing", { ...tally.run, images, node_id, node_type, exception_message, status: record.status.status_str });
}
{
  const refused = await client.queuePrompt(graphs.invalid).catch((err) => JSON.parse(err.message));
  report("invalid", { type: refused.error.type, nodes: refused.node_errors });
}
{
  // The answer to an interrupt has no body, which this package wants to parse.
  const { images, tally } = await follow("endless", async () => {
    await until((type, data) => type === "executing" && data.node === "2");
    const err = await client.interrupt().catch((err) => err);
    if (!(err instanceof SyntaxError)) throw err;
  });
  report("endless", { ...tally.run, images, node_id: tally.cause.node_id });
}
{
  const { tally } = await follow("telling");
  report("telling", { ...tally.run, notes: said.filter((m) => m.type === "e2e.note").map((m) => m.data) });
}
await client.disconnect();

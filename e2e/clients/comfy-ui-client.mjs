// The npm package comfy-ui-client: it connects, queues a prompt, waits for the
// closing `executing`, and reads the record and the pictures over HTTP. What it
// does not tell itself is read from its socket.
//
//	node comfy-ui-client.mjs 127.0.0.1:8188
import { randomUUID } from "node:crypto";
import { ComfyUIClient } from "comfy-ui-client";
import { again, digest, goOn, graphs, queueOther, report, Said } from "./report.mjs";

const address = process.argv[2];
const client = new ComfyUIClient(address, randomUUID());
await client.connect();

const said = new Said();
client.ws.on("message", (data, isBinary) => {
  if (isBinary) return said.add("preview", `${data.readUInt32BE(0)} ${data.readUInt32BE(4)}`);
  const message = JSON.parse(data.toString());
  said.add(message.type, message.data);
});

// follow runs a graph as the package means it to be, and tells what it saw. The
// package listens when it has queued the prompt. If there is something to do
// meanwhile, the prompt begins only then.
async function follow(name, meanwhile) {
  said.clear();
  let done;
  if (meanwhile) {
    await queueOther(address);
    const listening = new Promise((resolve) => client.ws.once("newListener", resolve));
    done = listening.then(() => goOn(address)).then(meanwhile);
  }
  const [images] = await Promise.all([client.getImages(graphs[name]), done]);
  const id = said.of("execution_start")[0].prompt_id;
  return { id, images, tally: said.tally(id) };
}

async function picture(scenario, meanwhile) {
  const { images, tally } = await follow("picture", meanwhile);
  const [saved] = images["3"];
  report(scenario, { ...tally, previews: said.of("preview"), file: saved.image, sha256: await digest(saved.blob) });
}

await picture("picture", () => said.develop(address, 4));
for (let n = 0; n < again; n++) await follow("picture");
await picture("cached");

{
  const { id, images, tally } = await follow("failing", () => goOn(address));
  const record = (await client.getHistory(id))[id];
  const { node_id, node_type, exception_message } = said.of("execution_error")[0];
  report("failing", { ...tally, images, node_id, node_type, exception_message, status: record.status.status_str });
}
{
  const refused = await client.queuePrompt(graphs.invalid).catch((err) => JSON.parse(err.message));
  report("invalid", { type: refused.error.type, nodes: refused.node_errors });
}
{
  // The answer to an interrupt has no body, which this package wants to parse.
  const { images, tally } = await follow("endless", async () => {
    await said.executing("2");
    const err = await client.interrupt().catch((err) => err);
    if (!(err instanceof SyntaxError)) throw err;
  });
  report("endless", { ...tally, images, node_id: said.of("execution_interrupted")[0].node_id });
}
{
  const { tally } = await follow("telling", () => goOn(address));
  report("telling", { ...tally, notes: said.of("e2e.note") });
}
{
  // The answer to an edit of the history has no body either.
  const edit = async (change) => {
    const err = await client.editHistory(change).catch((err) => err);
    if (!(err instanceof SyntaxError)) throw err;
  };
  const blob = await client.getImage("picture_00001_.png", "", "output");
  const bytes = Buffer.from(await blob.arrayBuffer());
  const image = await client.uploadImage(bytes, "up é.png", true);
  const copy = await digest(await client.getImage(image.name, image.subfolder, image.type));
  const history = Object.keys(await client.getHistory());
  await edit({ delete: [history[0]] });
  const left = Object.keys(await client.getHistory()).length;
  await edit({ clear: true });
  report("calls", {
    files: [image, copy === (await digest(blob))],
    lists: [await client.getEmbeddings(), Array.isArray(await client.getExtensions())],
    stats: Object.keys(await client.getSystemStats()),
    waiting: await client.getPrompt(),
    queue: await client.getQueue(),
    class: (await client.getObjectInfo("Fractal")).Fractal.display_name,
    classes: "SaveImage" in (await client.getObjectInfo()),
    removed: history.length - left,
    history: await client.getHistory(),
  });
}
await client.disconnect();

// The npm package @stable-canvas/comfyui-client: it builds graphs, queues them, and listens to
// the socket for their progress, previews and results.
//
//	node stable-canvas.mjs 127.0.0.1:8188
import { Client, Workflow } from "@stable-canvas/comfyui-client";
import { WebSocket } from "ws";
import { again, digest, goOn, graphs, queueOther, report, Said } from "./report.mjs";

const address = process.argv[2];
const client = new Client({ api_host: address, WebSocket });
const said = new Said();
client.on("message", ({ data }) => {
  if (typeof data === "string") return said.add(JSON.parse(data).type, JSON.parse(data).data);
  const frame = new DataView(data);
  said.add("preview", `${frame.getUint32(0)} ${frame.getUint32(4)}`);
});
await client.connect();

// build makes the graph with the package, which gives the same ids.
function build(name) {
  const workflow = new Workflow();
  for (const { class_type, inputs } of Object.values(graphs[name])) workflow.node(class_type, inputs);
  return workflow;
}

// follow runs a graph as the package means it to be, and tells what it saw. The package listens
// when it has queued the prompt. If there is something to do meanwhile, the prompt begins only
// then.
async function follow(name, meanwhile) {
  said.clear();
  const progress = [];
  const invoked = build(name).instance(client, { progress: (p) => progress.push(`${p.node} ${p.value}/${p.max}`) });
  if (meanwhile) await queueOther(address);
  await invoked.enqueue();
  const done = invoked.wait().catch((failure) => ({ failure }));
  if (meanwhile) {
    await goOn(address);
    await meanwhile(invoked);
  }
  const { images, failure } = await done;
  await said.executing(null);
  return { id: invoked.task_id, images, failure, tally: said.tally(invoked.task_id), progress };
}

async function picture(scenario, meanwhile) {
  const { images, tally, progress } = await follow("picture", meanwhile);
  const files = images.filter((image) => image.type === "url").map((image) => image.data);
  const sha256 = await digest(await (await fetch(files[0])).blob());
  const shown = images.filter((image) => image.type === "buff").map((image) => image.mime);
  report(scenario, { ...tally, wrapper: { progress, shown, files: files.length }, previews: said.of("preview"), sha256 });
}

await picture("picture", () => said.develop(address, 4));
{
  // Half a second after the end, the package looks whether all is done. The next one need not wait for that.
  said.clear();
  const results = [];
  for (let n = 1; n <= again; n++) {
    results.push(build("picture").invoke(client));
    await said.until("executing", (data) => data.node === null, n);
  }
  await Promise.all(results);
}
await picture("cached");

{
  const { tally, failure } = await follow("failing", () => goOn(address));
  const { node_id, node_type, exception_message } = failure.payload;
  report("failing", { ...tally, failure: failure.message, node_id, node_type, exception_message });
}
{
  const { json, status } = await build("invalid").invoke(client).catch((err) => err);
  report("invalid", { status, type: json.error.type, nodes: json.node_errors });
}
{
  const { tally, failure } = await follow("endless", async (invoked) => {
    await said.executing("2");
    await invoked.interrupt();
  });
  report("endless", { ...tally, failure: failure.message });
}
{
  const { tally } = await follow("telling", () => goOn(address));
  report("telling", { ...tally, notes: said.of("e2e.note") });
}
{
  // Without the socket: the package asks for the queue and the history.
  const { images, prompt_id } = await build("picture").invoke_polling(client, { polling_ms: 20 });
  const { History } = await client.getHistory();
  report("polling", { images: images.length, known: History.some((item) => item.prompt[1] === prompt_id) });
}
{
  await client.storeSettings({ "e2e.a": 1, "e2e.b": [2] });
  await client.storeSetting("e2e.a", "one");
  await client.storeUserData("workflows/é.json", { nodes: [] }, { stringify: true });
  await client.free({ unload_models: true, free_memory: true });
  const { History } = await client.getHistory(1, { offset: 1 });
  const calls = {
    stats: Object.keys(await client.getSystemStats()),
    class: (await client.getNodeDefs()).Fractal.display_name,
    lists: [await client.getEmbeddings(), await client.getModelFolders(), await client.getSamplers()],
    extensions: Array.isArray(await client.getExtensions()),
    queue: await client.getQueue(),
    history: History.length,
    settings: [await client.getSetting("e2e.a"), (await client.getSettings())["e2e.b"]],
    userdata: await (await client.getUserData("workflows/é.json")).json(),
    users: await client.getUserConfig(),
    metadata: await client.viewMetadata("loras", "none.safetensors").catch((err) => err.status ?? err.message),
  };
  await client.clearItems("queue");
  await client.clearItems("history");
  report("calls", { ...calls, cleared: await client.getHistory() });
}
client.close();
process.exit(0); // the package would connect again

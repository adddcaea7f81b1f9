// The npm package @saintno/comfyui-sdk: a wrapper around each call reports
// previews, progress, outputs and failures, and the client dispatches every
// message of the socket as an event.
//
//	node saintno.mjs 127.0.0.1:8188
import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";
import { again, digest, goOn, graphs, queueOther, report, Said } from "./report.mjs";

const address = process.argv[2];
const api = new ComfyApi(`http://${address}`, undefined, { wsTimeout: 120_000 });
const connected = new Promise((resolve) => api.on("connected", resolve));
await Promise.all([api.init().waitForReady(), connected]);

const said = new Said();
api.on("all", (ev) => said.add(ev.detail.type, ev.detail.data));
api.on("b_preview", (ev) => said.add("preview", ev.detail.type));

// The wrapper begins to listen when it knows the prompt's id, last for "status",
// and to more when it has heard of a node, last for "execution_interrupted". What
// is said before that it never learns.
const on = api.on.bind(api);
api.on = (type, ...rest) => {
  const off = on(type, ...rest);
  said.add("listening", type);
  return off;
};
const listening = (type) => said.until("listening", (heard) => heard === type);

// Each time the number of prompts is told, it asks whether its own is still
// there. A question that is open when that ends can be taken for a loss.
let asked = Promise.resolve();
const getQueue = api.getQueue.bind(api);
api.getQueue = () => {
  const answer = getQueue();
  asked = Promise.all([asked, answer]);
  return answer;
};

// follows waits until the wrapper has heard of a node and listens to the rest.
async function follows() {
  await listening("execution_interrupted");
  await asked;
}

// call runs a graph through the wrapper and tells what it saw. If there is
// something to do meanwhile, the prompt begins only when the wrapper listens.
async function call(name, outputs, meanwhile) {
  said.clear();
  if (meanwhile) await queueOther(address);
  const seen = { progress: [], previews: [] };
  let builder = new PromptBuilder(graphs[name], [], Object.keys(outputs));
  for (const [key, node] of Object.entries(outputs)) builder = builder.setOutputNode(key, node);
  let id;
  const wrapper = new CallWrapper(api, builder)
    .onPending((promptId) => (id = promptId))
    .onProgress((p) => seen.progress.push(`${p.node} ${p.value}/${p.max}`))
    .onPreview((blob) => seen.previews.push(blob.type))
    .onFailed((err) => (seen.failure = err));
  const done = meanwhile && listening("status").then(() => goOn(address)).then(meanwhile);
  const [result] = await Promise.all([wrapper.run(), done]);
  await said.executing(null);
  return { result, seen, tally: said.tally(id) };
}

async function picture(scenario, meanwhile) {
  const { result, seen, tally } = await call("picture", { saved: "3" }, meanwhile);
  const [file] = result.saved.images;
  const sha256 = await digest(await api.getImage(file));
  report(scenario, { ...tally, wrapper: seen, file, sha256 });
}

await picture("picture", async () => {
  await follows();
  await said.develop(address, 4);
});
for (let n = 0; n < again; n++) await call("picture", { saved: "3" });
await picture("cached");

{
  const { result, seen, tally } = await call("failing", { text: "3" }, () => follows().then(() => goOn(address)));
  const { node_id, node_type, exception_message } = seen.failure.cause;
  report("failing", { ...tally, result, failure: seen.failure.message, node_id, node_type, exception_message });
}
{
  let failure;
  const wrapper = new CallWrapper(api, new PromptBuilder(graphs.invalid, [], []));
  const result = await wrapper.onFailed((err) => (failure = err)).run();
  report("invalid", { result, failure: failure.message });
}
{
  const refused = await api.appendPrompt(graphs.invalid).catch((res) => res.json());
  report("refused", { type: refused.error.type, nodes: refused.node_errors });
}
{
  const { result, seen, tally } = await call("endless", { text: "3" }, async () => {
    await follows();
    await said.executing("2");
    await api.interrupt();
  });
  report("endless", { ...tally, result, failure: seen.failure.message, node_id: seen.failure.cause.node_id });
}
{
  const notes = [];
  api.on("e2e.note", (ev) => notes.push(ev.detail));
  const { result, tally } = await call("telling", { text: "3" }, () => follows().then(() => goOn(address)));
  report("telling", { ...tally, result, notes });
}
{
  const picture = await api.getImage({ filename: "picture_00001_.png", subfolder: "", type: "output" });
  const image = (await api.uploadImage(picture, "up é.png", { subfolder: "deep", override: true })).info;
  const mask = (await api.uploadMask(picture, image)).info;
  const copy = await digest(await api.getImage(image));
  await api.storeSettings({ "e2e.a": 1, "e2e.b": [2] });
  await api.storeSetting("e2e.a", "one");
  await api.storeUserData("notes/é.json", { a: 1 });
  await api.moveUserData("notes/é.json", "notes/b.json");
  const files = await api.listUserData("notes", true);
  const userdata = await (await api.getUserData("notes/b.json")).json();
  await api.deleteUserData("notes/b.json");
  const history = Object.keys(await api.getHistories());
  report("calls", {
    files: [image, mask, copy === (await digest(picture))],
    lists: [await api.getEmbeddings(), await api.getModelFolders(), await api.getModelTypes(), await api.getWorkflowTemplates()],
    extensions: Array.isArray(await api.getExtensions()),
    stats: Object.keys(await api.getSystemStats()),
    logs: (await api.getTerminalLogs()).entries.map((entry) => entry.m),
    features: (await api.getFeatures()).supports_preview_metadata,
    classes: [(await api.getNodeDefs("Fractal")).Fractal.display_name, "SaveImage" in (await api.getNodeDefs())],
    settings: [await api.getSetting("e2e.a"), (await api.getSettings())["e2e.b"]],
    users: await api.getUserConfig(),
    userdata: [files, userdata, await api.listUserData("notes", true)],
    freed: await api.freeMemory(true, true),
    waiting: await api.pollStatus(),
    queue: await api.getQueue(),
    history: [history.length > 0, (await api.getHistory(history[0])).status.completed],
    ping: (await api.ping()).status,
  });
  await api.clearHistory({ clear: true });
  await api.manageQueue({ clear: true });
  report("cleared", { history: await api.getHistories() });
}
api.destroy();
process.exit(0); // the package keeps timers

// The npm package @saintno/comfyui-sdk: a wrapper around each call reports
// previews, progress, outputs and failures, and the client dispatches every
// message of the socket as an event.
//
//	node saintno.mjs 127.0.0.1:8188
import { CallWrapper, ComfyApi, PromptBuilder } from "@saintno/comfyui-sdk";
import { digest, graphs, report, Tally } from "./report.mjs";

const api = new ComfyApi(`http://${process.argv[2]}`);
const connected = new Promise((resolve) => api.on("connected", resolve));
await Promise.all([api.init().waitForReady(), connected]);

let said = []; // of the socket, in order
api.on("all", (ev) => said.push(ev.detail));

// closed waits for the last message of a prompt.
const closed = (id) =>
  new Promise((resolve) => {
    const over = (m) => m.type === "executing" && m.data.node === null && m.data.prompt_id === id;
    if (said.some(over)) return resolve();
    api.on("all", (ev) => over(ev.detail) && resolve());
  });

// call runs a graph through the wrapper and tells what it saw. The wrapper
// listens late, so that what it tells of a quick prompt is the end of it.
async function call(name, outputs = {}) {
  said = [];
  const seen = { progress: [], previews: [] };
  let builder = new PromptBuilder(graphs[name], [], Object.keys(outputs));
  for (const [key, node] of Object.entries(outputs)) builder = builder.setOutputNode(key, node);
  let id = "";
  const result = await new CallWrapper(api, builder)
    .onPending((promptId) => (id = promptId))
    .onProgress((p) => seen.progress.push(`${p.node} ${p.value}/${p.max}`))
    .onPreview((blob) => seen.previews.push(blob.type))
    .onFailed((err) => (seen.failure = err))
    .run();
  if (id) await closed(id);
  const tally = new Tally();
  for (const m of said) tally.take(m.type, m.data, id);
  return { result, seen, tally };
}

async function picture(scenario) {
  const { result, seen, tally } = await call("picture", { saved: "4" });
  const [file] = result.saved.images;
  const sha256 = await digest(await api.getImage(file));
  report(scenario, { ...tally.run, wrapper: seen, file, sha256 });
}

await picture("picture");
await picture("cached");

{
  const { result, seen, tally } = await call("failing", { text: "3" });
  const { node_id, node_type, exception_message } = seen.failure.cause;
  report("failing", { ...tally.run, result, failure: seen.failure.message, node_id, node_type, exception_message });
}
{
  const { result, seen } = await call("invalid", { text: "2" });
  report("invalid", { result, failure: seen.failure.message });
}
{
  const refused = await api.appendPrompt(graphs.invalid).catch((res) => res.json());
  report("refused", { type: refused.error.type, nodes: refused.node_errors });
}
{
  // The wrapper must listen by then, which it does a moment after the start.
  const stop = api.on("executing", (ev) => {
    if (ev.detail.node !== "2") return;
    stop();
    setTimeout(() => api.interrupt(), 300);
  });
  const { result, seen, tally } = await call("endless", { text: "3" });
  report("endless", { ...tally.run, result, failure: seen.failure.message, node_id: seen.failure.cause.node_id });
}
{
  const notes = [];
  api.on("e2e.note", (ev) => notes.push(ev.detail));
  const { result, tally } = await call("telling", { text: "3" });
  report("telling", { ...tally.run, result, notes });
}
api.destroy();
process.exit(0); // the package keeps timers

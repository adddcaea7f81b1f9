// What a program in TypeScript writes. tsc checks it; nothing runs it.

import { Client, fold, RefusedError, type Following, type Message, type Question, type Run } from "nodebus";

declare module "nodebus" {
  interface Events {
    "example.brush": { node: string; radius: number };
  }
}

interface Palette {
  colour: string;
}

const client = new Client({ url: new URL("http://127.0.0.1:8188/"), transport: "sse", headers: { Authorization: "Bearer x" } });

client.addEventListener("executed", ({ detail, message }) => {
  const files: { filename: string }[] = detail.output?.images ?? [];
  const place: string | undefined = message?.cursor;
  console.log(detail.display_node.length, files, place);
});
client.addEventListener("executing", ({ detail }) => {
  if (detail.node === null) console.log(detail.prompt_id);
  else console.log(detail.node.length, detail.display_node.length);
});
client.addEventListener("progress_state", ({ detail }) => Object.values(detail.nodes).map((node) => node.value / node.max));
client.addEventListener("b_preview_with_metadata", ({ detail }) => URL.createObjectURL(detail.blob));
client.addEventListener("nodebus.waiting", ({ detail }) => client.answer(detail, true));
client.addEventListener("gap", ({ detail }) => console.log(detail.since + detail.next), { once: true });
client.addEventListener("reconnecting", ({ detail }) => console.log(detail satisfies null));
client.addEventListener("message", ({ detail }) => console.log(detail.type, detail.data));
client.addEventListener("refused", ({ detail }) => console.log(detail.status));

client.addEventListener("example.brush", ({ detail }) => detail.radius.toFixed());
client.addEventListener<Palette>("example.palette", ({ detail }) => detail.colour.trim());
client.addEventListener("example.other", ({ detail }) => detail.whatever);
const listener = { handleEvent: (event: CustomEvent<{ node: string }>) => console.log(event.detail.node) };
client.addEventListener("example.brush", listener);
client.removeEventListener("example.brush", listener);

// @ts-expect-error: status has no node
client.addEventListener("status", ({ detail }) => detail.node);
// @ts-expect-error: radius is a number
client.addEventListener("example.brush", ({ detail }) => detail.radius.trim());
// @ts-expect-error: there is no such transport
new Client({ transport: "carrier pigeon" });
// @ts-expect-error: the server says it
client.clientId = "me";
// @ts-expect-error: a graph has classes
client.submit({ 1: { inputs: {} } });

export async function program(): Promise<Run | undefined> {
  await client.ready;
  try {
    const id: string = await client.submit({ 1: { class_type: "A", inputs: { x: ["2", 0] }, _meta: { title: "a" } } }, { front: true, outputs: ["1"] });
    const following: Following = client.follow(id, (run: Run, message: Message | null) => console.log(run.state, message?.type));
    const [question]: Question[] = following.run.waiting;
    if (question) await client.refuse(question, "no");
    const run = await client.wait(id, { signal: AbortSignal.timeout(1000) });
    for (const place of run.order) console.log(run.nodes[place]?.output?.text, run.nodes[place]?.error?.exception_message);
    following.stop();
    await client.watch(id);
    await client.unwatch(id);
    await client.interrupt(id);
    const { exec_info } = await client.request<{ exec_info: { queue_remaining: number } }>("prompt");
    await client.request("queue", { method: "POST", body: { delete: [id] } });
    console.log(exec_info.queue_remaining);
    return fold(null, { type: "execution_start", data: { prompt_id: id } });
  } catch (error) {
    if (error instanceof RefusedError) console.log(error.status, error.details, error.nodeErrors["1"]?.errors[0]?.message);
  } finally {
    client.close();
  }
  return undefined;
}

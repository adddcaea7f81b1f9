import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { Client, RefusedError } from "../nodebus.js";
import { allowAll, finished, kinds, ofRun, start, summary, test } from "./helpers.mjs";
import { messages, once, Server, WebSocket } from "./server.mjs";

test("a prompt that is not confirmed has an id to try again with", async (t) => {
  const { server, client } = await start(t, kinds.ws);
  server.routes["POST /prompt"] = () => [503, { error: { type: "not_accepted", message: "not confirmed" }, node_errors: {}, prompt_id: "made" }];
  const refused = await client.submit({}).catch((error) => error);
  assert.deepEqual([refused.status, refused.body.prompt_id], [503, "made"]);
  server.routes["POST /prompt"] = ({ body }) => [200, { prompt_id: body.prompt_id }];
  assert.equal(await client.submit({}, { promptId: refused.body.prompt_id }), "made");
});

for (const [kind, options] of Object.entries(kinds)) {
  test(`${kind}: a prompt of its own`, async (t) => {
    const { server, client, peer } = await start(t, options);
    let early = true; // some messages come before the answer to the submission
    server.routes["POST /prompt"] = async ({ body }) => {
      const id = body.prompt_id ?? `id of ${body.client_id}`;
      if (early) {
        const seen = once(client, "executed");
        for (const message of ofRun(id, 1).slice(0, 5)) peer.send(message);
        await seen;
      }
      return [200, { prompt_id: id, number: 1, node_errors: {} }];
    };
    const graph = { 1: { class_type: "A", inputs: {} } };
    const id = await client.submit(graph, { number: 5, front: true, extraData: { a: 1 }, outputs: ["1"] });
    assert.equal(id, "id of me");
    assert.deepEqual(server.requests.at(-1).body, {
      prompt: graph, client_id: "me", number: 5, front: true, extra_data: { a: 1 }, partial_execution_targets: ["1"],
    });
    for (const message of ofRun(id, 1).slice(5)) peer.send(message);
    assert.deepEqual(summary(await client.wait(id)), finished);
    assert.deepEqual(summary(await client.wait(id)), finished, "again, after the end");

    early = false;
    const other = await client.submit(graph, { promptId: "mine" });
    const calls = [];
    const following = client.follow(other, (run, message) => calls.push([run.state, message?.type]));
    await Promise.resolve();
    assert.deepEqual(calls, [["", undefined]]);
    for (const message of ofRun(other, 11)) peer.send(message);
    assert.deepEqual(summary(await following.done), finished);
    assert.equal(following.run.prompt_id, "mine");
    assert.deepEqual(calls.map(([, type]) => type), [undefined, ...ofRun("", 0).map(({ type }) => type)]);
    assert.deepEqual(server.requests.length, 2, "the messages say everything");
    assert.equal(peer.received.length, 0);
  });

  test(`${kind}: a refused prompt`, async (t) => {
    const { server, client } = await start(t, options);
    const errors = { 1: { class_type: "A", dependent_outputs: ["1"], errors: [] } };
    server.routes["POST /prompt"] = () => [400, { error: { type: "a", message: "It does not fit", details: "a lot", extra_info: {} }, node_errors: errors }];
    await assert.rejects(client.submit({}), (error) => {
      assert.ok(error instanceof RefusedError && error instanceof Error);
      assert.deepEqual([error.name, error.status, error.message, error.details, error.nodeErrors], ["RefusedError", 400, "It does not fit", "a lot", errors]);
      return true;
    });
    server.routes["POST /prompt"] = () => [409, { error: "taken", details: "by another prompt" }];
    await assert.rejects(client.submit({}), { status: 409, message: "taken", details: "by another prompt", nodeErrors: {} });
    for (const [body, message] of [[{ error: "taken" }, "taken"], ["a text", "a text"], [" a text\r\n", "a text"], [{ error: "taken\n" }, "taken"], ["\n", "status 409"], ["", "status 409"], [[], "status 409"], ["null", "status 409"]]) {
      server.routes["POST /prompt"] = () => [409, body];
      await assert.rejects(client.submit({}), { status: 409, message, details: "" });
    }
  });

  test(`${kind}: the requests`, async (t) => {
    const { server, client } = await start(t, { ...options, headers: { "X-Token": "t" } });
    for (const route of ["POST /interrupt", "POST /nodebus/answer", "GET /queue", "POST /queue", "POST /upload"]) server.routes[route] = () => [200, ""];
    const question = { prompt_id: "p", node_id: "1", name: "q", schema: {}, real_node_id: "1" };
    await client.interrupt("p");
    await client.answer(question, null);
    await client.refuse(question);
    await client.refuse(question, "no");
    const of = question;
    assert.deepEqual(
      server.requests.map(({ body }) => body),
      [{ prompt_id: "p" }, { ...of, value: null }, { ...of, refuse: "" }, { ...of, refuse: "no" }],
    );
    assert.equal(await client.request("queue?a=1", { headers: { "X-Other": "o" } }), "");
    const { headers, query } = server.requests.at(-1);
    assert.deepEqual([headers["x-token"], headers["x-other"], query.get("a")], ["t", "o", "1"]);
    server.routes["POST /queue"] = ({ body }) => [200, { got: body }];
    assert.deepEqual(await client.request("queue", { method: "POST", body: { clear: true } }), { got: { clear: true } });
    assert.equal(server.requests.at(-1).headers["content-type"], "application/json");
    await client.request("upload", { method: "POST", body: new Blob(["7"]) });
    assert.equal(server.requests.at(-1).body, 7);
    const life = new AbortController();
    server.routes["GET /queue"] = () => (life.abort(new Error("enough")), new Promise(() => {}));
    await assert.rejects(client.request("queue", { signal: life.signal }), /enough/);
  });

  test(`${kind}: a run that is known to the server only`, async (t) => {
    const { server, client, peer } = await start(t, options);
    const run = { prompt_id: "a/b", state: "success", nodes: {}, order: [], waiting: [], closed: true, cursor: "end-1" };
    server.routes["GET /nodebus/runs/a%2Fb"] = ({ query }) => (assert.equal(query.get("clientId"), "me"), [200, run]);
    const none = [404, { error: "no run with this id is known" }];
    server.routes["GET /nodebus/runs/none"] = () => none;
    allowAll(server, client, peer);
    assert.equal((await client.wait("a/b")).state, "success");
    await assert.rejects(client.wait("none"), { status: 404, message: "no run with this id is known" });
  });

  test(`${kind}: waiting can be given up`, async (t) => {
    const { server, client } = await start(t, options);
    server.routes["POST /prompt"] = () => [200, { prompt_id: "p" }];
    await client.submit({});
    const life = new AbortController();
    const runs = [client.wait("p", { signal: life.signal }), client.follow("p").done];
    const stopped = client.follow("p");
    stopped.stop();
    await assert.rejects(stopped.done, { name: "AbortError" });
    life.abort(new Error("enough"));
    await assert.rejects(runs[0], /enough/);
    await assert.rejects(client.wait("p", { signal: life.signal }), /enough/);
    client.close();
    await assert.rejects(runs[1], /the client is closed/);
  });
}

test("runs that have ended make no room for runs that wait", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  server.routes["POST /prompt"] = ({ body }) => [200, body];
  const ids = Array.from({ length: 100 }, (_, i) => `w${i}`);
  await Promise.all(ids.map((promptId) => client.submit({}, { promptId })));
  let n = 0;
  for (let i = 0; i < 50; i++) for (const message of ofRun(`p${i}`, 0)) peer.send({ ...message, cursor: `life-${++n}` });
  const runs = Promise.all(ids.map((id) => client.wait(id)));
  for (const id of ids) for (const message of ofRun(id, 0)) peer.send({ ...message, cursor: `life-${++n}` });
  for (const run of await runs) assert.deepEqual(summary(run), finished);
  assert.equal(peer.received.length, 0, "the messages say everything");
  assert.equal(server.requests.length, 100);
});

test("only so many runs are remembered", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  server.routes["POST /prompt"] = () => [200, { prompt_id: "first" }];
  await client.submit({});
  const followed = client.wait("first");
  let n = 0;
  for (let i = 0; i < 300; i++) {
    for (const message of ofRun(`p${i}`, ++n)) peer.send({ ...message, cursor: `life-${++n}` });
  }
  for (const message of ofRun("first", 0)) peer.send({ ...message, cursor: `life-${++n}` });
  assert.deepEqual(summary(await followed), finished);
  assert.deepEqual(summary(await client.wait("p299")), finished);
  assert.equal(peer.received.length, 0);
  client.wait("p260").catch(() => {}); // it is asked for
  assert.deepEqual(await peer.received.next(), { type: "nodebus.watch", data: { prompt_id: "p260" } });
});

for (const [kind, script] of Object.entries({
  closed: "await client.ready; client.follow('p'); client.watch('q').catch(() => {}); client.close();",
  "never connected": "client.close();",
  "while it is away": "await client.ready; client.addEventListener('reconnecting', () => client.close()); process.send('away');",
})) {
  for (const transport of ["ws", "sse"]) {
    test(`${transport}: a process ends when its client is closed: ${kind}`, async (t) => {
      const server = await Server.start(t);
      const modules = ["../nodebus.js", "./server.mjs"].map((name) => JSON.stringify(new URL(name, import.meta.url).href));
      const text = `
        const [{ Client }, { WebSocket }] = await Promise.all([import(${modules[0]}), import(${modules[1]})]);
        const client = new Client({ url: ${JSON.stringify(server.url)}, WebSocket, transport: "${transport}", retry: 60_000 });
        ${script}
        process.channel?.unref();`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", text], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
      t.after(() => child.kill());
      const ended = new Promise((resolve) => child.on("exit", resolve));
      if (kind !== "never connected") {
        const peer = (await server.accept()).greet("life-0");
        if (kind === "while it is away") child.on("message", () => peer.cut());
      }
      assert.equal(await ended, 0);
    });
  }
}

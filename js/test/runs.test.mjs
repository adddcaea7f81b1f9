import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { Client, RefusedError } from "../nodebus.js";
import { messages, once, Server, WebSocket } from "./server.mjs";

const kinds = { ws: { WebSocket, transport: "ws" }, sse: { transport: "sse" } };

/** Returns a server, a client that is connected to it, and the server's side of the connection. */
async function start(t, options, cursor = "life-0") {
  const server = await Server.start(t);
  const client = new Client({ url: server.url, clientId: "me", retry: 2, ...options });
  t.after(() => client.close());
  const peer = (await server.accept()).greet(cursor);
  await client.ready;
  if (peer.kind === "ws") await peer.received.next(); // feature_flags
  return { server, client, peer };
}

/** The messages of a run, numbered from a place on. Without a life they have no cursor. */
function ofRun(id, from, life = "life") {
  const data = [
    ["execution_start", { timestamp: 5 }],
    ["execution_cached", { nodes: [] }],
    ["executing", { node: "1", display_node: "1" }],
    ["example.brush", { node: "1" }],
    ["executed", { node: "1", display_node: "1", output: { text: ["ok"] } }],
    ["execution_success", { timestamp: 9 }],
    ["executing", { node: null }],
  ];
  return data.map(([type, rest], i) => ({
    type,
    data: { ...rest, prompt_id: id },
    prompt_id: id,
    time: 1,
    ...(life && { cursor: `${life}-${from + i}` }),
  }));
}

const summary = (run) => [run.state, run.nodes[1]?.state, run.nodes[1]?.output?.text?.[0], Boolean(run.closed), Boolean(run.incomplete)];
const finished = ["success", "finished", "ok", true, false];

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
    for (const [body, message] of [[{ error: "taken" }, "taken"], ["a text", "a text"], ["", "status 409"], [[], "status 409"], ["null", "status 409"]]) {
      server.routes["POST /prompt"] = () => [409, body];
      await assert.rejects(client.submit({}), { status: 409, message });
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

/** Allows each request to watch: on a WebSocket with messages, for a stream with new connections. */
async function allowAll(server, client, peer) {
  while (peer.kind === "sse") (await server.accept()).greet(client.cursor);
  for (;;) {
    const { type, data } = await peer.received.next();
    peer.send({ type: "nodebus.watching", data: { ...data, watching: type === "nodebus.watch" } });
  }
}

/** Waits until a condition holds. */
async function until(condition) {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test("a run of another client: its past is for followers only", async (t) => {
  const { client, peer } = await start(t, kinds.ws);
  const all = messages(client);
  const calls = [];
  const following = client.follow("p", (run, message) => calls.push(message?.type));
  const second = client.wait("p");
  assert.deepEqual(await peer.received.next(), { type: "nodebus.watch", data: { prompt_id: "p" } });
  const past = ofRun("p", 0, null).slice(0, 4);
  const later = ofRun("p", 5).slice(4);
  for (const message of past) peer.send(message);
  peer.send({ type: "nodebus.watching", data: { prompt_id: "p", watching: true } });
  for (const message of later) peer.send(message);
  assert.deepEqual(summary(await following.done), finished);
  assert.deepEqual(summary(await second), finished);
  assert.deepEqual(calls, [undefined, ...later.map(({ type }) => type)]);
  for (const message of later) assert.deepEqual(await all.next(), message);
  assert.deepEqual(await peer.received.next(), { type: "nodebus.unwatch", data: { prompt_id: "p" } });
  peer.send({ type: "nodebus.watching", data: { prompt_id: "p", watching: false } });
  peer.send({ type: "x", data: 0 });
  assert.equal((await all.next()).type, "x");
  assert.deepEqual(summary(await client.wait("p")), finished, "it is remembered");
});

test("a break while the past comes", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  const done = client.wait("p");
  await peer.received.next();
  for (const message of ofRun("p", 0, null).slice(0, 3)) peer.send(message);
  peer.cut();
  const again = (await server.accept()).greet("life-0");
  assert.deepEqual(again.query.getAll("watch"), []);
  assert.equal((await again.received.next()).type, "feature_flags");
  assert.deepEqual(await again.received.next(), { type: "nodebus.watch", data: { prompt_id: "p" } });
  for (const message of ofRun("p", 0, null)) again.send(message);
  again.send({ type: "nodebus.watching", data: { prompt_id: "p", watching: true } });
  assert.deepEqual(summary(await done), finished);
});

test("a run that may not be watched", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  const refuse = async (id) => {
    assert.equal((await peer.received.next()).type, "nodebus.watch");
    peer.send({ type: "nodebus.watching", data: { prompt_id: id, watching: false, error: "not allowed" } });
  };
  const done = client.wait("p");
  await refuse("p");
  await assert.rejects(done, { name: "RefusedError", status: 403, message: "not allowed" });

  // A prompt of the client's own, in a program that was started anew: its messages come.
  server.routes["GET /nodebus/runs/own"] = () => [200, { prompt_id: "own", state: "running", nodes: {}, order: [], waiting: [], cursor: "life-4" }];
  const own = client.follow("own");
  await refuse("own");
  for (const message of ofRun("own", 1).slice(2)) peer.send(message); // some of them are in the state already
  assert.equal((await own.done).state, "success");
  assert.equal(own.run.nodes[1].output.text[0], "ok");
});

test("the state of a run, and the messages that are later", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  const text = (offset, piece, cursor) => ({ type: "nodebus.text", data: { node_id: "1", name: "", offset, piece, prompt_id: "p" }, prompt_id: "p", cursor, time: 1 });
  const all = messages(client);
  server.routes["GET /nodebus/runs/p"] = async () => {
    peer.send(text(0, "one ", "life-1"));
    peer.send(text(4, "two ", "life-2"));
    peer.send(text(8, "three", "life-3"));
    for (let i = 0; i < 4; i++) await all.next();
    const node = { node_id: "1", display_node_id: "1", parent_node_id: null, real_node_id: "1", state: "running", value: 0, max: 1, texts: { "": "one two " } };
    return [200, { prompt_id: "p", state: "running", attempt: 1, nodes: { 1: node }, order: ["1"], waiting: [], cursor: "life-2" }];
  };
  const following = client.follow("p");
  await peer.received.next();
  peer.send({ type: "nodebus.watching", data: { prompt_id: "p", watching: true, incomplete: true } });
  peer.send({ type: "x", data: 0 });
  await until(() => following.run.nodes[1]);
  assert.equal(following.run.nodes[1].texts[""], "one two three");
  assert.equal(Boolean(following.run.incomplete), false);
});

test("after a gap, the state is fetched again", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  server.routes["POST /prompt"] = () => [200, { prompt_id: "p" }];
  await client.submit({});
  const following = client.follow("p");
  for (const message of ofRun("p", 1).slice(0, 3)) peer.send(message);
  await once(client, "executing");
  const state = { prompt_id: "p", state: "success", attempt: 1, nodes: {}, order: [], waiting: [], closed: true, cursor: "life-20" };
  server.routes["GET /nodebus/runs/p"] = () => [200, state];
  peer.send({ type: "nodebus.gap", data: { since: 3, next: 20 }, cursor: "life-3" });
  assert.deepEqual(JSON.parse(JSON.stringify(await following.done)), state);
});

test("a gap while the state is fetched", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  server.routes["POST /prompt"] = () => [200, { prompt_id: "p" }];
  await client.submit({});
  let asked = 0;
  server.routes["GET /nodebus/runs/p"] = async () => {
    if (++asked === 1) {
      const gap = once(client, "gap");
      peer.send({ type: "nodebus.gap", data: { since: 5, next: 7 }, cursor: "life-5" });
      await gap;
    }
    return [200, { prompt_id: "p", state: "success", nodes: {}, order: [], waiting: [], closed: asked > 1, cursor: `life-${asked}` }];
  };
  const done = client.wait("p");
  peer.send({ type: "nodebus.gap", data: { since: 1, next: 5 }, cursor: "life-1" });
  assert.equal((await done).closed, true);
  assert.equal(asked, 2);
});

test("a prompt that is deleted from the queue", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  server.routes["POST /prompt"] = () => [200, { prompt_id: "p" }];
  await client.submit({});
  let n = 0;
  const status = (queue_remaining) => peer.send({ type: "status", data: { status: { exec_info: { queue_remaining } } }, cursor: `life-${++n}`, time: 1 });
  server.routes["GET /nodebus/runs/p"] = () => [200, { prompt_id: "p", state: "", nodes: {}, order: [], waiting: [] }];
  const calls = [];
  const following = client.follow("p", () => calls.push(1));
  status(2);
  status(1);
  await until(() => server.requests.length === 2);
  await client.request("nodebus/runs/p"); // the answer before has come, too
  server.routes["GET /nodebus/runs/p"] = () => [404, { error: "no run with this id is known" }];
  status(2);
  status(0);
  await assert.rejects(following.done, { status: 404 });
  assert.equal(calls.length, 1, "nothing has changed");
});

test("a server that has trouble is asked again", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  let n = 0;
  server.routes["GET /nodebus/runs/p"] = () => (++n < 3 ? [503, "not now"] : [200, { prompt_id: "p", state: "error", nodes: {}, order: [], waiting: [], closed: true, cursor: "x-1" }]);
  const done = client.wait("p");
  await peer.received.next();
  peer.send({ type: "nodebus.watching", data: { prompt_id: "p", watching: true } });
  assert.equal((await done).state, "error");
  assert.equal(n, 3);
});

test("an error of onchange harms nothing", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  server.routes["POST /prompt"] = () => [200, { prompt_id: "p" }];
  await client.submit({});
  const reported = [];
  const report = (error) => reported.push(error.message);
  const before = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection").on("unhandledRejection", report);
  t.after(() => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of before) process.on("unhandledRejection", listener);
  });
  client.follow("p", (run, message) => {
    if (message?.type === "executing") throw new Error("mine");
  });
  const done = client.wait("p");
  for (const message of ofRun("p", 1)) peer.send(message);
  assert.deepEqual(summary(await done), finished);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(reported, ["mine", "mine"]);
});

test("watching", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  const all = messages(client);
  const watched = client.watch("p");
  assert.deepEqual(await peer.received.next(), { type: "nodebus.watch", data: { prompt_id: "p" } });
  const [past] = ofRun("p", 0, null);
  peer.send(past);
  assert.deepEqual(await all.next(), past);
  peer.send({ type: "nodebus.watching", data: { prompt_id: "p", watching: true } });
  await watched;
  assert.equal((await all.next()).type, "nodebus.watching");
  const refused = client.watch("q");
  await peer.received.next();
  peer.send({ type: "nodebus.watching", data: { prompt_id: "q", watching: false, error: "not for you" } });
  await assert.rejects(refused, { status: 403, message: "not for you" });
  peer.cut();
  const again = (await server.accept()).greet("life-0");
  assert.deepEqual(again.query.getAll("watch"), ["p"]);
  assert.equal((await again.received.next()).type, "feature_flags");
  const left = client.unwatch("p");
  assert.deepEqual(await again.received.next(), { type: "nodebus.unwatch", data: { prompt_id: "p" } });
  again.send({ type: "nodebus.watching", data: { prompt_id: "p", watching: false } });
  await left;
  again.cut();
  assert.deepEqual((await server.accept()).query.getAll("watch"), []);
});

test("a stream watches with a new connection", async (t) => {
  const { server, client, peer } = await start(t, kinds.sse);
  client.addEventListener("reconnecting", () => assert.fail("nothing is lost"));
  peer.send({ type: "x", data: 0, cursor: "life-4", time: 1 });
  await once(client, "x");
  const both = Promise.all([client.watch("a"), client.watch("b")]);
  let next = await server.accept();
  assert.deepEqual([next.query.getAll("watch"), next.query.get("since")], [["a", "b"], "life-4"]);
  next.greet("life-4");
  await both;
  const left = client.unwatch("a");
  next = await server.accept();
  assert.deepEqual(next.query.getAll("watch"), ["b"]);
  next.greet("life-4");
  await left;

  const node = { node_id: "1", display_node_id: "1", parent_node_id: null, real_node_id: "1", state: "running", value: 0, max: 1 };
  server.routes["GET /nodebus/runs/c"] = () => {
    for (const message of ofRun("c", 5).slice(2)) next.send(message);
    return [200, { prompt_id: "c", state: "running", attempt: 1, nodes: { 1: node }, order: ["1"], waiting: [], cursor: "life-7" }];
  };
  const done = client.wait("c");
  next = await server.accept();
  assert.deepEqual(next.query.getAll("watch"), ["b", "c"]);
  next.greet("life-4");
  assert.deepEqual(summary(await done), finished);
});

test("no more prompts than a server accepts are watched", async (t) => {
  const { client, peer } = await start(t, { ...kinds.ws, watch: Array.from({ length: 255 }, (_, i) => `p${i}`) });
  const last = client.watch("last");
  await peer.received.next();
  await assert.rejects(client.watch("too many"), /more than 256 watched prompts/);
  peer.send({ type: "nodebus.watching", data: { prompt_id: "last", watching: true } });
  await last;
  await assert.rejects(client.watch("too many"), /more than 256 watched prompts/);
});

test("plain ComfyUI", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws, "");
  await assert.rejects(client.watch("p"), { name: "RefusedError", status: 501 });
  assert.equal(client.cursor, "");
  server.routes["POST /prompt"] = () => [200, { prompt_id: "p", number: 0, node_errors: {} }];
  server.routes["GET /queue"] = () => [200, { queue_running: [[0, "p", {}, {}, []]], queue_pending: [[1, "waits", {}, {}, []]] }];
  const history = {};
  for (const id of ["p", "waits", "none", "old"]) server.routes[`GET /history/${id}`] = () => [200, id in history ? { [id]: history[id] } : {}];
  const plain = (id) => ofRun(id, 0, null).map(({ type, data }) => ({ type, data }));

  await client.submit({});
  const first = client.wait("p");
  peer.send({ type: "executing", data: { node: "1" } }); // without a prompt
  for (const message of plain("p")) peer.send(message);
  assert.deepEqual(summary(await first), finished);

  await assert.rejects(client.wait("none"), { status: 404, message: "no prompt none is known" });
  history.old = { outputs: { 1: { text: ["ok"] } }, status: null, meta: { 1: { node_id: "1", display_node: "9", parent_node: null, real_node_id: "1" } } };
  const old = await client.wait("old");
  assert.deepEqual([old.state, old.closed, old.nodes[1].output, old.nodes[1].display_node_id], ["success", true, { text: ["ok"] }, "9"]);
  history.old.status = {
    status_str: "error",
    completed: false,
    messages: [
      ["execution_start", { timestamp: 1, attempt: 2 }],
      ["execution_cached", { nodes: ["1"] }],
      ["execution_error", { node_id: "2", node_type: "B", exception_type: "E", exception_message: "m", traceback: [], timestamp: 2 }],
    ],
  };
  const later = new Client({ url: server.url, ...kinds.ws });
  t.after(() => later.close());
  (await server.accept()).greet();
  const failed = await later.wait("old");
  assert.deepEqual([failed.state, failed.attempt, failed.nodes[1].state, failed.nodes[2].error.exception_type], ["error", 2, "cached", "E"]);

  // The prompt of another client waits: only the status tells that it has ended.
  const asked = server.requests.length;
  const waits = client.wait("waits");
  await until(() => server.requests.length === asked + 2); // runs and queue
  server.routes["GET /queue"] = () => [200, { queue_running: [], queue_pending: [] }];
  history.waits = history.old;
  peer.send({ type: "status", data: { status: { exec_info: { queue_remaining: 1 } } } });
  peer.send({ type: "status", data: { status: { exec_info: { queue_remaining: 0 } } } });
  assert.equal((await waits).state, "error");
});

test("plain ComfyUI, after a break", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws, "");
  server.routes["POST /prompt"] = () => [200, { prompt_id: "p", number: 0, node_errors: {} }];
  server.routes["GET /queue"] = () => [200, { queue_running: [[0, "p", {}, {}, []]], queue_pending: [] }];
  const messagesOf = ofRun("p", 0, null).map(({ type, data }) => ({ type, data }));
  await client.submit({});
  const done = client.wait("p");
  for (const message of messagesOf.slice(0, 3)) peer.send(message);
  await once(client, "executing");
  const gap = once(client, "gap");
  peer.cut();
  const again = (await server.accept()).greet();
  assert.deepEqual((await gap).detail, { since: 0, next: 0 });
  server.routes["GET /history/p"] = () => [
    200,
    { p: { outputs: { 1: { text: ["ok"] } }, status: { status_str: "success", messages: [["execution_start", { prompt_id: "p", timestamp: 5 }], ["execution_success", { prompt_id: "p", timestamp: 9 }]] } } },
  ];
  server.routes["GET /queue"] = () => [200, { queue_running: [], queue_pending: [] }];
  again.send(messagesOf.at(-1));
  const run = await done;
  assert.deepEqual([run.state, run.nodes[1].output, run.started, run.ended, run.closed], ["success", { text: ["ok"] }, 5, 9, true]);
});

test("previews and texts in binary frames", async (t) => {
  const { client, peer } = await start(t, kinds.ws);
  const u32 = (n) => Buffer.from([n >>> 24, n >>> 16, n >>> 8, n]);
  const sized = (text) => Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)]);
  const about = { node_id: "7", prompt_id: "p", display_node_id: "7", parent_node_id: null, real_node_id: "7", image_type: "image/png" };
  const preview = Buffer.concat([u32(4), sized(JSON.stringify(about)), Buffer.from("PNG")]);
  const wrap = (envelope, frame) => Buffer.concat([u32(20034), sized(JSON.stringify(envelope)), frame]);
  const all = messages(client);

  let [described, bare] = [once(client, "b_preview_with_metadata"), once(client, "b_preview")];
  peer.send(wrap({ type: "b_preview_with_metadata", cursor: "life-1", prompt_id: "p", time: 3 }, preview));
  const { blob, ...rest } = (await described).detail;
  assert.deepEqual(rest, about);
  assert.deepEqual([blob.type, await blob.text()], ["image/png", "PNG"]);
  assert.equal((await bare).detail, blob);
  assert.equal((await all.next()).data.blob, blob);
  assert.equal(client.cursor, "life-1");

  bare = once(client, "b_preview");
  peer.send(Buffer.concat([u32(1), u32(1), Buffer.from("JPEG")]));
  assert.deepEqual([(await bare).detail.type, await (await bare).detail.text()], ["image/jpeg", "JPEG"]);
  assert.equal((await all.next()).type, "b_preview");

  peer.send(wrap({ type: "progress_text", cursor: "life-2", prompt_id: "p" }, Buffer.concat([u32(3), sized("7"), Buffer.from("höher")])));
  assert.deepEqual(await all.next(), { type: "progress_text", data: { node_id: "7", text: "höher", prompt_id: "p" }, cursor: "life-2", prompt_id: "p" });
  peer.send(wrap({ type: "1000", cursor: "life-3" }, Buffer.concat([u32(1000), Buffer.from([1, 2])])));
  assert.deepEqual(await all.next(), { type: "1000", data: new Uint8Array([1, 2]), cursor: "life-3" });
  peer.send(u32(99));
  assert.deepEqual(await all.next(), { type: "99", data: new Uint8Array() });

  t.mock.method(console, "warn", () => {});
  const text = { type: "progress_text", cursor: "life-9" };
  const broken = [
    Buffer.alloc(0), Buffer.alloc(3), u32(1), u32(3), Buffer.concat([u32(3), u32(9), Buffer.from("7x")]), u32(4), Buffer.concat([u32(4), u32(1), Buffer.from("x")]),
    u32(20034), Buffer.concat([u32(20034), u32(0xffffffff), Buffer.from("{}")]),
  ];
  for (const frame of [...broken, ...broken.map((b) => wrap(text, b)), wrap(text, wrap(text, preview))]) peer.send(frame);
  peer.send({ type: "x", data: 0 });
  let last;
  do last = await all.next();
  while (last.type !== "x");
  assert.equal(client.connected, true);
});

test("previews and bytes in a stream", async (t) => {
  const { server, client, peer } = await start(t, { ...kinds.sse, events: "deep/events" });
  const fetched = [];
  server.routes["GET /deep/events"] = async ({ query }) => {
    fetched.push(query.get("preview"));
    if (query.get("preview") === "first") await until(() => skipped);
    return query.get("preview") === "gone" ? [404, "gone"] : [200, Buffer.from(query.get("preview"))];
  };
  let skipped = false;
  const all = messages(client);
  const shown = [];
  const end = new Promise((resolve) => {
    client.addEventListener("b_preview_with_metadata", async ({ detail }) => {
      shown.push(`${detail.node_id} ${await detail.blob.text()}`);
      if (shown.length === 3) resolve();
    });
  });
  const preview = (node_id, name) => peer.send({ type: "b_preview_with_metadata", data: { node_id, image_type: "image/png", url: `?preview=${name}` }, prompt_id: "p" });
  preview("7", "first");
  preview("7", "skipped");
  preview("8", "gone");
  preview("8", "other");
  preview("7", "last");
  peer.send({ type: "x", data: 0 });
  for (let i = 0; i < 5; i++) assert.equal((await all.next()).type, "b_preview_with_metadata", "at once");
  assert.equal((await all.next()).type, "x");
  skipped = true;
  await end;
  assert.deepEqual(shown.sort(), ["7 first", "7 last", "8 other"]);
  assert.deepEqual(fetched.sort(), ["first", "last", "other"]);
  preview("9", "gone");
  preview("9", "gone"); // an image that is gone is no loss
  const later = once(client, "b_preview");
  preview("10", "later");
  assert.equal(await (await later).detail.text(), "later");

  peer.send({ type: "1000", data: { base64: "AQI=" } });
  peer.send({ type: "progress_text", data: { node_id: "7", text: "t" }, prompt_id: "p" });
  let message;
  do message = await all.next();
  while (message.type !== "1000");
  assert.deepEqual(message.data, { base64: "AQI=" });
  assert.deepEqual((await all.next()).data, { node_id: "7", text: "t", prompt_id: "p" });
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
  client.wait("p0").catch(() => {}); // it is asked for
  assert.deepEqual(await peer.received.next(), { type: "nodebus.watch", data: { prompt_id: "p0" } });
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

import assert from "node:assert/strict";
import { Client } from "../nodebus.js";
import { finished, kinds, ofRun, start, summary, test, until } from "./helpers.mjs";
import { messages, once } from "./server.mjs";

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

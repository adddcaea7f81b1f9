import assert from "node:assert/strict";
import { allowAll, finished, kinds, ofRun, start, summary, test, until } from "./helpers.mjs";
import { messages, once } from "./server.mjs";

/** Gives rejections that nobody handles to f. Returns what ends that. */
function onUnhandled(f) {
  const before = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection").on("unhandledRejection", f);
  return () => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of before) process.on("unhandledRejection", listener);
  };
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

test("a server that has lost the run", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  const unhandled = [];
  t.after(onUnhandled((error) => unhandled.push(error)));
  server.routes["POST /prompt"] = () => [200, { prompt_id: "p" }];
  server.routes["GET /nodebus/runs/p"] = () => [404, { error: "no run with this id is known" }];
  await client.submit({});
  const calls = [];
  const following = client.follow("p", (run, message) => calls.push([message?.type, structuredClone(run)])); // nobody looks at done
  const question = { prompt_id: "p", node_id: "1", display_node_id: "1", parent_node_id: null, real_node_id: "1", name: "q" };
  for (const message of ofRun("p", 1).slice(0, 3)) peer.send(message);
  peer.send({ type: "nodebus.waiting", data: question, prompt_id: "p", cursor: "life-4", time: 1 });
  await once(client, "nodebus.waiting");
  assert.equal(following.run.waiting.length, 1);
  peer.cut();
  const again = (await server.accept()).greet("new-0"); // it has started anew
  again.send({ type: "nodebus.gap", data: { since: 4, next: 0 }, cursor: "new-0" });
  await until(() => following.run.closed);
  await new Promise((resolve) => setImmediate(resolve));
  const [type, run] = calls.at(-1);
  assert.deepEqual([type, run.state, run.closed, run.incomplete, run.waiting], [undefined, "running", true, true, []]);
  assert.equal(calls.filter(([, { closed }]) => closed).length, 1, "the last call");
  assert.deepEqual(unhandled, []);
  await assert.rejects(following.done, { status: 404 });
  allowAll(server, client, again);
  await assert.rejects(client.wait("p"), { status: 404 }, "it is not remembered");
  // The prompt can come again under its id.
  await client.submit({});
  const done = client.wait("p");
  for (const message of ofRun("p", 1, "new")) again.send(message);
  assert.deepEqual(summary(await done), finished);
});

test("the end of a run whose events are missing", async (t) => {
  const { server, client, peer } = await start(t, kinds.ws);
  server.routes["POST /prompt"] = () => [200, { prompt_id: "p" }];
  await client.submit({});
  const calls = [];
  const following = client.follow("p", (run, message) => calls.push([message?.type, run.incomplete]));
  const [first] = ofRun("p", 1);
  const text = { type: "nodebus.text", data: { node_id: "1", name: "", offset: 4, piece: "x", prompt_id: "p" }, prompt_id: "p", cursor: "life-2", time: 1 };
  const state = { prompt_id: "p", state: "success", attempt: 1, nodes: {}, order: [], waiting: [], closed: true, cursor: "life-8" };
  server.routes["GET /nodebus/runs/p"] = () => [200, state];
  for (const message of [first, text, ...ofRun("p", 3).slice(-2)]) peer.send(message);
  const run = await following.done;
  assert.deepEqual([run.closed, run.incomplete], [true, undefined]);
  assert.deepEqual(calls.slice(-2), [["executing", true], [undefined, undefined]], "onchange has the last state");
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
  assert.equal(calls.length, 2);
  assert.deepEqual([following.run.state, following.run.closed, following.run.incomplete], ["", true, true]);
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
  t.after(onUnhandled(report));
  client.follow("p", (run, message) => {
    if (message?.type === "executing") throw new Error("mine");
  });
  const done = client.wait("p");
  for (const message of ofRun("p", 1)) peer.send(message);
  assert.deepEqual(summary(await done), finished);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(reported, ["mine", "mine"]);
});

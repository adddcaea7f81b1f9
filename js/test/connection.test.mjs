import assert from "node:assert/strict";
import { Client, RefusedError } from "../nodebus.js";
import { kinds, NEVER, ownClock, test, until } from "./helpers.mjs";
import { messages, once, Server, WebSocket } from "./server.mjs";

function connect(t, server, options) {
  const client = new Client({ url: server.url, retry: 2, ping: NEVER, ...options });
  t.after(() => client.close());
  return client;
}

/** Returns options with which a client writes down in heard what it has received. */
function reportsFrames() {
  const heard = [];
  class Reporting extends WebSocket {
    set onmessage(f) {
      this.deliver = (event) => (f(event), heard.push(event.data));
    }
    get onmessage() {
      return this.deliver;
    }
  }
  const reporting = async (...request) => {
    const { body, ...response } = await fetch(...request).then(({ body, ok, headers }) => ({ body, ok, headers }));
    const reader = body.getReader();
    const read = async () => {
      const chunk = await reader.read();
      setImmediate(() => heard.push(Buffer.from(chunk.value ?? "").toString())); // when the client has read it
      return chunk;
    };
    return { ...response, body: { getReader: () => ({ read }) } };
  };
  return { heard, WebSocket: Reporting, fetch: reporting };
}

const event = (n, type = "test.step", more) => ({ type, data: { n }, cursor: `life-${n}`, time: 1, ...more });

for (const [kind, options] of Object.entries(kinds)) {
  test(`${kind}: messages become events`, async (t) => {
    const server = await Server.start(t);
    const client = connect(t, server, { ...options, url: `${server.url}some/folder?token=x`, clientId: "me", watch: ["a", "b c"] });
    assert.equal(client.connected, false);
    const peer = await server.accept();
    assert.equal(peer.kind, kind);
    assert.equal(peer.path, kind === "ws" ? "/some/folder/ws" : "/some/folder/events");
    assert.deepEqual([...peer.query], [["token", "x"], ["clientId", "me"], ["since", ""], ["watch", "a"], ["watch", "b c"]]);
    peer.greet("life-0", "someone");
    await client.ready;
    assert.deepEqual([client.clientId, client.cursor, client.connected], ["someone", "life-0", true]);
    if (kind === "ws") assert.deepEqual(await peer.received.next(), { type: "feature_flags", data: { supports_preview_metadata: true } });

    const all = messages(client);
    const sent = { type: "example.brush", data: { node: "7" }, cursor: "life-1", prompt_id: "p", time: 5, attempt: 2 };
    const brush = once(client, "example.brush");
    peer.send({ ...sent, later: 1 });
    const got = await brush;
    assert.deepEqual([got.type, got.detail, got.message], ["example.brush", sent.data, sent]);
    assert.deepEqual(await all.next(), sent);
    assert.equal(client.cursor, "life-1");

    // Members of other types are left out; data can be anything; any text is a type.
    peer.sendText('{"type":"odd","data":null,"cursor":5,"prompt_id":{},"time":"x","attempt":"two"}');
    assert.deepEqual(await all.next(), { type: "odd", data: null });
    for (const type of ["message", "error", "constructor", "__proto__", ""]) {
      peer.send({ type, data: [1] });
      assert.deepEqual(await all.next(), { type, data: [1] });
    }
  });

  test(`${kind}: frames that are broken harm nothing`, async (t) => {
    const server = await Server.start(t);
    t.mock.method(console, "warn", () => {});
    const client = connect(t, server, options);
    const peer = (await server.accept()).greet("life-0");
    await client.ready;
    const all = messages(client);
    let n = 0;
    for (const text of ["", "x", "{", "null", "5", "[]", "{}", '{"type":5,"data":{}}', '{"data":{}}']) {
      peer.sendText(text);
      peer.send(event(++n));
      assert.equal((await all.next()).cursor, `life-${n}`);
    }
    for (const data of [7, "x", [], null, { node: 7, nodes: 7, prompt_id: {} }, { prompt_id: "p", nodes: 7, node: null }]) {
      for (const type of ["executing", "execution_cached", "progress_state", "execution_error", "status", "nodebus.watching", "nodebus.text", "nodebus.run"]) {
        peer.send({ type, data });
        peer.send(event(++n));
        while ((await all.next()).cursor !== `life-${n}`);
      }
    }
    assert.equal(server.waiting, 0);
  });

  test(`${kind}: a client comes back and continues after its cursor`, async (t) => {
    const server = await Server.start(t);
    const client = connect(t, server, options);
    let peer = (await server.accept()).greet("life-0", "made by the server");
    await client.ready;
    const all = messages(client);
    for (let round = 1; round < 20; round++) {
      const [gone, back] = [once(client, "reconnecting"), once(client, "reconnected")];
      peer.send(event(round));
      assert.equal((await all.next()).cursor, `life-${round}`);
      peer.cut();
      await gone;
      assert.equal(client.connected, false);
      peer = await server.accept();
      assert.deepEqual([peer.query.get("since"), peer.query.get("clientId")], [`life-${round}`, "made by the server"]);
      peer.greet(`life-${round}`);
      await back;
      assert.equal(client.connected, true);
      assert.equal((await all.next()).type, "status");
      peer.send(event(round)); // a server that repeats itself
      peer.send(event(round, "nodebus.later", { cursor: undefined })); // an event without a cursor
      assert.equal((await all.next()).type, "nodebus.later");
      assert.equal(client.cursor, `life-${round}`);
    }
  });

  test(`${kind}: the numbers of cursors are long, and their lives change`, async (t) => {
    const server = await Server.start(t);
    const client = connect(t, server, { ...options, since: "a-b-18446744073709551000" });
    const peer = await server.accept();
    assert.equal(peer.query.get("since"), "a-b-18446744073709551000");
    peer.greet("a-b-18446744073709551000");
    const all = messages(client);
    const cursors = ["a-b-18446744073709551001", "a-b-18446744073709551002", "new-7", "new-8", "new-10", "new-100", "odd", "odder"];
    for (const cursor of cursors) peer.send({ type: "x", data: 0, cursor, time: 1 });
    assert.equal((await all.next()).type, "status");
    for (const cursor of cursors) assert.equal((await all.next()).cursor, cursor);
  });

  test(`${kind}: a gap is told`, async (t) => {
    const server = await Server.start(t);
    const client = connect(t, server, options);
    const peer = (await server.accept()).greet("life-5");
    const all = messages(client);
    const gap = once(client, "gap");
    peer.send({ type: "nodebus.gap", data: { since: 5, next: 9 }, cursor: "life-5" });
    peer.send(event(9));
    assert.deepEqual((await gap).detail, { since: 5, next: 9 });
    assert.equal((await all.next()).type, "status");
    assert.equal((await all.next()).type, "nodebus.gap");
    assert.equal((await all.next()).cursor, "life-9");
  });

  test(`${kind}: a line that is dead without a word is noticed`, async (t) => {
    const server = await Server.start(t);
    const tick = ownClock(t); // a slow machine changes nothing
    const { heard, ...reporting } = reportsFrames();
    const client = connect(t, server, { ...options, ...reporting, ping: 1000 });
    const next = async (n) => {
      const peer = (await server.accept()).greet(`life-${n}`);
      await once(client, "status");
      if (kind === "ws") await peer.received.next(); // feature_flags
      return peer;
    };
    const probe = { type: "nodebus.unwatch", data: { prompt_id: "" } };
    for (let round = 0; round < 3; round++) {
      const peer = await next(round); // and then nothing
      tick(1000);
      if (kind === "ws") assert.deepEqual(await peer.received.next(), probe);
      tick(2000);
      assert.equal(client.connected, false);
      await peer.ended;
      tick(1000); // retry
    }
    const peer = await next(9);
    const all = messages(client);
    for (let i = 0; i < 5; i++) {
      if (kind === "ws") {
        tick(1000);
        assert.deepEqual(await peer.received.next(), probe);
        peer.send({ type: "nodebus.watching", data: { prompt_id: "", watching: false, sign: `sign ${i}` } });
      } else {
        tick(2000);
        peer.socket.write(`:sign ${i}\n\n`);
      }
      await until(() => heard.join().includes(`sign ${i}`));
      assert.equal(client.connected, true);
    }
    peer.send(event(10));
    assert.equal((await all.next()).cursor, "life-10", "the answers to probes are no messages");
  });

  test(`${kind}: a client that is closed stays away, and tells who waits`, async (t) => {
    const server = await Server.start(t);
    const client = connect(t, server, options);
    const peer = (await server.accept()).greet("life-0");
    await client.ready;
    server.routes["GET /queue"] = () => new Promise(() => {});
    const waiting = [client.wait("p"), client.watch("q"), client.request("queue")].map((promise) => assert.rejects(promise, /the client is closed/));
    client.close();
    client.close();
    await Promise.all(waiting);
    await peer.ended;
    await assert.rejects(client.wait("p"), /the client is closed/);
    assert.throws(() => client.follow("p"), /the client is closed/);
    await new Promise((resolve) => setTimeout(resolve, 50)); // many times retry
    assert.equal(server.waiting, 0);
    const never = new Client({ url: server.url, ...options });
    never.close();
    await assert.rejects(never.ready, /the client is closed/);
    await assert.rejects(never.submit({}), /the client is closed/);
  });
}

test("without a WebSocket, a client reads a stream, also after breaks", async (t) => {
  const server = await Server.start(t);
  server.refuse.ws = 404;
  const client = connect(t, server, { WebSocket, headers: { Authorization: "Bearer x" } });
  let peer = (await server.accept()).greet("life-0");
  assert.deepEqual([peer.kind, peer.headers.authorization], ["sse", "Bearer x"]);
  await client.ready;
  peer.cut();
  peer = (await server.accept()).greet("life-0");
  assert.equal(peer.kind, "sse");
  await once(client, "reconnected");
  server.refuse = { sse: 503 }; // now only a WebSocket
  peer.cut();
  assert.equal((await server.accept()).greet("life-0").kind, "ws");
  await once(client, "reconnected");
});

test("a stream comes in pieces, with comments, fields and line ends of all kinds", async (t) => {
  const server = await Server.start(t);
  const client = connect(t, server, kinds.sse);
  const peer = (await server.accept()).greet("life-0");
  await client.ready;
  const all = messages(client);
  const text = JSON.stringify(event(1, "x", { data: "ä€😀" }));
  const block = Buffer.from(`: comment\r\nid: life-1\nother: 1\nanother\ndata:${text.slice(0, 11)}\r\ndata: ${text.slice(11)}\r\n\r\n:\n\n\n`);
  for (const size of [1, 2, 3, block.length]) {
    for (let i = 0; i < block.length; i += size) {
      peer.socket.write(block.subarray(i, i + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (size === 1) assert.deepEqual(await all.next(), event(1, "x", { data: "ä€😀" }));
  }
  peer.socket.write(`data: ${JSON.stringify(event(2))}\r\r:\n`);
  assert.equal((await all.next()).cursor, "life-2");
  peer.socket.write(`data: ${JSON.stringify(event(3))}\n`); // without an end
  peer.socket.end();
  assert.equal((await server.accept()).query.get("since"), "life-2");
});

test("who is not allowed in gives up", async (t) => {
  const server = await Server.start(t);
  server.refuse = { ws: 401, sse: 401 };
  for (const options of [kinds.sse, { WebSocket }, {}]) {
    const client = connect(t, server, options);
    const refused = once(client, "refused");
    await assert.rejects(client.ready, (error) => error instanceof RefusedError && error.status === 401 && error.message === "not you");
    assert.equal((await refused).detail.status, 401);
    await assert.rejects(client.wait("p"), { status: 401 });
  }
  server.refuse = {};
  const client = connect(t, server, kinds.sse);
  const peer = (await server.accept()).greet("life-0");
  await client.ready;
  const refused = once(client, "refused");
  const run = client.wait("p");
  server.refuse.sse = 403;
  peer.cut();
  assert.equal((await refused).detail.status, 403);
  await assert.rejects(run, { status: 403 });
});

test("who is not allowed in gives up, also where there are no Server-Sent Events", async (t) => {
  let server = await Server.start(t);
  const who = { message: "not you" };
  for (const [status, body] of [[401, "not you\n"], [403, { error: who }]]) {
    for (const events of [404, 405]) {
      for (const options of [{ WebSocket }, kinds.ws]) {
        server.refuse = { ws: status, sse: events };
        server.routes["GET /prompt"] = () => [status, body];
        const client = connect(t, server, options);
        const refused = once(client, "refused");
        await assert.rejects(client.ready, { name: "RefusedError", status, message: "not you" });
        assert.equal((await refused).detail.status, status);
      }
    }
  }
  server = await Server.start(t); // at the other one, a client that gave up can still arrive
  server.routes["GET /prompt"] = () => [403, { error: who }];
  const client = connect(t, server, { WebSocket });
  const peer = (await server.accept()).greet("life-0");
  await client.ready;
  const [refused, run] = [once(client, "refused"), client.wait("p")];
  server.refuse = { ws: 401, sse: 404 }; // after a logout
  peer.cut();
  assert.equal((await refused).detail.status, 403);
  await assert.rejects(run, { status: 403 });
});

test("a server without Server-Sent Events whose WebSocket fails is tried again", async (t) => {
  const server = await Server.start(t);
  for (const [status, body] of [[200, { exec_info: {} }], [404, "no such page"], [400, "odd"], [500, "trouble"], [429, "too many"]]) {
    server.refuse = { ws: 503, sse: 405 };
    let asked = 0;
    server.routes["GET /prompt"] = () => (++asked, [status, body]);
    const client = connect(t, server, { WebSocket });
    client.addEventListener("refused", () => assert.fail("nobody was refused"));
    await until(() => asked > 1);
    server.refuse = {};
    (await server.accept()).greet("life-0");
    await client.ready;
    client.close();
  }
  // The answer of a time before the login is late.
  server.refuse = { ws: 401, sse: 404 };
  let answer;
  server.routes["GET /prompt"] = () => new Promise((resolve) => (answer = () => resolve([401, "not you"])));
  const client = connect(t, server, { WebSocket });
  await until(() => answer);
  server.refuse = {};
  const peer = (await server.accept()).greet("life-0");
  await client.ready;
  answer();
  server.routes["GET /other"] = () => [200, ""];
  await client.request("other");
  peer.send(event(1));
  await once(client, "test.step");
  assert.equal(client.connected, true);
});

test("a server that has trouble is tried again", async (t) => {
  const server = await Server.start(t);
  for (const status of [503, 429, 500]) {
    server.refuse = { ws: status, sse: status };
    for (const options of [kinds.sse, kinds.ws, { WebSocket }]) {
      const client = connect(t, server, options);
      await new Promise((resolve) => setTimeout(resolve, 20));
      server.refuse = {};
      (await server.accept()).greet("life-0");
      await client.ready;
      client.close();
    }
  }
});

test("a server may have no greeting", async (t) => {
  const server = await Server.start(t);
  const tick = ownClock(t);
  const client = connect(t, server, kinds.ws);
  await (await server.accept()).received.next(); // feature_flags: the client knows that it is connected
  assert.equal(client.connected, false);
  tick(10_000);
  await client.ready;
  assert.equal(client.connected, true);
});

test("an address is needed where there is no page", () => {
  assert.throws(() => new Client(), TypeError);
});

test("in a page, the routes are beside the page", async (t) => {
  const server = await Server.start(t);
  const hear = {};
  globalThis.document = { baseURI: `${server.url}app/index.html?x=1`, hidden: true, addEventListener: (type, f) => (hear[type] = f) };
  globalThis.location = { href: "about:srcdoc" };
  globalThis.addEventListener = (type, f) => (hear[type] = f);
  t.after(() => {
    for (const name of ["document", "location", "addEventListener"]) delete globalThis[name];
  });
  const client = connect(t, server, { ...kinds.ws, url: undefined, retry: 1_000_000 });
  let peer = (await server.accept()).greet("life-0");
  assert.equal(peer.path, "/app/ws");
  await client.ready;
  await peer.received.next();

  document.hidden = false;
  hear.visibilitychange(); // a user looks: the client asks at once whether the server is there
  assert.deepEqual(await peer.received.next(), { type: "nodebus.unwatch", data: { prompt_id: "" } });
  peer.cut();
  await once(client, "reconnecting");
  hear.online(); // and does not wait for a timer
  peer = (await server.accept()).greet();
  await once(client, "reconnected");
  hear.online(); // nobody can ask ComfyUI
  peer = (await server.accept()).greet();
  await once(client, "reconnected");
});

import assert from "node:assert/strict";
import { Client } from "../nodebus.js";
import { kinds, start, test, until } from "./helpers.mjs";
import { messages, once, Server } from "./server.mjs";

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
      if (shown.length === 5) resolve();
    });
  });
  const preview = (node_id, name, more) =>
    peer.send({ type: "b_preview_with_metadata", data: { node_id, image_type: "image/png", url: `?preview=${name}`, ...more }, prompt_id: "p" });
  preview("7", "first");
  preview("7", "one", { final: 1 }); // no picture is skipped
  preview("7", "two", { final: 2 });
  preview("7", "skipped");
  preview("8", "gone");
  preview("8", "other");
  preview("7", "last");
  peer.send({ type: "x", data: 0 });
  for (let i = 0; i < 7; i++) assert.equal((await all.next()).type, "b_preview_with_metadata", "at once");
  assert.equal((await all.next()).type, "x");
  skipped = true;
  await end;
  assert.deepEqual(shown.sort(), ["7 first", "7 last", "7 one", "7 two", "8 other"]);
  assert.deepEqual(fetched.sort(), ["first", "last", "one", "other", "two"]);
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

test("an image of another host is not fetched, and one that hangs does not stop the others", async (t) => {
  const { server, client, peer } = await start(t, { ...kinds.sse, headers: { Authorization: "secret" } });
  const other = await Server.start(t);
  const shown = [];
  client.addEventListener("b_preview_with_metadata", ({ detail }) => shown.push(detail.node_id));
  const limits = [];
  t.mock.method(AbortSignal, "timeout", () => {
    limits.push(new AbortController());
    return limits.at(-1).signal;
  });
  let hangs;
  const asked = new Promise((resolve) => (hangs = resolve));
  server.routes["GET /hangs"] = () => (hangs(), new Promise(() => {}));
  server.routes["GET /image"] = () => [200, Buffer.from("PNG")];
  const preview = (node_id, url) => peer.send({ type: "b_preview_with_metadata", data: { node_id, image_type: "image/png", url }, prompt_id: "p" });
  preview("1", `${other.url}image`);
  preview("2", "/hangs");
  await asked;
  preview("3", "/image");
  const end = once(client, "b_preview");
  for (const limit of limits) limit.abort(new DOMException("too late", "TimeoutError"));
  await end;
  assert.deepEqual(shown, ["3"]);
  assert.deepEqual(server.requests.map(({ path, headers }) => [path, headers.authorization]), [["/hangs", "secret"], ["/image", "secret"]]);
  assert.deepEqual(other.requests, []);
});

test("the query of the option url belongs to the images, too", async (t) => {
  const server = await Server.start(t);
  const client = new Client({ url: `${server.url}?token=t`, ...kinds.sse });
  t.after(() => client.close());
  server.routes["GET /events"] = ({ query }) => [query.get("token") === "t" ? 200 : 401, Buffer.from(query.get("preview"))];
  const peer = (await server.accept()).greet("life-0");
  const shown = once(client, "b_preview");
  peer.send({ type: "b_preview_with_metadata", data: { node_id: "1", image_type: "image/png", url: "?preview=1" }, prompt_id: "p" });
  assert.equal(await (await shown).detail.text(), "1");
});

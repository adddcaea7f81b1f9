// What the tests of runs share.

import { test as nodeTest } from "node:test";
import { Client } from "../nodebus.js";
import { Server, WebSocket } from "./server.mjs";

export const kinds = { ws: { WebSocket, transport: "ws" }, sse: { transport: "sse" } };

/** How long a test may take, in milliseconds. A test that hangs must end, and say its name. */
const LIMIT = 180_000;

/** The option ping, in milliseconds: on a slow machine, no client asks whether the line is dead. Tests of that have a clock. */
export const NEVER = 100_000_000;

export const test = (name, f) => nodeTest(name, { timeout: LIMIT }, f);

/** Returns a server, a client that is connected to it, and the server's side of the connection. */
export async function start(t, options, cursor = "life-0") {
  const server = await Server.start(t);
  const client = new Client({ url: server.url, clientId: "me", retry: 2, ping: NEVER, ...options });
  t.after(() => client.close());
  const peer = (await server.accept()).greet(cursor);
  await client.ready;
  if (peer.kind === "ws") await peer.received.next(); // feature_flags
  return { server, client, peer };
}

/** The messages of a run, numbered from a place on. Without a life they have no cursor. */
export function ofRun(id, from, life = "life") {
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

export const summary = (run) => [run.state, run.nodes[1]?.state, run.nodes[1]?.output?.text?.[0], Boolean(run.closed), Boolean(run.incomplete)];
export const finished = ["success", "finished", "ok", true, false];

/** Allows each request to watch: on a WebSocket with messages, for a stream with new connections. */
export async function allowAll(server, client, peer) {
  while (peer.kind === "sse") (await server.accept()).greet(client.cursor);
  for (;;) {
    const { type, data } = await peer.received.next();
    peer.send({ type: "nodebus.watching", data: { ...data, watching: type === "nodebus.watch" } });
  }
}

/** Waits until a condition holds. */
export async function until(condition) {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Stops the time. Returns what lets it go on, by so many milliseconds. */
export function ownClock(t) {
  const real = { setTimeout, clearTimeout, now: Date.now };
  const timers = new Map();
  let now = real.now();
  Date.now = () => now;
  globalThis.setTimeout = (f, ms, ...args) => {
    const timer = real.setTimeout(() => {}, 0).unref(); // what Node expects of a timer
    timers.set(timer, { f: () => f(...args), at: now + ms }); // Node's own fetch gives arguments
    return timer;
  };
  globalThis.clearTimeout = (timer) => timers.delete(timer) || real.clearTimeout(timer);
  t.after(() => {
    Date.now = real.now;
    Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
  });
  return (ms) => {
    now += ms;
    for (const [timer, { f, at }] of timers) if (at <= now && timers.delete(timer)) f();
  };
}

// A scripted server, and a WebSocket for Node 20, which has none. Only for tests.

import { createHash, randomBytes } from "node:crypto";
import { createServer, request } from "node:http";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const acceptKey = (key) => createHash("sha1").update(key + GUID).digest("base64");

/** Returns a WebSocket frame. A client must mask its frames. */
export function wsFrame(op, payload, masked) {
  const size = payload.length;
  const head = size < 126 ? Buffer.from([0x80 | op, size]) : Buffer.from([0x80 | op, 127, 0, 0, 0, 0, 0, 0, 0, 0]);
  if (size >= 126) head.writeBigUInt64BE(BigInt(size), 2);
  if (!masked) return Buffer.concat([head, payload]);
  head[1] |= 0x80;
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i % 4])]);
}

/** Calls onFrame(op, payload) for each frame in what a socket receives. */
function readFrames(socket, head, onFrame) {
  let rest = head;
  const read = (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (;;) {
      if (rest.length < 2) return;
      let [size, at] = [rest[1] & 0x7f, 2];
      if (size === 126) [size, at] = rest.length < 4 ? [Infinity, 4] : [rest.readUInt16BE(2), 4];
      else if (size === 127) [size, at] = rest.length < 10 ? [Infinity, 10] : [Number(rest.readBigUInt64BE(2)), 10];
      const mask = rest[1] & 0x80 ? rest.subarray(at, at + 4) : null;
      if (mask) at += 4;
      if (rest.length < at + size) return;
      let payload = rest.subarray(at, at + size);
      if (mask) payload = payload.map((byte, i) => byte ^ mask[i % 4]);
      const op = rest[0] & 0xf;
      rest = rest.subarray(at + size);
      onFrame(op, payload);
    }
  };
  read(Buffer.alloc(0));
  socket.on("data", read);
}

/** A WebSocket with what the client uses of it. */
export class WebSocket {
  #socket;
  #ended = false;

  constructor(url) {
    const key = randomBytes(16).toString("base64");
    const headers = { Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": 13, "Sec-WebSocket-Key": key };
    const asked = request(url.replace(/^ws/, "http"), { headers });
    const end = () => {
      if (this.#ended) return;
      this.#ended = true;
      this.#socket?.destroy();
      asked.destroy();
      setImmediate(() => this.onclose?.({}));
    };
    this.close = end;
    asked.on("error", end);
    asked.on("response", end);
    asked.on("upgrade", (response, socket, head) => {
      this.#socket = socket;
      socket.on("error", end).on("close", end);
      if (response.headers["sec-websocket-accept"] !== acceptKey(key)) return end();
      this.onopen?.({});
      readFrames(socket, head, (op, payload) => {
        if (this.#ended) return;
        if (op === 1) this.onmessage?.({ data: payload.toString() });
        else if (op === 2) this.onmessage?.({ data: new Uint8Array(payload).buffer });
        else if (op === 8) end();
        else if (op === 9) socket.write(wsFrame(10, payload, true));
      });
    });
    asked.end();
  }

  send(text) {
    this.#socket.write(wsFrame(1, Buffer.from(text), true));
  }
}

/** A list whose elements can be waited for. */
class Queue {
  #items = [];
  #waiting = [];

  push(item) {
    const next = this.#waiting.shift();
    if (next) next(item);
    else this.#items.push(item);
  }

  next() {
    if (this.#items.length) return Promise.resolve(this.#items.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  get length() {
    return this.#items.length;
  }
}

/** The server's side of a connection. */
class Peer {
  received = new Queue(); // messages of the client
  ended = new Promise((resolve) => (this.end = resolve));

  constructor(kind, req, socket) {
    this.kind = kind;
    this.query = new URL(req.url, "http://x").searchParams;
    this.path = req.url.split("?")[0];
    this.headers = req.headers;
    this.socket = socket;
    socket.on("error", () => {}).on("close", () => this.end());
    if (kind === "ws") socket.on("end", () => socket.destroy());
  }

  /** Sends a message, or the bytes of a binary frame. */
  send(message) {
    if (Buffer.isBuffer(message)) this.socket.write(wsFrame(2, message));
    else this.sendText(JSON.stringify(message));
  }

  sendText(text) {
    this.socket.write(this.kind === "ws" ? wsFrame(1, Buffer.from(text)) : `data: ${text}\n\n`);
  }

  /** Greets the client. Without a cursor, the server is ComfyUI. */
  greet(cursor, sid = this.query.get("clientId") || "made") {
    this.send({ type: "status", data: { status: { exec_info: { queue_remaining: 0 } }, sid }, ...(cursor && { cursor }) });
    return this;
  }

  cut() {
    this.socket.destroy();
  }
}

/** A server on a free port. routes holds functions by "METHOD /path"; they return [status, body]. */
export class Server {
  routes = {};
  requests = [];
  refuse = {}; // by kind, "ws" and "sse": the status with which connections are refused
  #arrivals = new Queue();
  #sockets = new Set();
  #http = createServer((req, res) => this.#serve(req, res));

  static async start(t) {
    const server = new Server();
    server.#http.on("connection", (socket) => server.#sockets.add(socket.on("close", () => server.#sockets.delete(socket))));
    server.#http.on("upgrade", (req, socket) => server.#upgrade(req, socket));
    await new Promise((resolve) => server.#http.listen(0, "127.0.0.1", resolve));
    server.url = `http://127.0.0.1:${server.#http.address().port}/`;
    t.after(() => {
      for (const socket of server.#sockets) socket.destroy();
      server.#http.close();
    });
    return server;
  }

  /** Waits for the next connection. */
  accept() {
    return this.#arrivals.next();
  }

  get waiting() {
    return this.#arrivals.length;
  }

  #upgrade(req, socket) {
    if (this.refuse.ws) {
      socket.end(`HTTP/1.1 ${this.refuse.ws} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    const key = acceptKey(req.headers["sec-websocket-key"]);
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`);
    const peer = new Peer("ws", req, socket);
    readFrames(socket, Buffer.alloc(0), (op, payload) => {
      if (op === 1) peer.received.push(JSON.parse(payload));
      else if (op === 8) socket.end();
    });
    this.#arrivals.push(peer);
  }

  async #serve(req, res) {
    let text = "";
    for await (const chunk of req) text += chunk;
    const path = req.url.split("?")[0];
    if (req.headers.accept === "text/event-stream") {
      if (this.refuse.sse) {
        res.writeHead(this.refuse.sse, { "Content-Type": "application/json" }).end('{"error":"not you"}');
        return;
      }
      res.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
      res.write("retry: 2000\n\n");
      this.#arrivals.push(new Peer("sse", req, Object.assign(res, { destroy: () => req.socket.destroy() })));
      return;
    }
    const asked = { method: req.method, path, query: new URL(req.url, "http://x").searchParams, headers: req.headers, body: text && JSON.parse(text) };
    this.requests.push(asked);
    const route = this.routes[`${req.method} ${path}`];
    const [status, body] = route ? await route(asked) : [404, "404 page not found"];
    const bytes = Buffer.isBuffer(body) ? body : typeof body === "string" ? body : JSON.stringify(body);
    res.writeHead(status, { "Content-Type": typeof body === "string" ? "text/plain" : "application/json" }).end(bytes);
  }
}

/** Waits for an event of a client. */
export const once = (client, type) => new Promise((resolve) => client.addEventListener(type, resolve, { once: true }));

/** Returns what a client dispatches as "message", as a queue. */
export function messages(client) {
  const queue = new Queue();
  client.addEventListener("message", ({ detail }) => queue.push(detail));
  return queue;
}

/**
 * nodebus.js follows the runs of graphs on a server of nodebus, or on ComfyUI. It has no
 * dependency and needs no build step. It runs in browsers, in workers, and in Node 20 or
 * newer. nodebus.d.ts describes everything that it exports.
 *
 * How a message travels:
 *
 *   openSocket, openStream   read frames from a connection
 *   Client.#take             decodes a frame, drops what came before
 *   fold                     brings the state of the run up to date
 *   listeners, onchange      your code
 */

/** How long a connection may be silent, in milliseconds. A server of nodebus speaks more often. */
const SILENCE = 25_000;
/** How long a server may take to answer, in milliseconds. */
const PATIENCE = 10_000;
/** How many prompts a client can watch: servers accept no more in the address of a connection. */
const WATCH_MAX = 256;
/** How many runs a client remembers, besides those that are followed. */
const RUNS_MAX = 256;

/** The events that the client makes itself. A message with such a type is only a "message". */
const OWN_EVENTS = ["message", "reconnecting", "reconnected", "gap", "refused", "b_preview"];

/** The server refused a request, or the connection. */
export class RefusedError extends Error {
  constructor(status, body) {
    const error = body?.error ?? body;
    super(error?.message || (typeof error === "string" && error) || `the server answered with status ${status}`);
    this.name = "RefusedError";
    this.status = status;
    this.details = error?.details ?? "";
    this.nodeErrors = body?.node_errors ?? {};
    this.body = body;
  }
}

export class Client extends EventTarget {
  clientId;
  cursor;
  connected = false;
  ready;

  #options;
  #base; // the address below which the routes are
  #ready; // settles ready
  #life = new AbortController(); // ends at close
  #connection = null; // or the attempt to make it
  #timer; // of the next attempt
  #wait; // milliseconds before the next attempt
  #greeted = false; // the client was connected once
  #broken = false; // the connection is lost, and "reconnecting" was dispatched
  #resumes = false; // the server sends cursors
  #watched = new Map(); // the ids of prompts that the server watches for the client; true: somebody called watch
  #asked = []; // requests to watch that wait for their answers
  #runs = new Map(); // what is known about the runs, by prompt id
  #gaps = 0;
  #images = new Map(); // previews of a stream whose images are to be fetched, by node

  constructor(options = {}) {
    super();
    const here = globalThis.document?.baseURI ?? globalThis.location?.href;
    if (!options.url && !here) throw new TypeError("nodebus: the option url is missing: the address of the server, for example http://127.0.0.1:8188/");
    this.#options = { transport: "auto", socket: "ws", events: "events", retry: 300, WebSocket: globalThis.WebSocket, fetch: globalThis.fetch, ...options };
    this.#base = new URL(options.url ?? ".", here);
    this.#base.protocol = this.#base.protocol.replace("ws", "http");
    this.#base.pathname = this.#base.pathname.replace(/\/?$/, "/");
    this.#wait = this.#options.retry;
    this.clientId = options.clientId ?? "";
    this.cursor = options.since ?? "";
    for (const id of options.watch ?? []) this.#watched.set(id, true);
    this.ready = new Promise((resolve, reject) => (this.#ready = { resolve, reject }));
    this.ready.catch(() => {}); // whoever waits for it hears of it
    const life = { signal: this.#life.signal };
    globalThis.addEventListener?.("online", () => this.#hurry(true), life);
    globalThis.document?.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#hurry(), life);
    this.#connect();
  }

  // ---- requests

  async request(path, init = {}) {
    const { body, headers, signal } = init;
    const json = body !== undefined && Object.getPrototypeOf(Object(body)) === Object.prototype;
    const response = await this.#fetch(path, {
      ...init,
      headers: { ...(json && { "Content-Type": "application/json" }), ...headers },
      body: json ? JSON.stringify(body) : body,
      signal: signal ? AbortSignal.any([signal, this.#life.signal]) : this.#life.signal,
    });
    const said = await readBody(response);
    if (!response.ok) throw new RefusedError(response.status, said);
    return said;
  }

  async submit(graph, { promptId, number, front, extraData, outputs } = {}) {
    await this.ready;
    const { prompt_id } = await this.#post("prompt", {
      prompt: graph,
      client_id: this.clientId,
      prompt_id: promptId,
      number,
      front,
      extra_data: extraData,
      partial_execution_targets: outputs,
    });
    const entry = this.#entry(prompt_id);
    entry.own = true;
    if (!entry.run.state) entry.known = true; // it has not begun: nothing is missing
    return prompt_id;
  }

  async interrupt(promptId) {
    await this.#post("interrupt", { prompt_id: promptId });
  }

  async answer({ prompt_id, node_id, name }, value) {
    await this.#post("nodebus/answer", { prompt_id, node_id, name, value });
  }

  async refuse({ prompt_id, node_id, name }, reason = "") {
    await this.#post("nodebus/answer", { prompt_id, node_id, name, refuse: reason });
  }

  async watch(promptId) {
    await this.ready;
    await this.#ask("watch", promptId);
    this.#watched.set(promptId, true);
  }

  async unwatch(promptId) {
    await this.ready;
    await this.#ask("unwatch", promptId);
  }

  #post(path, body) {
    return this.request(path, { method: "POST", body });
  }

  #fetch(path, init) {
    const { fetch, headers } = this.#options;
    return fetch(this.#address(path), { ...init, headers: { ...init.headers, ...headers } });
  }

  /** Returns the URL of a route. The query of the option url belongs to each route. */
  #address(path, query = []) {
    const url = new URL(path, this.#base);
    for (const [name, value] of [...this.#base.searchParams, ...query]) url.searchParams.append(name, value);
    return url;
  }

  // ---- runs

  follow(promptId, onchange) {
    const entry = this.#entry(promptId);
    const follower = { onchange };
    const done = new Promise((resolve, reject) => Object.assign(follower, { resolve, reject }));
    done.catch(() => {}); // whoever waits for it hears of it
    const stop = (reason = new DOMException("nodebus: the following was stopped", "AbortError")) => {
      follower.reject(reason);
      if (entry.followers.delete(follower)) this.#leave(entry);
    };
    if (this.#life.signal.aborted) stop(this.#life.signal.reason);
    else {
      entry.followers.add(follower);
      if (entry.known) queueMicrotask(() => this.#changed(entry, null));
      else this.#learn(entry);
    }
    return {
      get run() {
        return entry.run;
      },
      done,
      stop: () => stop(),
      abort: stop,
    };
  }

  wait(promptId, { signal } = {}) {
    const { done, abort } = this.follow(promptId);
    const stop = () => abort(signal.reason);
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop);
    return done.finally(() => signal?.removeEventListener("abort", stop));
  }

  /** Returns what is known about a run. */
  #entry(id) {
    let entry = this.#runs.get(id);
    if (!entry) {
      entry = { id, run: fold(null, { type: "nodebus.run", data: { prompt_id: id } }), followers: new Set(), known: false, own: false, tail: null };
      this.#runs.set(id, entry);
      for (const old of this.#runs.values()) {
        if (this.#runs.size <= RUNS_MAX) break;
        if (!old.followers.size && old !== entry) this.#runs.delete(old.id);
      }
    }
    return entry;
  }

  /**
   * Finds out the state of a run of which the client has missed the beginning. The server
   * sends what it has kept of the run, or its state. Meanwhile, new messages of the run
   * wait in entry.tail.
   */
  async #learn(entry) {
    if (entry.tail || !this.connected) return; // #greet comes back to it
    const gaps = this.#gaps;
    entry.tail = [];
    let state, refusal;
    try {
      if (this.#resumes && !entry.own && !this.#watched.has(entry.id)) {
        await this.#ask("watch", entry.id, true).catch((error) => (refusal = error)); // perhaps it is a prompt of ours
      }
      const { run } = entry;
      if (!run.state || run.incomplete) state = await this.#state(entry.id);
      if (refusal && !state) throw refusal;
    } catch (error) {
      entry.tail = null;
      if (this.#life.signal.aborted) return;
      if (error instanceof RefusedError && error.status < 500) this.#fail(entry, error);
      else setTimeout(() => entry.followers.size && this.#learn(entry), this.#options.retry * 8);
      return;
    }
    const { tail } = entry;
    entry.tail = null;
    if (!entry.followers.size || this.#life.signal.aborted) return;
    if (gaps !== this.#gaps) return this.#learn(entry);
    entry.known = true;
    const after = state?.closed || state?.cursor;
    if (after) entry.run = fold(null, { type: "nodebus.run", data: state });
    else if (!entry.run.state) entry.run.incomplete = true; // until it begins
    this.#changed(entry, null);
    for (const message of tail) if (!after || isLater(message.cursor, state.cursor)) this.#fold(entry, message);
  }

  /** Asks for the state of a run. Returns undefined if the server does not say it. */
  async #state(id) {
    const path = encodeURIComponent(id);
    try {
      const state = await this.request(`nodebus/runs/${path}?clientId=${encodeURIComponent(this.clientId)}`);
      if (state?.prompt_id) return state;
    } catch (error) {
      if (!(error instanceof RefusedError) || error.status >= 500 || error.body?.error) throw error;
    } // else the server has no such route
    try {
      const record = async () => (await this.request(`history/${path}`))?.[id];
      let found = await record();
      if (!found) {
        const { queue_running = [], queue_pending = [] } = await this.request("queue");
        if ([...queue_running, ...queue_pending].some((item) => item[1] === id)) return;
        found = await record(); // perhaps it has just ended
      }
      if (found) return foldRecord(id, found);
    } catch (error) {
      if (error instanceof RefusedError && error.status < 500) return; // there are only events
      throw error;
    }
    throw new RefusedError(404, `the server knows no prompt ${id}`);
  }

  /** Brings a run up to date. */
  #fold(entry, message) {
    entry.run = fold(entry.run, message);
    if (message.type === "execution_start") entry.known = true;
    if (entry.known) this.#changed(entry, message);
  }

  /** Tells the followers of a run that it has changed, or that it has ended. */
  #changed(entry, message) {
    for (const { onchange } of entry.followers) {
      try {
        onchange?.(entry.run, message);
      } catch (error) {
        queueMicrotask(() => {
          throw error; // as an error of a listener
        });
      }
    }
    if (entry.run.closed && entry.followers.size) this.#settle(entry);
  }

  async #settle(entry) {
    if (entry.run.incomplete) {
      const state = await this.#state(entry.id).catch(() => {});
      if (state?.closed) entry.run = fold(null, { type: "nodebus.run", data: state });
    }
    for (const { resolve } of entry.followers) resolve(entry.run);
    entry.followers.clear();
    this.#leave(entry);
  }

  #fail(entry, error) {
    for (const { reject } of entry.followers) reject(error);
    entry.followers.clear();
    this.#leave(entry);
  }

  /** Ends the watching of a prompt that only followers have watched. */
  #leave(entry) {
    if (entry.followers.size || this.#watched.get(entry.id) !== false) return;
    this.#watched.delete(entry.id);
    if (!entry.run.closed) this.#runs.delete(entry.id);
    if (this.connected && !this.#connection.stream) this.#ask("unwatch", entry.id, true).catch(() => {});
  }

  /** Events are lost: what is known about the running prompts may be wrong. */
  #gap(detail) {
    this.#gaps++;
    for (const entry of [...this.#runs.values()]) {
      if (entry.run.closed) continue;
      entry.run = fold(entry.run, { type: "nodebus.gap" });
      entry.known = false;
      if (entry.followers.size) this.#learn(entry);
      else this.#runs.delete(entry.id);
    }
    this.#dispatch("gap", detail);
  }

  // ---- watching

  /** Asks the server to watch a prompt, or to leave it. hidden: for followers, not for listeners. */
  #ask(type, id, hidden = false) {
    if (!this.#resumes) return Promise.reject(new RefusedError(501, "this server cannot watch prompts of other clients"));
    if (type === "watch" && this.#watched.size >= WATCH_MAX) return Promise.reject(new RangeError(`nodebus: a client can watch ${WATCH_MAX} prompts`));
    return new Promise((resolve, reject) => {
      const ask = { type, id, hidden, resolve, reject };
      this.#asked.push(ask);
      if (this.connected) this.#send(ask);
    });
  }

  #send(ask) {
    const connection = this.#connection;
    if (!connection.stream) connection.send(JSON.stringify({ type: `nodebus.${ask.type}`, data: { prompt_id: ask.id } }));
    else if (ask.connection === connection) this.#answered({ prompt_id: ask.id }); // its address has named the prompt
    else if (!connection.replaced) {
      connection.replaced = true; // a stream cannot ask: the next one has another address
      queueMicrotask(() => this.#connection === connection && (connection.close(), this.#open(true)));
    }
  }

  /** Handles an answer to a request to watch. Returns whether listeners should not see it. */
  #answered(data) {
    const i = this.#asked.findIndex((ask) => ask.id === data.prompt_id);
    if (i < 0) return data.prompt_id === ""; // to a probe
    const [ask] = this.#asked.splice(i, 1);
    if (ask.type === "unwatch") this.#watched.delete(ask.id);
    else if (!data.error) this.#watched.set(ask.id, this.#watched.get(ask.id) || !ask.hidden);
    if (data.error) ask.reject(new RefusedError(403, data));
    else ask.resolve();
    return ask.hidden;
  }

  // ---- the connection

  #connect = () => {
    clearTimeout(this.#timer);
    if (!this.#life.signal.aborted) this.#open(this.#options.transport === "sse" || !this.#options.WebSocket);
  };

  /** Opens a WebSocket, or a stream. */
  #open(stream) {
    const { socket, events, transport, WebSocket } = this.#options;
    const connection = (this.#connection = { stream, begun: Date.now(), close() {} });
    const ids = new Set(this.#watched.keys());
    if (stream) {
      for (const ask of this.#asked) {
        ask.connection = connection;
        if (ask.type === "watch") ids.add(ask.id);
        else ids.delete(ask.id);
      }
    }
    const query = [["since", this.cursor], ...[...ids].map((id) => ["watch", id])];
    if (this.clientId) query.unshift(["clientId", this.clientId]);
    const url = this.#address(stream ? events : socket, query);
    const isOurs = () => this.#connection === connection;

    connection.lost = (error) => {
      if (!isOurs()) return;
      clearTimeout(connection.timer);
      connection.close();
      this.connected = false;
      if (error instanceof RefusedError && this.#isFinal(error)) return this.#end(error);
      if (!stream && !connection.greeted && transport === "auto") return this.#open(true);
      this.#connection = null;
      this.#timer = setTimeout(this.#connect, this.#wait * (0.5 + Math.random() / 2));
      this.#wait = Math.min(2 * this.#wait, 32 * this.#options.retry);
      if (!this.#greeted || this.#broken) return;
      this.#broken = true;
      this.#dispatch("reconnecting");
    };
    const on = {
      lost: connection.lost,
      open: () => {
        if (!isOurs()) return;
        connection.opened = true;
        connection.send?.('{"type":"feature_flags","data":{"supports_preview_metadata":true}}');
      },
      alive: () => {
        connection.seen = Date.now();
        connection.probed = connection.late = 0;
      },
      frame: (frame) => {
        if (!isOurs()) return;
        on.alive();
        try {
          this.#take(connection, typeof frame === "string" ? readText(frame, stream) : readBinary(frame));
        } catch (error) {
          console.warn("nodebus: a message that cannot be read is left out:", error);
        }
      },
    };
    this.#guard(connection);
    try {
      if (stream) openStream((init) => this.#fetch(url, init), connection, on);
      else openSocket(WebSocket, url, connection, on);
    } catch (error) {
      connection.lost(error);
    }
  }

  /** Reports whether it is useless to try again. */
  #isFinal({ status }) {
    const { transport, WebSocket } = this.#options;
    if (transport === "auto" && WebSocket) return !this.#greeted && [400, 401, 403].includes(status);
    return status < 500 && status !== 408 && status !== 429;
  }

  /** The first message of a connection has come. */
  #greet(connection, message) {
    const { sid } = Object(message?.data);
    if (message?.type === "status" && typeof sid === "string") this.clientId = sid;
    this.#resumes = connection.stream || Boolean(message?.cursor);
    connection.greeted = this.connected = true;
    const again = this.#greeted;
    this.#greeted = true;
    this.#ready.resolve();
    for (const ask of [...this.#asked]) this.#send(ask);
    for (const entry of this.#runs.values()) if (entry.followers.size && !entry.known) this.#learn(entry);
    if (this.#broken) {
      this.#broken = false;
      this.#dispatch("reconnected");
    }
    if (again && !this.#resumes) this.#gap({ since: 0, next: 0 }); // ComfyUI sends nothing again
  }

  /**
   * Notices a connection that is dead without a word: a peer that is gone cannot say so. A
   * WebSocket is asked after a silence; a stream of a server that lives has comments.
   */
  #guard(connection, hurry = false) {
    clearTimeout(connection.timer);
    const now = Date.now();
    let limit;
    if (!connection.greeted) limit = connection.begun + PATIENCE;
    else if (connection.probed) limit = connection.probed + PATIENCE;
    else if (connection.stream) limit = connection.seen + (hurry ? SILENCE + PATIENCE : 3 * SILENCE);
    else if (!this.#resumes) return; // ComfyUI answers nothing
    else {
      limit = connection.seen + (hurry ? 0 : SILENCE);
      if (now >= limit) {
        connection.send('{"type":"nodebus.unwatch","data":{"prompt_id":""}}');
        connection.probed = now;
        limit = now + PATIENCE;
      }
    }
    if (now >= limit) {
      if (connection.opened && !connection.greeted) this.#greet(connection); // a server without a greeting
      else if (connection.late || now - limit < 1000) return connection.lost();
      else connection.late = true; // the page slept: what has arrived meanwhile may come first
      limit = now + 1000;
    }
    connection.timer = setTimeout(() => this.#guard(connection), limit - now);
  }

  /** The network is back, or the user looks: do not wait for a timer. */
  #hurry(online) {
    const connection = this.#connection;
    if (!connection) this.#connect();
    else if (!connection.greeted) return;
    else if (online && !this.#resumes) connection.lost();
    else this.#guard(connection, true);
  }

  /** Handles a message. */
  #take(connection, message) {
    if (!connection.greeted) this.#greet(connection, message);
    else this.#wait = this.#options.retry;
    const { type, data, cursor, time } = message;
    if (cursor) {
      if (time && !isLater(cursor, this.cursor)) return; // a server that repeats itself
      this.cursor = cursor;
    }
    const id = message.prompt_id || data?.prompt_id;
    const hidden = this.#resumes && !cursor && this.#asked.find((ask) => ask.id === id)?.hidden;
    if (typeof id === "string" && id) {
      const entry = this.#entry(id);
      if (entry.tail && cursor) entry.tail.push(message);
      else this.#fold(entry, message);
    }
    if (type === "nodebus.watching" && this.#answered(data)) return;
    if (hidden) return; // the past of a run, for followers
    if (type === "b_preview_with_metadata" && data.url && !data.blob) this.#image(message);
    else this.#publish(message);
    if (type === "nodebus.gap") this.#gap(data);
    else if (type === "status" && !this.#resumes) {
      for (const entry of this.#runs.values()) if (entry.followers.size && !entry.run.state) this.#learn(entry);
    }
  }

  /** Gives a message to the listeners. */
  #publish(message) {
    const { type, data } = message;
    this.#dispatch("message", message, message);
    if (!OWN_EVENTS.includes(type) || type === "b_preview") this.#dispatch(type, data, message);
    if (type === "b_preview_with_metadata") this.#dispatch("b_preview", data.blob, message);
  }

  #dispatch(type, detail = null, message = null) {
    const event = new CustomEvent(type, { detail });
    event.message = message;
    this.dispatchEvent(event);
  }

  /** Fetches the image of a preview. A stream has only its address. */
  async #image(message) {
    const images = this.#images;
    const running = images.size > 0;
    images.set(message.data.node_id, message); // a newer one replaces it
    if (running) return;
    for (const [node, newest] of images) {
      try {
        const response = await this.#fetch(this.#address(newest.data.url.replace(/^\?/, `${this.#options.events}?`)), { signal: this.#life.signal });
        if (response.ok) {
          const { url, ...data } = newest.data;
          this.#publish({ ...newest, data: { ...data, blob: await response.blob() } });
        }
      } catch {} // a preview is no loss
      if (images.get(node) === newest) images.delete(node);
    }
  }

  // ---- the end

  close() {
    this.#end(new Error("nodebus: the client is closed"));
  }

  #end(error) {
    if (this.#life.signal.aborted) return;
    this.#life.abort(error);
    clearTimeout(this.#timer);
    clearTimeout(this.#connection?.timer);
    const connection = this.#connection;
    this.#connection = null;
    this.connected = false;
    connection?.close();
    this.#ready.reject(error);
    for (const ask of this.#asked.splice(0)) ask.reject(error);
    for (const entry of this.#runs.values()) {
      for (const { reject } of entry.followers) reject(error);
      entry.followers.clear();
    }
    if (error instanceof RefusedError) this.#dispatch("refused", error);
  }
}

// ---- reading

function openSocket(WebSocket, url, connection, on) {
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url.href);
  socket.binaryType = "arraybuffer";
  socket.onopen = on.open;
  socket.onmessage = ({ data }) => on.frame(data);
  socket.onclose = () => on.lost();
  socket.onerror = () => {}; // the close follows
  connection.send = (text) => socket.send(text);
  connection.close = () => socket.close();
}

function openStream(fetch, connection, on) {
  const controller = new AbortController();
  connection.close = () => controller.abort();
  const read = async () => {
    const response = await fetch({ headers: { Accept: "text/event-stream" }, cache: "no-store", signal: controller.signal });
    if (!response.ok) throw new RefusedError(response.status, await readBody(response));
    if (!/^text\/event-stream/.test(response.headers.get("Content-Type"))) throw new RefusedError(404, "there is no stream of events at this address");
    on.open();
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let data = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      on.alive();
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) data += `${line.slice(5)}\n`;
        else if (!line && data) {
          on.frame(data);
          data = "";
        }
      }
    }
  };
  read().then(on.lost, on.lost);
}

/** Returns the JSON of a response, or its text. */
async function readBody(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Makes a message of what a frame says about itself. Members of another type are left out. */
function toMessage({ type, cursor, prompt_id, time, attempt }, data) {
  if (typeof type !== "string") throw new TypeError("it has no type");
  const message = { type, data };
  if (typeof cursor === "string") message.cursor = cursor;
  if (typeof prompt_id === "string") message.prompt_id = prompt_id;
  if (typeof time === "number") message.time = time;
  if (typeof attempt === "number") message.attempt = attempt;
  return message;
}

/** Reads a text frame. A stream has texts for binary frames, too. */
function readText(text, stream) {
  const frame = JSON.parse(text);
  const message = toMessage(frame, frame.data);
  const { type, data, prompt_id } = message;
  if (!stream || !data) return message;
  if (type === "progress_text") message.data = { ...data, prompt_id };
  else if (typeof data.base64 === "string" && Object.keys(data).length === 1) {
    message.data = Uint8Array.from(atob(data.base64), (c) => c.charCodeAt());
  }
  return message;
}

/** Reads a binary frame. */
function readBinary(buffer, envelope = {}) {
  const view = new DataView(buffer);
  const text = (from, length) => new TextDecoder().decode(new Uint8Array(buffer, from, length));
  const kind = view.getUint32(0);
  const image = (type, from) => new Blob([new Uint8Array(buffer, from)], { type });
  const message = (type, data) => toMessage({ ...envelope, type }, data);
  switch (kind) {
    case 1:
      return message("b_preview", image(view.getUint32(4) === 2 ? "image/png" : "image/jpeg", 8));
    case 3: {
      const length = view.getUint32(4);
      return message("progress_text", { node_id: text(8, length), text: text(8 + length), prompt_id: envelope.prompt_id });
    }
    case 4: {
      const length = view.getUint32(4);
      const data = JSON.parse(text(8, length));
      return message("b_preview_with_metadata", { ...data, blob: image(data.image_type, 8 + length) });
    }
    case 20034: {
      const length = view.getUint32(4);
      return readBinary(buffer.slice(8 + length), JSON.parse(text(8, length)));
    }
  }
  return message(envelope.type ?? String(kind), new Uint8Array(buffer, 4));
}

/** Reports whether a cursor is later than another, or of another life of the server's log. */
function isLater(cursor = "", other = "") {
  const [life, place] = splitCursor(cursor);
  const [otherLife, otherPlace] = splitCursor(other);
  return life !== otherLife || place > otherPlace;
}

function splitCursor(cursor) {
  const i = cursor.lastIndexOf("-");
  return [cursor.slice(0, i), Number(cursor.slice(i + 1))];
}

// ---- the state of a run

export function fold(run, message) {
  run ??= {};
  if (!run.waiting) reset(run, run);
  const { type, cursor, time } = message;
  const data = message.data ?? {};
  if (type === "nodebus.gap") {
    if (!run.closed) run.incomplete = true;
    return run;
  }
  const step = STEPS[type];
  const id = message.prompt_id || (step && data.prompt_id);
  if (!id || (run.prompt_id && run.prompt_id !== id)) return run;
  if (type === "nodebus.run") reset(run, structuredClone(data));
  run.prompt_id = id;
  if (cursor) run.cursor = cursor;
  if (type === "nodebus.run") return run;
  if (type === "nodebus.watching") {
    if (data.incomplete && !run.closed) run.incomplete = true;
    return run;
  }
  const starts = type === "execution_start";
  const attempt = Math.max(message.attempt ?? 1, (starts && data.attempt) || 1);
  if (starts ? run.closed || attempt >= (run.attempt ?? 1) : attempt > run.attempt) reset(run, { prompt_id: id, cursor: run.cursor });
  else if (run.closed || attempt < run.attempt) return run;
  run.attempt = attempt;
  if (!step) return run;
  step(run, data, data.timestamp || time);
  if (!run.closed) run.state ||= "running";
  return run;
}

/** Replaces everything in a run. */
function reset(run, { prompt_id = "", state = "", nodes, order, waiting, ...rest }) {
  for (const key of Object.keys(run)) delete run[key];
  // The ids of nodes can be any text, also the name of a method of objects.
  Object.assign(run, rest, { prompt_id, state, nodes: { __proto__: null, ...nodes }, order: order ?? [], waiting: waiting ?? [] });
}

/** Returns the node of a run with this id, and takes over what is known about its place. */
function nodeOf(run, id, place = {}) {
  let node = run.nodes[id];
  if (!node) {
    node = { node_id: id, display_node_id: id, parent_node_id: null, real_node_id: id, state: "running", value: 0, max: 1 };
    if (!id) return node; // which is no node of the run
    run.nodes[id] = node;
    run.order.push(id);
  }
  for (const key of ["display_node_id", "parent_node_id", "real_node_id"]) node[key] = place[key] || node[key];
  return node;
}

function setProgress(node, { value, max }) {
  node.max = Math.max(max, 0) || 0;
  node.value = Math.min(Math.max(value, 0) || 0, node.max);
}

const isKept = ({ state }) => state === "cached" || state === "blocked";

const failure = ({ exception_type, exception_message, traceback }) => ({ exception_type, exception_message, traceback: traceback ?? [] });

const byteLength = (text) => new TextEncoder().encode(text).length;

/** The lengths of texts, [in characters, in bytes] by name: a long text is not measured for each piece. */
const measured = new WeakMap();

/** The run has ended; the nodes that still run get the state left. */
function end(run, time, state, left) {
  Object.assign(run, { state, ended: time, waiting: [] });
  for (const node of Object.values(run.nodes)) if (node.state === "running") node.state = left;
}

/** What the events of a run change in it. */
const STEPS = {
  __proto__: null,
  "nodebus.run"() {},
  "nodebus.watching"() {},
  execution_start(run, data, time) {
    run.started = time;
  },
  execution_cached(run, data) {
    for (const id of data.nodes ?? []) Object.assign(nodeOf(run, id), { state: "cached", value: 1, max: 1 });
  },
  executing(run, { node, display_node }) {
    if (node) nodeOf(run, node, { display_node_id: display_node });
    else Object.assign(run, { closed: true, waiting: [] });
  },
  progress(run, data) {
    setProgress(nodeOf(run, data.node), data);
  },
  progress_state(run, data) {
    for (const [id, place] of Object.entries(data.nodes ?? {})) {
      const node = nodeOf(run, id, place);
      setProgress(node, place);
      const { state } = place;
      if (state === "error" || ((state === "running" || state === "finished") && !isKept(node))) node.state = state;
    }
  },
  executed(run, { node, display_node, output }) {
    nodeOf(run, node, { display_node_id: display_node }).output = output ?? undefined;
  },
  "nodebus.node_done"(run, data) {
    const node = nodeOf(run, data.node_id, data);
    Object.assign(node, { duration: data.duration || undefined, value: node.max, state: data.cached ? "cached" : "finished" });
  },
  "nodebus.node_error"(run, data) {
    Object.assign(nodeOf(run, data.node_id, data), { state: "error", error: failure(data) });
  },
  execution_success(run, data, time) {
    end(run, time, "success", "finished");
  },
  execution_interrupted(run, data, time) {
    end(run, time, "interrupted", "interrupted");
  },
  execution_error(run, data, time) {
    const { node_id, node_type, exception_type } = data;
    const error = failure(data);
    if (exception_type === "ExecutionBlocked") {
      Object.assign(nodeOf(run, node_id), { state: "blocked", error });
      return;
    }
    run.error = { node_id: node_id || undefined, node_type: node_type || undefined, ...error };
    if (node_id) {
      // The id is of a node of the submitted graph; perhaps a node that it made has failed.
      const nodes = run.order.map((id) => run.nodes[id]).filter((n) => n.node_id === node_id || n.real_node_id === node_id);
      const node = nodes.find((n) => n.state === "error" && !n.error) ?? nodes.find((n) => n.state === "running") ?? nodeOf(run, node_id);
      node.state = "error";
      node.error ??= { ...error };
    }
    end(run, time, exception_type === "refused" ? "refused" : "error", "interrupted");
  },
  "nodebus.waiting"(run, data) {
    nodeOf(run, data.node_id, data);
    const i = run.waiting.findIndex((q) => q.node_id === data.node_id && q.name === data.name);
    run.waiting.splice(i < 0 ? run.waiting.length : i, 1, data);
  },
  "nodebus.answered"(run, data) {
    run.waiting = run.waiting.filter((q) => q.node_id !== data.node_id || q.name !== data.name);
  },
  "nodebus.text"(run, data) {
    const { name, offset, piece } = data;
    const texts = (nodeOf(run, data.node_id, data).texts ??= { __proto__: null });
    const old = (offset && Object.hasOwn(texts, name) && texts[name]) || "";
    let known = measured.get(texts);
    if (!known) measured.set(texts, (known = new Map()));
    const [of, size] = known.get(name) ?? [];
    const bytes = of === old.length ? size : byteLength(old);
    if (offset > bytes) run.incomplete = true;
    texts[name] = old + piece;
    known.set(name, [texts[name].length, bytes + byteLength(piece)]);
  },
  progress_text(run, data) {
    nodeOf(run, data.node_id).text = data.text || undefined;
  },
  "nodebus.overall"(run, data) {
    run.overall = data.value || undefined;
  },
};

/** Makes the state of a run from a record of the history. */
function foldRecord(id, { status, outputs = {}, meta = {} }) {
  let run = null;
  const add = (type, data) => (run = fold(run, { type, data: { ...data, prompt_id: id }, attempt: data.attempt ?? run?.attempt }));
  for (const [type, data] of status?.messages ?? []) add(type, data);
  for (const [node, output] of Object.entries(outputs)) add("executed", { node, display_node: meta[node]?.display_node ?? node, output });
  add("executing", { node: null });
  run.state ||= status?.status_str ?? "success";
  return run;
}

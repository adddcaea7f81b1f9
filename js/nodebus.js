/**
 * nodebus.js follows the runs of graphs on a server of nodebus, or on ComfyUI. It has no
 * dependency and needs no build step. It runs in browsers, in workers, and in Node 20 or
 * newer. nodebus.d.ts describes everything that it exports.
 *
 * How a message travels:
 *
 *   openSocket, openStream   read frames from a connection
 *   readText, readBinary     make messages of them
 *   Client.#take             drops what came before, and keeps the cursor
 *   fold                     brings the state of the run up to date
 *   listeners, onchange      your code
 */

/** How long a server may take to accept a connection, or to answer, in milliseconds. */
const PATIENCE = 10_000;
/** How many prompts a client can watch: servers accept no more in the address of a connection. The client remembers as many runs, and an eighth of it that have ended. */
const WATCH_MAX = 256;

/** The server refused a request, or the connection. */
export class RefusedError extends Error {
  constructor(status, body) {
    const error = body?.error ?? body;
    super(error?.message || error?.trim?.() || `status ${status}`);
    this.name = "RefusedError";
    this.status = status;
    this.details = error?.details ?? body?.details ?? "";
    this.nodeErrors = body?.node_errors ?? {};
    this.body = body;
  }
}

/** Reports whether it is useless to try again. 429: there were too many requests. */
const isRefusal = (error) => error?.status < 500 && error.status !== 429;

export class Client extends EventTarget {
  connected = false;
  #ready = defer();
  ready = this.#ready.promise;

  #options;
  #base; // the address below which the routes are
  #life = new AbortController(); // ends at close
  #connection; // or the attempt to make it
  #timer; // of the connection, or of the next attempt to make it
  #wait; // milliseconds before the next attempt
  #stream; // what to try first: a stream, or a WebSocket
  #greeted = false; // the client was connected once
  #broken = false; // the connection is lost, and "reconnecting" was dispatched
  #resumes = false; // the server sends cursors
  #watched; // the ids of prompts that the server watches for the client; true: not only for followers
  #asked = []; // requests to watch that wait for their answers
  #runs = new Map(); // what is known about the runs, by prompt id
  #remaining; // prompts that wait or run
  #checking = false;
  #images = new Map(); // previews of a stream whose images are to be fetched, by node
  #fetching = false;

  constructor(options) {
    super();
    const { document, location, WebSocket, fetch } = globalThis;
    const o = (this.#options = { transport: "auto", socket: "ws", events: "events", retry: 300, ping: 25_000, WebSocket, fetch, ...options });
    this.#base = new URL(o.url ?? ".", document?.baseURI ?? location?.href); // an error in Node, without url
    this.#base.pathname = this.#base.pathname.replace(/\/?$/, "/");
    this.#wait = o.retry;
    if (!o.WebSocket) o.transport = "sse";
    this.#stream = o.transport === "sse";
    this.clientId = o.clientId ?? "";
    this.cursor = o.since ?? "";
    this.#watched = new Map(o.watch?.map((id) => [id, true]));
    // An AbortController has the member signal, as the options of addEventListener have.
    globalThis.addEventListener?.("online", () => this.#hurry(true), this.#life);
    document?.addEventListener("visibilitychange", () => this.#hurry(), this.#life);
    this.#connect();
  }

  // ---- requests

  async request(path, init = {}) {
    const { body, headers, signal } = init;
    const life = this.#life.signal;
    const json = body?.constructor === Object && { body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } };
    const response = await this.#fetch(this.#address(path), { ...init, ...json, signal: AbortSignal.any([life, signal ?? life]) });
    const answer = await readBody(response);
    if (!response.ok) throw new RefusedError(response.status, answer);
    return answer;
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

  interrupt(promptId) {
    return this.#post("interrupt", { prompt_id: promptId });
  }

  answer(question, value) {
    return this.#post("nodebus/answer", { ...question, value });
  }

  refuse(question, refuse = "") {
    return this.#post("nodebus/answer", { ...question, refuse });
  }

  watch(promptId) {
    return this.#ask("watch", promptId);
  }

  unwatch(promptId) {
    return this.#ask("unwatch", promptId);
  }

  #post(path, body) {
    return this.request(path, { method: "POST", body });
  }

  /** A connection that the browser has kept may be dead after a break: the next attempt takes another one. */
  #get(path) {
    return this.request(path, { signal: AbortSignal.timeout(PATIENCE) });
  }

  #fetch(url, init) {
    const { fetch, headers } = this.#options;
    return fetch(url, { ...init, headers: { ...headers, ...init.headers } });
  }

  /** Returns the URL of a route. The query of the option url belongs to each route. */
  #address(path, query = []) {
    const url = new URL(path, this.#base);
    for (const [name, value] of [...this.#base.searchParams, ...query]) url.searchParams.append(name, value);
    return url;
  }

  // ---- runs

  follow(promptId, onchange) {
    this.#life.signal.throwIfAborted();
    const entry = this.#entry(promptId);
    const follower = { onchange, ...defer() };
    const stop = (reason = new DOMException("stopped", "AbortError")) => {
      follower.reject(reason);
      if (entry.followers.delete(follower)) this.#leave(entry);
    };
    entry.followers.add(follower);
    entry.known &&= entry.own || entry.run.closed || this.#watched.has(promptId); // else its events come no more
    if (!entry.known) this.#learn(entry);
    else queueMicrotask(() => this.#changed(entry, null));
    return {
      get run() {
        return entry.run;
      },
      done: follower.promise,
      stop,
    };
  }

  async wait(promptId, { signal } = {}) {
    signal?.throwIfAborted();
    const { done, stop } = this.follow(promptId);
    const abort = () => stop(signal.reason);
    signal?.addEventListener("abort", abort);
    return done.finally(() => signal?.removeEventListener("abort", abort));
  }

  /** Returns what is known about a run. */
  #entry(id) {
    const runs = this.#runs;
    let entry = runs.get(id);
    if (!entry) {
      // known: the run is complete, or as complete as it can be. own: this client has
      // submitted it. tail: messages that wait until the beginning is known.
      entry = { id, run: snapshot({ prompt_id: id }), followers: new Set() };
      for (const [old, { followers, run }] of runs) if (!followers.size && runs.size >= (run.closed ? WATCH_MAX / 8 : WATCH_MAX)) runs.delete(old);
      runs.set(id, entry);
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
    clearTimeout(entry.timer);
    const { id, known } = entry;
    const tail = (entry.tail = []);
    let state, refusal;
    try {
      if (this.#resumes && !entry.own && !this.#watched.has(id)) {
        await this.#ask("watch", id, true).catch((error) => (refusal = error)); // perhaps it is a prompt of ours
      }
      if (!entry.run.state || entry.run.incomplete || this.#stream) state = await this.#state(id);
      if (refusal && !state && !entry.run.state) throw refusal;
    } catch (error) {
      entry.tail = null;
      if (isRefusal(error)) {
        entry.run.incomplete = true;
        STEPS.executing(entry.run, {}); // it has ended
        this.#tell(entry, null);
        this.#finish(entry, error);
        this.#runs.delete(id);
      } else {
        entry.timer = setTimeout(() => this.#learn(entry), 8 * this.#options.retry);
        this.#leave(entry); // if nobody follows it now
      }
      return;
    }
    entry.tail = null;
    if (!entry.followers.size) return this.#leave(entry);
    if (tail.gap) return this.#learn(entry);
    const counts = state?.closed || state?.cursor; // otherwise the messages say as much
    entry.known = true;
    if (counts) entry.run = snapshot(state);
    else if (!state && !entry.run.state) entry.run.incomplete = true; // until it begins
    if (counts || !known) this.#changed(entry, null);
    for (const message of tail) this.#fold(entry, message);
  }

  /** Asks for the state of a run. Returns undefined if the server does not say it. */
  async #state(id) {
    const path = encodeURIComponent(id);
    try {
      const state = await this.#get(`nodebus/runs/${path}?clientId=${encodeURIComponent(this.clientId)}`);
      if (state?.prompt_id) return state;
    } catch (error) {
      if (!isRefusal(error) || error.body?.error) throw error;
    } // else the server has no such route
    try {
      const queue = await this.#get("queue");
      if ([...queue.queue_running, ...queue.queue_pending].some((item) => item[1] === id)) return;
      const { [id]: record } = await this.#get(`history/${path}`);
      if (record) return foldRecord(id, record);
    } catch (error) {
      if (isRefusal(error)) return; // there are only events
      throw error;
    }
    throw new RefusedError(404, `no prompt ${id} is known`);
  }

  /** Brings a run up to date. */
  #fold(entry, message) {
    if (message.cursor && !isLater(message.cursor, entry.run.cursor)) return; // the state was ahead
    entry.run = fold(entry.run, message);
    if (message.type === "execution_start") entry.known = true;
    if (!entry.tail) this.#changed(entry, message);
  }

  /** Tells the followers of a run that it has changed, or that it has ended. */
  #changed(entry, message) {
    this.#tell(entry, message);
    if (entry.run.closed && entry.followers.size) this.#settle(entry);
  }

  #tell(entry, message) {
    for (const { onchange } of entry.followers) {
      try {
        onchange?.(entry.run, message);
      } catch (error) {
        Promise.reject(error); // reports it
      }
    }
  }

  async #settle(entry) {
    if (entry.run.incomplete) {
      const state = await this.#state(entry.id).catch(() => this.#state(entry.id)).catch(() => {});
      if (state?.closed) {
        entry.run = snapshot(state);
        this.#tell(entry, null);
      }
    }
    this.#finish(entry);
  }

  /** Ends the following of a run. */
  #finish(entry, error) {
    for (const { resolve, reject } of entry.followers) error ? reject(error) : resolve(entry.run);
    entry.followers.clear();
    this.#leave(entry);
  }

  /** Ends the watching of a prompt that only followers have watched. */
  #leave(entry) {
    const { id, followers, run } = entry;
    if (followers.size) return;
    clearTimeout(entry.timer);
    if (this.#watched.get(id) || !this.#watched.delete(id)) return;
    if (!run.closed) this.#runs.delete(id);
    if (this.connected && !this.#connection.stream) this.#ask("unwatch", id, true).catch(() => {});
  }

  /** Events are lost: what is known about the running prompts may be wrong. */
  #gap(detail) {
    for (const entry of this.#runs.values()) {
      if (entry.run.closed) continue;
      entry.known = !(entry.run.incomplete = true);
      if (entry.tail) entry.tail.gap = true;
      if (entry.followers.size) this.#learn(entry);
      else this.#runs.delete(entry.id);
    }
    this.#dispatch("gap", detail);
  }

  /** Looks for followed prompts that will not begin: they were deleted, or are of another client of ComfyUI. */
  async #check() {
    if (this.#checking) return;
    this.#checking = true;
    for (const entry of this.#runs.values()) if (entry.followers.size && !entry.run.state) await this.#learn(entry);
    this.#checking = false;
  }

  // ---- watching

  /** Asks the server to watch a prompt, or to leave it. hidden: for followers, not for listeners. */
  async #ask(type, id, hidden) {
    await this.ready;
    this.#life.signal.throwIfAborted();
    if (!this.#resumes) throw new RefusedError(501, "the server cannot watch");
    if (type === "watch" && this.#watched.size + this.#asked.length >= WATCH_MAX) throw new RefusedError(400, `more than ${WATCH_MAX} watched prompts`);
    const ask = { type, id, hidden, ...defer() };
    this.#asked.push(ask);
    if (this.connected) this.#send(ask);
    return ask.promise;
  }

  #send({ type, id, named }) {
    const connection = this.#connection;
    if (!connection.stream) connection.send("nodebus." + type, { prompt_id: id });
    else if (named === connection) this.#answered({ prompt_id: id }); // its address has named the prompt
    else if (!connection.replaced) {
      // A stream cannot ask: the next one has another address. It lives for a while, to bring what came meanwhile.
      connection.replaced = true;
      const replace = () => {
        if (this.#connection !== connection) return;
        this.connected = false;
        connection.close();
        this.#open(true, false, this.#options.retry);
      };
      setTimeout(replace, connection.greeted + connection.stays - Date.now());
    }
  }

  /** Handles an answer to a request to watch. Returns whether listeners should not see it. */
  #answered({ prompt_id, error }) {
    const i = this.#asked.findIndex((ask) => ask.id === prompt_id);
    if (i < 0) return prompt_id === ""; // to a probe
    const [{ type, id, hidden, resolve, reject }] = this.#asked.splice(i, 1);
    if (error) reject(new RefusedError(403, error));
    else if (type === "watch") this.#watched.set(id, !hidden || this.#watched.get(id));
    else this.#watched.delete(id);
    resolve();
    return hidden;
  }

  // ---- the connection

  #connect() {
    if (!this.#life.signal.aborted) this.#open(this.#stream, this.#options.transport === "auto");
  }

  /** Opens a stream or a WebSocket, or the other if that fails. A stream stays so many milliseconds before the next one replaces it. */
  #open(stream, other, stays = 0) {
    const { transport, socket, events, retry, WebSocket } = this.#options;
    const connection = (this.#connection = {
      stream,
      seen: Date.now(),
      stays,
      close() {},
      open() {
        connection.opened = true;
        connection.send?.("feature_flags", { supports_preview_metadata: true });
      },
      alive() {
        connection.seen = Date.now();
        connection.probed = false;
      },
      frame: (frame) => {
        if (this.#connection !== connection) return;
        connection.alive();
        try {
          this.#take(connection, typeof frame === "string" ? readText(frame, stream && url) : readBinary(frame));
        } catch (error) {
          console.warn(error);
        }
      },
      lost: (error) => {
        if (this.#connection !== connection) return;
        clearTimeout(this.#timer);
        this.#connection = null;
        this.connected = false;
        connection.close(); // which can report an error
        for (const entry of this.#runs.values()) if (entry.past && !entry.run.closed) entry.known = !(entry.run.incomplete = true);
        const refused = isRefusal(error);
        if (refused && (transport === "sse" || ![404, 405].includes(error.status))) return this.#end(error);
        if (other && !connection.greeted) return this.#open(!stream);
        if (!connection.greeted && (!stream || refused)) {
          // No browser says why a WebSocket fails. A plain route tells whether the server refuses the client.
          this.#get("prompt").catch((error) => [401, 403].includes(error.status) && !this.connected && this.#end(error));
        }
        this.#timer = setTimeout(() => this.#connect(), (this.#wait * (1 + Math.random())) / 2);
        this.#wait = Math.min(this.#wait * 2, retry * 32);
        if (!this.#greeted || this.#broken) return;
        this.#broken = true;
        this.#dispatch("reconnecting");
      },
    });
    const ids = new Set(this.#watched.keys());
    if (stream) {
      for (const ask of this.#asked) {
        ask.named = connection;
        ids[ask.type === "watch" ? "add" : "delete"](ask.id);
      }
    }
    const query = [["clientId", this.clientId], ["since", this.cursor], ...[...ids].map((id) => ["watch", id])];
    const url = this.#address(stream ? events : socket, query);
    this.#guard(connection);
    try {
      if (stream) openStream((init) => this.#fetch(url, init), connection);
      else openSocket(WebSocket, url, connection);
    } catch (error) {
      connection.lost(error);
    }
  }

  /** The first message of a connection has come. */
  #greet(connection, message) {
    const again = this.#greeted;
    this.clientId = message?.data?.sid ?? this.clientId;
    this.#stream = connection.stream;
    this.#resumes = connection.stream || message?.cursor;
    connection.greeted = Date.now();
    this.connected = this.#greeted = true;
    this.#guard(connection);
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
  #guard(connection, hurry) {
    clearTimeout(this.#timer);
    const { greeted, probed, stream } = connection;
    if (greeted && !this.#resumes) return; // ComfyUI answers nothing
    const { ping } = this.#options;
    const patience = Math.min(ping, PATIENCE);
    const silence = !greeted ? PATIENCE : probed ? patience : stream ? (hurry ? 2 : 3) * ping : hurry ? 0 : ping;
    let left = connection.seen + silence - Date.now();
    if (left <= 0) {
      if (!greeted && connection.opened) return this.#greet(connection); // a server without a greeting
      if (!greeted || probed || stream) return connection.lost();
      connection.send("nodebus.unwatch", { prompt_id: "" }); // which is answered
      connection.probed = true;
      connection.seen = Date.now();
      left = patience;
    }
    this.#timer = setTimeout(() => this.#guard(connection), left);
  }

  /** The network is back, or the user looks: do not wait for a timer. */
  #hurry(online) {
    const connection = this.#connection;
    if (online && !this.#resumes) connection?.lost(); // ComfyUI cannot be asked
    if (!this.#connection) this.#connect();
    else if (connection.greeted) this.#guard(connection, true);
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
    const id = message.prompt_id ?? data?.prompt_id;
    const hidden = !cursor && this.#asked.find((ask) => ask.id === id)?.hidden; // the past of a run
    if (typeof id === "string") {
      const entry = this.#entry(id);
      entry.past = !cursor; // the next connection begins before it
      if (entry.tail && cursor) entry.tail.push(message);
      else {
        if (type !== "nodebus.watching") entry.tail?.splice(0); // its past has it
        this.#fold(entry, message);
      }
    }
    if ((type === "nodebus.watching" && this.#answered(data ?? {})) || hidden) return;
    this.#dispatch("message", message, message);
    if (type === "b_preview_with_metadata" && data?.url) this.#image(message);
    else if (type !== "message") this.#publish(message);
    if (type === "nodebus.gap") this.#gap(data);
    const remaining = data?.status?.exec_info?.queue_remaining;
    if (remaining < this.#remaining) this.#check();
    this.#remaining = remaining ?? this.#remaining;
  }

  /** Gives a message to the listeners of its type. */
  #publish(message) {
    const { type, data } = message;
    this.#dispatch(type, data, message);
    if (type === "b_preview_with_metadata") this.#dispatch("b_preview", data.blob, message);
  }

  #dispatch(type, detail, message = null) {
    const event = new CustomEvent(type, { detail });
    event.message = message;
    this.dispatchEvent(event);
  }

  /** Fetches the image of a preview: a stream has only its address. Another host must not receive the headers. */
  async #image(message) {
    const images = this.#images;
    const { data } = message;
    images.set(data.final ? message : data.node_id, message); // a newer preview replaces one that waits
    if (this.#fetching) return;
    this.#fetching = true;
    for (const [node, { data, ...rest }] of images) {
      images.delete(node);
      try {
        const url = this.#address(data.url);
        if (this.#base.origin !== url.origin) continue;
        const response = await this.#fetch(url, { signal: AbortSignal.any([this.#life.signal, AbortSignal.timeout(PATIENCE)]) });
        if (response.ok) this.#publish({ ...rest, data: { ...data, blob: await response.blob() } });
      } catch {} // a preview is no loss
    }
    this.#fetching = false;
  }

  // ---- the end

  close() {
    this.#end(new Error("the client is closed"));
  }

  #end(error) {
    if (this.#life.signal.aborted) return;
    this.#life.abort(error);
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = null;
    this.connected = false;
    connection?.close();
    this.#ready.reject(error);
    for (const { reject } of this.#asked) reject(error);
    for (const entry of this.#runs.values()) this.#finish(entry, error);
    if (isRefusal(error)) this.#dispatch("refused", error);
  }
}

// ---- reading

function openSocket(WebSocket, url, connection) {
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url.href);
  socket.binaryType = "arraybuffer";
  socket.onopen = connection.open;
  socket.onmessage = ({ data }) => connection.frame(data);
  socket.onclose = socket.onerror = () => connection.lost(); // Node 20 reports no close of a refused handshake
  connection.send = (type, data) => socket.send(JSON.stringify({ type, data }));
  connection.close = () => socket.close();
}

function openStream(fetch, connection) {
  const controller = new AbortController();
  connection.close = () => controller.abort();
  const read = async () => {
    const response = await fetch({ headers: { Accept: "text/event-stream" }, signal: controller.signal });
    if (!response.ok) throw new RefusedError(response.status, await readBody(response));
    if (!response.headers.get("Content-Type")?.includes("text/event-stream")) throw new RefusedError(404); // a page, for example
    connection.open();
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let data = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      connection.alive();
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) data += line.slice(5) + "\n";
        else if (!line && data) {
          connection.frame(data);
          data = "";
        }
      }
    }
  };
  read().then(connection.lost, connection.lost);
}

/** Returns a promise with what settles it. Whoever waits for it hears of an error; nobody has to. */
function defer() {
  let settle;
  const promise = new Promise((resolve, reject) => (settle = { resolve, reject }));
  promise.catch(() => {});
  return { promise, ...settle };
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

/** What a frame can say about its event. A member of another type is left out. */
const ENVELOPE = { cursor: "", prompt_id: "", time: 0, attempt: 0 };

function toMessage(type, data, envelope) {
  if (typeof type !== "string") throw new TypeError("type");
  const message = { type, data };
  for (const key in ENVELOPE) if (typeof envelope[key] === typeof ENVELOPE[key]) message[key] = envelope[key];
  return message;
}

/** Reads a text frame. A stream, which has an address, has texts for binary frames, too. */
function readText(text, address) {
  const frame = JSON.parse(text);
  const message = toMessage(frame.type, frame.data, frame);
  const { type, data } = message;
  if (!address || !data) return message;
  if (type === "progress_text") data.prompt_id = message.prompt_id;
  else if (type === "b_preview_with_metadata" && data.url) data.url = new URL(data.url, address).href;
  return message;
}

/** Reads a binary frame. */
function readBinary(buffer, envelope) {
  const view = new DataView(buffer);
  const text = (from, length) => new TextDecoder().decode(new Uint8Array(buffer, from, length));
  const image = (type, from) => new Blob([new Uint8Array(buffer, from)], { type });
  const message = (type, data) => toMessage(type, data, envelope ?? {});
  const kind = view.getUint32(0);
  const length = view.byteLength < 8 ? 0 : view.getUint32(4); // or the format of the image, in type 1
  const end = 8 + length;
  if (kind === 1) return message("b_preview", image(length === 2 ? "image/png" : "image/jpeg", 8));
  if (kind === 3) return message("progress_text", { node_id: text(8, length), text: text(end), prompt_id: envelope?.prompt_id });
  if (kind === 4) {
    const data = JSON.parse(text(8, length));
    return message("b_preview_with_metadata", { ...data, blob: image(data.image_type, end) });
  }
  if (kind === 20034 && !envelope) return readBinary(buffer.slice(end), JSON.parse(text(8, length)));
  return message(envelope?.type ?? String(kind), new Uint8Array(buffer, 4));
}

/** Reports whether a cursor, "<epoch>-<number>", is later than another, or of another epoch. docs/wire.md promises this form. */
function isLater(cursor, other = "") {
  const [[epoch, number], [otherEpoch, otherNumber]] = [cursor, other].map((text) => text.split(/-(?=\d+$)/));
  return epoch !== otherEpoch || (number !== otherNumber && +number >= +otherNumber); // large numbers can be equal
}

// ---- the state of a run

export function fold(run, message) {
  run ??= {};
  if (Object.getPrototypeOf(run.nodes ?? run)) reset(run, run); // it is new, or a copy
  const { type, cursor, time } = message;
  const data = message.data ?? {};
  if (type === "nodebus.gap") {
    if (!run.closed) run.incomplete = true;
    return run;
  }
  const step = STEPS[type];
  const id = message.prompt_id || (step !== undefined && data.prompt_id);
  if (!id || (run.prompt_id && run.prompt_id !== id)) return run;
  if (type === "nodebus.run") reset(run, data);
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
  if (!run.state && !starts && type !== "execution_interrupted") run.incomplete = true; // the start is missing
  try {
    step(run, data, data.timestamp || time);
  } catch {} // it is not what the wire promises
  if (!run.closed) run.state ||= "running";
  return run;
}

const snapshot = (data) => fold(null, { type: "nodebus.run", data });

/** Replaces everything in a run. */
function reset(run, data) {
  // The ids of nodes can be any text, also the name of a method of objects.
  const fresh = { prompt_id: "", state: "", order: [], waiting: [], ...data, nodes: { __proto__: null, ...data.nodes } };
  delete fresh.__proto__; // which assign would take for the prototype
  for (const key in run) delete run[key];
  Object.assign(run, fresh);
}

/** Returns the node of a run with this id, takes over what is known about its place, and changes it. */
function nodeOf(run, id, place, changes) {
  let node = run.nodes[id];
  if (!node) {
    node = { node_id: id, display_node_id: id, parent_node_id: null, real_node_id: id, state: "running", value: 0, max: 1 };
    if (!id) return node; // which is no node of the run
    run.nodes[id] = node;
    run.order.push(id);
  }
  for (const key of ["display_node_id", "parent_node_id", "real_node_id"]) node[key] = place?.[key] || node[key];
  return Object.assign(node, changes);
}

function setProgress(node, { value, max }) {
  node.max = Math.max(max, 0) || 0;
  node.value = Math.min(Math.max(value, 0) || 0, node.max);
}

const failure = ({ exception_type, exception_message, traceback = [] }) => ({ exception_type, exception_message, traceback });

/** Replaces a question in the list of open questions, or adds it; or removes it. */
function setQuestion({ waiting }, { node_id, name }, ...questions) {
  const i = waiting.findIndex((q) => q.node_id === node_id && q.name === name);
  waiting.splice(i < 0 ? Infinity : i, 1, ...questions);
}

const byteLength = (text) => new TextEncoder().encode(text).length;

/** A member of a node: the lengths of its texts in bytes. A long text is not measured again for each piece. JSON leaves it out. */
const SIZES = Symbol();

/** The run has ended; the nodes that still run get the state left. */
function end(run, time, state, left) {
  Object.assign(run, { state, ended: time, waiting: [] });
  for (const node of Object.values(run.nodes)) if (node.state === "running") node.state = left;
}

/** What the events of a run change in it. */
const STEPS = {
  __proto__: null,
  "nodebus.run": null,
  "nodebus.watching": null,
  execution_start(run, data, time) {
    run.started = time;
  },
  execution_cached(run, data) {
    for (const id of data.nodes) nodeOf(run, id, null, { state: "cached", value: 1, max: 1 });
  },
  executing(run, { node, display_node }) {
    if (node) nodeOf(run, node, { display_node_id: display_node });
    else Object.assign(run, { closed: true, waiting: [] });
  },
  progress(run, data) {
    setProgress(nodeOf(run, data.node), data);
  },
  progress_state(run, data) {
    for (const [id, place] of Object.entries(data.nodes)) {
      const node = nodeOf(run, id, place);
      setProgress(node, place);
      const { state } = place;
      const kept = node.state === "cached" || node.state === "blocked";
      if (state === "error" || (!kept && (state === "running" || state === "finished"))) node.state = state;
    }
  },
  executed(run, { node, display_node, output }) {
    nodeOf(run, node, { display_node_id: display_node }, { output: output ?? undefined });
  },
  "nodebus.node_done"(run, data) {
    const node = nodeOf(run, data.node_id, data);
    node.duration = data.duration || undefined;
    node.value = node.max;
    node.state = data.cached ? "cached" : "finished";
  },
  "nodebus.node_error"(run, data) {
    nodeOf(run, data.node_id, data, { state: "error", error: failure(data) });
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
      nodeOf(run, node_id, null, { state: "blocked", error });
      return;
    }
    run.error = { node_id: node_id || undefined, node_type: node_type || undefined, ...error };
    if (node_id) {
      // The id is of a node of the submitted graph; perhaps a node that it made has failed.
      const nodes = run.order.map((id) => run.nodes[id]).filter((n) => n.node_id === node_id || n.real_node_id === node_id);
      const node = nodes.find((n) => n.state === "error" && !n.error) ?? nodes.find((n) => n.state === "running") ?? nodeOf(run, node_id);
      node.state = "error";
      node.error ??= error;
    }
    end(run, time, exception_type === "refused" ? "refused" : "error", "interrupted");
  },
  "nodebus.waiting"(run, data) {
    nodeOf(run, data.node_id, data);
    setQuestion(run, data, data);
  },
  "nodebus.answered"(run, data) {
    setQuestion(run, data);
  },
  "nodebus.text"(run, data) {
    const { name, offset, piece } = data;
    const node = nodeOf(run, data.node_id, data);
    const texts = (node.texts = { __proto__: null, ...node.texts });
    const old = offset ? (texts[name] ?? "") : "";
    const sizes = (node[SIZES] ??= { __proto__: null });
    const bytes = old ? (sizes[name] ?? byteLength(old)) : 0;
    if (offset > bytes) run.incomplete = true;
    texts[name] = old + piece;
    sizes[name] = bytes + byteLength(piece);
  },
  progress_text(run, data) {
    nodeOf(run, data.node_id, null, { text: data.text || undefined });
  },
  "nodebus.overall"(run, data) {
    run.overall = data.value || undefined;
  },
};

/** Makes the state of a run from a record of the history. Its last message is the outcome. */
function foldRecord(id, { status, outputs, meta }) {
  const messages = status?.messages?.length ? [...status.messages] : [["execution_success", {}]];
  const shown = Object.entries(outputs ?? {}).map(([node, output]) => ["executed", { node, output, ...meta?.[node] }]);
  messages.splice(-1, 0, ...shown);
  let run;
  for (const [type, data] of [...messages, ["executing", { node: null }]]) run = fold(run, { type, data, prompt_id: id, attempt: run?.attempt });
  return run;
}

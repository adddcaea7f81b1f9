/**
 * Types of nodebus.js: a client for servers of nodebus and for ComfyUI.
 *
 * To give a type to an event of your own, add it to {@link Events}:
 *
 *     declare module "nodebus" {
 *       interface Events {
 *         "example.brush": { node: string; radius: number };
 *       }
 *     }
 *
 * or name the type where you listen: `client.addEventListener<Brush>("example.brush", …)`.
 */

/** A message of the server. */
export interface Message<T = any> {
  /** The type of the event. */
  type: string;
  /**
   * The payload, as on the wire. For a preview it has the image as `blob`; over Server-Sent
   * Events it has the address of the image as `url` instead. For other binary events it is
   * a Uint8Array; over Server-Sent Events `{ base64 }`.
   */
  data: T;
  /** The place of the event. Send it as it came. ComfyUI sends none. */
  cursor?: string;
  /** The prompt of the event. */
  prompt_id?: string;
  /** When the server published the event, in milliseconds since 1970. */
  time?: number;
  /** The attempt of the prompt. Without it, the attempt is the first. */
  attempt?: number;
}

/** Where a node is in a graph. */
export interface Place {
  /** The unique id of the node. A node made at run time has one that the submitted graph does not have. */
  node_id: string;
  /** The node that a page highlights. */
  display_node_id: string;
  /** The node that made this node, or null. */
  parent_node_id: string | null;
  /** The node of the submitted graph that this node comes from. */
  real_node_id: string;
}

/** A place in the graph of a prompt. */
export interface PromptPlace extends Place {
  prompt_id: string;
}

/** A file on the server: `client.request` with `view?filename=…&subfolder=…&type=…`, or an img with this address. */
export interface File {
  filename: string;
  subfolder: string;
  type: string;
}

/** What a node shows: lists by name. `images` has a list of {@link File}, `text` a list of strings. */
export interface Output {
  images?: File[];
  text?: string[];
  [name: string]: any[] | undefined;
}

/** Why a node failed. */
export interface Failure {
  exception_type: string;
  exception_message: string;
  traceback: string[];
}

export interface Status {
  status: { exec_info: { queue_remaining: number; paused?: true } };
  /** The id of the client. Only in the first message of a connection. */
  sid?: string;
}

export interface NodeState extends PromptPlace {
  value: number;
  max: number;
  state: string;
}

export interface ExecutionError extends Failure {
  prompt_id: string;
  node_id: string;
  node_type: string;
  executed: string[];
  current_inputs: Record<string, any[]> | [];
  current_outputs: string[];
  /** Not for a node that was skipped (`ExecutionBlocked`): the prompt goes on. */
  timestamp?: number;
}

/** A question of a node. {@link Client.answer} answers it. */
export interface Question extends PromptPlace {
  name: string;
  /** JSON Schema of the answer. Without it, any JSON is an answer. */
  schema?: any;
  /** When the node stops waiting: milliseconds since 1970. */
  deadline?: number;
}

/** Events between the two numbers are lost. Both are 0 if ComfyUI was away. */
export interface Gap {
  since: number;
  next: number;
}

/** What a preview says about its node, and the image. */
export interface Preview extends PromptPlace {
  image_type: string;
  /** The number of a finished picture, from 1, among the pictures of a call. Absent in a preview of unfinished work. */
  final?: number;
  /** The number of the call, if the node is called for each element of a list. Absent for the first. */
  index?: number;
  blob: Blob;
  /** Where the image was fetched; only over Server-Sent Events. */
  url?: string;
}

/** The built-in events. Add your own by declaration merging. `detail` has the type that is named here. */
export interface Events {
  /** The number of prompts may have changed. */
  status: Status;
  /** A prompt begins. */
  execution_start: { prompt_id: string; timestamp: number; attempt?: number };
  /** The nodes whose results are known already. */
  execution_cached: { prompt_id: string; nodes: string[]; timestamp: number };
  /** A node begins; with node null, the prompt has ended. */
  executing: { node: string; display_node: string; prompt_id: string } | { node: null; prompt_id: string };
  /** A node reports a step. max is 0 if it is unknown. */
  progress: { value: number; max: number; prompt_id: string; node: string | null };
  /** All nodes that have begun. */
  progress_state: { prompt_id: string; nodes: Record<string, NodeState> };
  /** A node shows something. */
  executed: { node: string; display_node: string; output: Output | null; prompt_id: string };
  execution_success: { prompt_id: string; timestamp: number };
  execution_error: ExecutionError;
  execution_interrupted: { prompt_id: string; node_id: string; node_type: string; executed: string[]; timestamp: number };
  /**
   * A node shows a preview. Over Server-Sent Events, this event comes when the image has
   * been fetched: later than the events that follow, and not at all for a preview (not a picture) that a
   * newer one has replaced, or whose image is at another origin than the option url.
   */
  b_preview_with_metadata: Preview;
  /** Each preview, also of servers that do not say of which node it is. */
  b_preview: Blob;
  /** A node shows a line of text. ComfyUI does not say of which prompt. */
  progress_text: { node_id: string; text: string; prompt_id?: string };
  feature_flags: Record<string, any>;
  logs: { entries: { t: string; m: string }[]; size: { cols: number; rows: number } | null };
  "nodebus.gap": Gap;
  "nodebus.watching": { prompt_id: string; watching: boolean; incomplete?: true; error?: string };
  /** A part of a prompt is done: from 0 to 1. */
  "nodebus.overall": { prompt_id: string; value: number };
  /** A node failed, and the prompt goes on. */
  "nodebus.node_error": PromptPlace & Failure & { node_type: string; attempt?: number };
  /** A node waits for an answer. */
  "nodebus.waiting": Question;
  /** A question is settled. */
  "nodebus.answered": PromptPlace & { name: string; result: "answered" | "refused" | "expired" };
  /** A node appends to a text. */
  "nodebus.text": PromptPlace & { name: string; offset: number; piece: string };
  /** A node has ended. The duration is in milliseconds. */
  "nodebus.node_done": PromptPlace & { duration: number; cached: boolean; attempt?: number };

  /** Every message, whatever its type, in the order of the server. A message of the type "message" comes only here. */
  message: Message;
  /** The connection is lost. The client connects again by itself. */
  reconnecting: null;
  /** The client is connected again. What it missed follows. */
  reconnected: null;
  /** Events are lost: the server no longer has them. What you have collected about running prompts may be wrong. */
  gap: Gap;
  /** The server refuses the client, which is closed now. */
  refused: RefusedError;
}

/** The event that a listener receives. */
export interface ClientEvent<T = any> extends CustomEvent<T> {
  /** The whole message; null for the events that the client makes itself. */
  readonly message: Message<T> | null;
}

/** A function that receives events, or an object with handleEvent. */
export type Listener<T = any> = ((event: ClientEvent<T>) => void) | { handleEvent(event: ClientEvent<T>): void };

export interface Options {
  /**
   * The address below which the routes of the server are, for example
   * "http://127.0.0.1:8188/". It can be relative to the page. Its query is added to each
   * request, also to those of the connection. Default: the folder of the page. Needed in Node.
   */
  url?: string | URL;
  /** The id of the client: events of the prompts that it submits come to all connections of this id. Default: the server makes one. */
  clientId?: string;
  /** The cursor of an earlier client of the same id: what came after it comes again. Default: the kept events of the running prompts come again. */
  since?: string;
  /** The ids of prompts of other clients to watch, at most 256. What the server does not allow is left out. Default: none. */
  watch?: string[];
  /** Default "auto": a WebSocket, and Server-Sent Events if there is none. */
  transport?: "auto" | "ws" | "sse";
  /** The route of the WebSocket, relative to url. Default: "ws". */
  socket?: string;
  /** The route of the Server-Sent Events, relative to url. Default: "events". */
  events?: string;
  /** Headers of each request. A browser sends none with a WebSocket. Default: none. */
  headers?: Record<string, string>;
  /** What sends requests. Default: the global fetch, which sends cookies to the host of the page only. */
  fetch?: typeof fetch;
  /** What makes WebSockets. Default: the global WebSocket. Node 20 has none: there, the client reads Server-Sent Events. */
  WebSocket?: any;
  /** How long to wait before the first attempt to connect again, in milliseconds. It doubles with each attempt, up to 32 times. Default: 300. */
  retry?: number;
  /**
   * How long the connection may be silent before the client asks whether the server is
   * there, in milliseconds. Without an answer in 10 seconds, the client connects again.
   * Over Server-Sent Events it connects again after a silence of three times as long, so
   * that ping must not be less than the interval of the server's comments. ComfyUI cannot
   * be asked. Default: 25000.
   */
  ping?: number;
}

/** The state of a node in a run. */
export interface RunNode extends Place {
  state: "running" | "finished" | "error" | "cached" | "blocked" | "interrupted";
  /** The progress: 0 ≤ value ≤ max. max is 0 if it is unknown. */
  value: number;
  max: number;
  /** What the node shows. */
  output?: Output;
  /** The newest line of progress text. */
  text?: string;
  /** What the node has written bit by bit, by the name of the text. */
  texts?: Record<string, string>;
  /** Why the node failed, or was skipped. */
  error?: Failure;
  /** In milliseconds. */
  duration?: number;
}

/** The state of a run: what is known about a prompt. */
export interface Run {
  prompt_id: string;
  /** Empty: the prompt waits, or nothing is known about it. */
  state: "" | "running" | "success" | "error" | "interrupted" | "refused";
  attempt?: number;
  /** In milliseconds since 1970. */
  started?: number;
  ended?: number;
  /** The place of the last event. */
  cursor?: string;
  /** By unique id. */
  nodes: Record<string, RunNode>;
  /** The unique ids in the order in which the nodes were first heard of. */
  order: string[];
  /** From 0 to 1, if the server says it. */
  overall?: number;
  /** The open questions. */
  waiting: Question[];
  /** Why the run failed. node_id is a node of the submitted graph. */
  error?: Failure & { node_id?: string; node_type?: string };
  /** No event of the prompt follows. With incomplete and without an end in state, the server has lost the run. */
  closed?: boolean;
  /** Events are missing. */
  incomplete?: boolean;
}

/** A run that the client follows. */
export interface Following {
  /** The state, which is up to date. */
  readonly run: Run;
  /**
   * The state at the end. It rejects with a RefusedError if the server does not know the
   * prompt, also after a restart of the server: onchange is then called a last time, with
   * null, and the run is closed and incomplete, with no open questions. Nobody has to look
   * at done.
   */
  readonly done: Promise<Run>;
  /** Ends the following. done rejects with the reason, by default an AbortError, if the run has not ended. */
  stop(reason?: unknown): void;
}

/** The server refused a request, or the connection. `message` is the text of the server. */
export class RefusedError extends Error {
  constructor(status: number, body?: unknown);
  /** The HTTP status. */
  status: number;
  /** More about it; may be empty. */
  details: string;
  /** What is wrong with nodes of a graph, by their ids. */
  nodeErrors: Record<string, { class_type: string; dependent_outputs: string[]; errors: { type: string; message: string; details: string; extra_info: any }[] }>;
  /** The whole answer: an object if it was JSON, else a text. */
  body: any;
}

/**
 * A connection to a server. It connects at once, and again after each break, and then
 * receives what it missed. Close it when you need it no longer.
 */
export class Client extends EventTarget {
  constructor(options?: Options);

  /** The id of the client. The server says it in its first message. */
  readonly clientId: string;
  /** The place of the newest message that listeners have received. Store it to continue there with the option since. Empty with ComfyUI. */
  readonly cursor: string;
  readonly connected: boolean;
  /** Resolves when the client is connected for the first time. Rejects if the server refuses the client, or if it is closed before. */
  readonly ready: Promise<void>;

  addEventListener<K extends keyof Events>(type: K, listener: Listener<Events[K]> | null, options?: boolean | AddEventListenerOptions): void;
  addEventListener<T = any>(type: string, listener: Listener<T> | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof Events>(type: K, listener: Listener<Events[K]> | null, options?: boolean | EventListenerOptions): void;
  removeEventListener<T = any>(type: string, listener: Listener<T> | null, options?: boolean | EventListenerOptions): void;

  /**
   * Submits a graph in ComfyUI's API format, and returns the id of the prompt. It waits for
   * the connection, so that no event is missed. It rejects with a RefusedError. With status 503
   * and body.prompt_id, the queue has not confirmed the prompt, which may run nevertheless:
   * submit again with this id as promptId. While the server is away, submit rejects at once with
   * the TypeError of fetch; the prompt may have arrived nevertheless, so submit again only if you
   * have given a promptId. Status 409 then means that the server has the prompt.
   */
  submit(
    graph: Record<string, { class_type: string; inputs: Record<string, any>; [key: string]: any }>,
    options?: {
      /** The id of the prompt. Default: the server makes one. Old servers of ComfyUI always do. */
      promptId?: string;
      /** The place in the queue: low numbers first. */
      number?: number;
      /** Before all others. */
      front?: boolean;
      extraData?: Record<string, any>;
      /** The ids of the output nodes to run. Default: all. */
      outputs?: string[];
    },
  ): Promise<string>;
  /** Waits for the end of a run, also one that has ended long ago, and returns its state. */
  wait(promptId: string, options?: { signal?: AbortSignal }): Promise<Run>;
  /**
   * Keeps the state of a run up to date, from the beginning of the run. onchange is called
   * after each message of the run, and with null instead of a message when the state was
   * made anew, for example at first. Listeners receive the messages of a run that is
   * followed, too, from then on. It throws if the client is closed.
   */
  follow(promptId: string, onchange?: (run: Run, message: Message | null) => void): Following;
  /** Stops a prompt that runs or waits. ComfyUI stops only one that runs. It also resolves if there is no such prompt, and rejects with a TypeError while the server is away. */
  interrupt(promptId: string): Promise<void>;
  /** Answers a question. It rejects with a RefusedError if the answer does not fit; the node then waits on. It rejects with a TypeError while the server is away. */
  answer(question: Pick<Question, "prompt_id" | "node_id" | "name">, value: any): Promise<void>;
  /** Refuses to answer a question. */
  refuse(question: Pick<Question, "prompt_id" | "node_id" | "name">, reason?: string): Promise<void>;
  /**
   * Receives the messages of a prompt of another client, too: those that the server has
   * kept, and new ones; over Server-Sent Events only new ones. The watching outlives
   * breaks. A client watches and follows at most 256 prompts of others. It rejects with a
   * RefusedError if the server does not allow it; over Server-Sent Events the server does
   * not say it.
   */
  watch(promptId: string): Promise<void>;
  /** Ends what watch began. */
  unwatch(promptId: string): Promise<void>;
  /** Sends a request to a route below url, and returns the JSON of the answer, or its text. A plain object as body is sent as JSON. */
  request<T = any>(path: string, init?: Omit<RequestInit, "body"> & { body?: BodyInit | Record<string, any> | null }): Promise<T>;
  /** Closes the connection for good. Whatever still waits rejects. */
  close(): void;
}

/**
 * Brings a run up to date with a message, and returns the run. null makes a new run. The
 * run is changed in place, and takes over parts of the message: do not change them.
 */
export function fold(run: Run | null | undefined, message: Message): Run;

// The page of a server without another front end. It shows the classes, the runs and
// the messages.
import { list } from "./classes.js";
import { $, ask } from "./dom.js";
import { isOwn, log } from "./log.js";
import { Runs } from "./runs.js";
import { Socket } from "./socket.js";
import { begin, fill } from "./submit.js";

const say = (text) => ($("said").textContent = text); // for screen readers
const failed = (err) => ($("trouble").textContent = err.message);

const runs = new Runs(() => socket.id, {
  follow: (run) => {
    run.own();
    socket.watch(run.id);
  },
  edit: (run) => fill(run.graph),
  interrupt: (run) => ask("interrupt", JSON.stringify({ prompt_id: run.id })).catch(failed),
});

let at = {}; // the current prompt and node, for messages without a prompt id

function receive(type, data) {
  log(type, data);
  if (type === "status") status(data.status.exec_info.queue_remaining);
  if (type === "executing") at = { prompt_id: data.prompt_id, node_id: data.display_node || data.node };
  if (type === "preview" || type === "progress_text") data = { ...at, ...data };
  if (isOwn(type) || !data?.prompt_id) return;
  const run = runs.of(data.prompt_id);
  const before = run.state;
  run.hear(type, data);
  if (run.state !== before) say(`Run ${run.name}: ${run.state}`);
  if (run.ended) socket.unwatch(run.id);
}

function status(count) {
  $("queue").textContent = `${count} in queue`;
  document.title = count === 0 ? "nodebus" : `(${count}) nodebus`;
  runs.look();
}

function connected(is) {
  $("connection").textContent = is ? "connected" : "reconnecting…";
  $("connection").className = is ? "on" : "";
  if (is && !first) list().catch(failed); // the server may be another program with other classes now
  if (is) first = false;
}

let first = true;
await list().catch(failed);
await runs.begin().catch(failed);
const socket = new Socket(receive, connected);
await begin(() => socket.id, (id, graph) => (runs.of(id).graph = graph)).catch(failed);

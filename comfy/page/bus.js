// The connection of this page to the server, and what the page knows about single runs.
import { ask } from "./http.js";
import { Client } from "./nodebus/nodebus.js";
import { sharing } from "./shared.js";

const kept = "clientId";
const most = 50; // graphs that are remembered

// bus is the only connection of the page. A reload of the page keeps the client id, so that
// the runs of before the reload are still those of this page.
export const bus = new Client({ clientId: sessionStorage.getItem(kept) ?? "" });
bus.ready.then(() => sessionStorage.setItem(kept, bus.clientId));

// follow calls heard with the state of a run, or with an Error; see sharing.
export const follow = sharing((id, changed) => bus.follow(id, changed));

const graphs = new Map();
const leftOut = new Map();

// keep remembers the graph of a prompt, and why the server leaves out some of its outputs.
export function keep(id, graph, problems = {}) {
  graphs.set(id, graph);
  if (Object.keys(problems).length) leftOut.set(id, problems);
  if (graphs.size > most) {
    const oldest = graphs.keys().next().value;
    graphs.delete(oldest);
    leftOut.delete(oldest);
  }
  return graph;
}

// leftOutOf returns the problems of the nodes of a prompt that the server leaves out, by id,
// if this page has submitted the prompt.
export const leftOutOf = (id) => leftOut.get(id) ?? {};

// graphOf returns the graph of a prompt, or null if the server does not know the prompt.
export async function graphOf(id) {
  if (graphs.has(id)) return graphs.get(id);
  const ended = async () => (await ask(`history/${encodeURIComponent(id)}`))[id]?.prompt;
  const item = (await ended()) ?? (await queued(id)) ?? (await ended()); // it may end between the first two requests
  return item ? keep(id, item[2]) : null;
}

async function queued(id) {
  const { queue_running, queue_pending } = await ask("queue");
  return [...queue_running, ...queue_pending].find((item) => item[1] === id);
}

// What the page shows of each node of a graph, made from the state of a run. Nothing here
// knows the page.
import { ended, nodeWords, took } from "./words.js";

// viewsOf returns a view for each node of the graph: its state, its progress, and the
// states of the nodes that it has made while it ran. run is the state of a run as
// nodebus.js folds it.
export function viewsOf(graph, run) {
  const views = new Map();
  const over = ended(run.state);
  for (const id of Object.keys(graph)) views.set(id, viewOf(id, run.nodes?.[id], over));
  for (const [id, node] of Object.entries(run.nodes ?? {})) {
    const on = node.display_node_id || id;
    if (on === id) {
      if (!views.has(id)) views.set(id, viewOf(id, node, over));
      continue;
    }
    if (!views.has(on)) views.set(on, viewOf(on, run.nodes[on], over));
    inside(views.get(on), id, node);
  }
  for (const question of run.waiting ?? []) {
    const view = views.get(question.display_node_id || question.node_id);
    if (view) view.state = "asks";
  }
  for (const view of views.values()) view.told = told(view);
  return views;
}

function viewOf(id, node, over) {
  const state = node?.state || (over ? "unused" : "idle");
  const full = state === "finished" || state === "cached";
  const part = node && node.max > 0 ? Math.min(Math.max(node.value / node.max, 0), 1) : 0;
  return { id, state, part: full ? 1 : part, value: node?.value ?? 0, max: node?.max ?? 0, duration: node?.duration ?? 0, text: node?.text ?? "", made: [], done: 0 };
}

// inside adds a node that another node has made.
function inside(view, id, node) {
  view.made.push(id);
  if (node.state === "finished" || node.state === "cached") view.done++;
  if (node.state === "running" && view.state !== "error") view.state = "running";
  if (node.state === "error") view.state = "error";
}

function told(view) {
  if (view.state === "running" && view.made.length) return `${view.done} of ${view.made.length} inside`;
  if (view.state === "running" && view.max > 1) return `${round(view.value)} of ${round(view.max)}`;
  if (view.state === "finished" && view.duration) return took(view.duration);
  return nodeWords[view.state] ?? view.state;
}

const round = (x) => (Number.isInteger(x) ? x : x.toFixed(1));

// partOf returns how much of a run is done, from 0 to 1.
export function partOf(run, count) {
  if (run.overall !== undefined) return run.overall;
  const nodes = Object.values(run.nodes ?? {});
  const sum = nodes.reduce((all, node) => all + (node.state === "running" ? (node.max > 0 ? Math.min(node.value / node.max, 1) : 0) : 1), 0);
  return nodes.length ? Math.min(sum / Math.max(count, nodes.length), 1) : 0;
}

// The errors of a run: what failed, where, and the traceback.
import { leftOutOf } from "./bus.js";
import { title } from "./classes.js";
import { button, el } from "./dom.js";
import { titleOf } from "./graph.js";

const most = 20;

// problems returns the elements for all errors of a run, and a key that changes when they
// change. pick is called with the id of a node that the user wants to see.
export function problems(run, graph, pick) {
  const all = [];
  const seen = new Set();
  if (run.error) {
    seen.add(run.error.node_id);
    all.push({ id: run.error.node_id, kind: run.error.node_type, state: "error", ...run.error });
  }
  for (const id of run.order ?? []) {
    const { error, state, display_node_id: on } = run.nodes[id];
    if (error && !seen.has(id)) all.push({ id, on, state, ...error });
  }
  const left = leftOutOf(run.prompt_id);
  const listed = all.slice(0, most).map((problem) => ({ ...problem, ...placed(problem, run, graph) }));
  const key = JSON.stringify([left, all.length, listed.map(({ id, name, state, exception_message: text }) => [id, name, state, text])]);
  const elements = listed.map((problem) => element(problem, pick));
  if (Object.keys(left).length) elements.push(el("div", { className: "notice" }, el("strong", {}, "Some outputs are left out"), ...invalid(graph, left)));
  if (all.length > most) elements.push(el("p", { className: "quiet" }, `${all.length - most} more nodes failed or were skipped.`));
  return { key, elements };
}

// placed returns the node of the graph that shows a problem, and its name.
function placed({ id, on, kind }, run, graph) {
  const place = on || run.nodes?.[id]?.display_node_id || id;
  return { place, name: graph[place] ? titleOf(graph, place) : kind || "The run" };
}

function element({ id, place, name, state, exception_type, exception_message, traceback }, pick) {
  const skipped = state === "blocked"; // the run went on
  return el("div", { className: skipped ? "notice" : "error" },
    el("strong", {}, id ? button(name, () => pick(place), `Show node ${place}`) : name, skipped ? " was skipped" : " failed"),
    id ? el("code", { className: "quiet" }, ` node ${id}`) : null,
    el("p", {}, (exception_message ?? "").trim()),
    traceback?.length ? el("details", {}, el("summary", {}, exception_type), el("pre", {}, traceback.join("").trim()))
      : exception_type && !skipped ? el("p", { className: "quiet" }, exception_type) : null);
}

// invalid returns the elements for the problems that the server finds in a workflow before
// it runs, by node and input.
export function invalid(graph, nodes) {
  return Object.entries(nodes).map(([id, { class_type, errors }]) => el("div", { className: "of" },
    el("p", {}, el("code", {}, id), ` ${graph[id] ? titleOf(graph, id) : title(class_type)}`),
    el("ul", {}, ...errors.map(({ message, details, extra_info }) => el("li", {},
      extra_info?.input_name ? el("code", {}, extra_info.input_name) : null,
      ` ${message}${details ? `: ${details}` : ""}`)))));
}

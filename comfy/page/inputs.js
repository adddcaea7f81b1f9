// The inputs of a node in a workflow: values, and links to other nodes.
import { button, el } from "./dom.js";
import { linksOf, titleOf } from "./graph.js";

const longest = 300; // letters of a value

// inputs returns the list of the inputs of a node. pick is called with the id of a linked
// node that the user selects.
export function inputs(graph, id, pick) {
  const links = new Map(linksOf(graph).filter(({ to }) => to === id).map((link) => [link.name, link.from]));
  const all = Object.entries(graph[id]?.inputs ?? {});
  if (!all.length) return null;
  return el("dl", { className: "inputs" }, ...all.flatMap(([name, value]) => [
    el("dt", {}, name),
    el("dd", {}, links.has(name) ? button(titleOf(graph, links.get(name)), () => pick(links.get(name)), `Show node ${links.get(name)}`) : worded(value)),
  ]));
}

function worded(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

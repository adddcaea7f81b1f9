// The drawing of a graph: cards for the nodes, and lines for the links. Events change only
// the cards that they are about.
import { hueOf, title } from "./classes.js";
import { Card } from "./card.js";
import { el, svg } from "./dom.js";
import { best } from "./layout.js";
import { Moves } from "./moves.js";
import { Pan } from "./pan.js";

const margin = 22;
const many = 150; // nodes; above this number, nothing in the drawing moves

// linksOf returns the links of a graph: { from, to, slot, input, name }.
export function linksOf(graph) {
  const links = [];
  for (const [to, node] of Object.entries(graph)) {
    for (const [name, value] of Object.entries(node?.inputs ?? {})) {
      if (!Array.isArray(value) || value.length !== 2 || typeof value[1] !== "number") continue;
      const from = String(value[0]);
      if (Object.hasOwn(graph, from)) links.push({ from, to, slot: value[1], name });
    }
  }
  return links;
}

// titleOf returns the title that a person has given to a node, or else that of its class.
export const titleOf = (graph, id) => graph[id]?._meta?.title || title(graph[id]?.class_type) || `node ${id}`;

export class Graph {
  #cards = new Map();
  #pictures = new Map();
  #wires = new Map(); // the lines at a node
  #svg = svg("svg", { role: "group" });
  #at = new Map(); // the places of the nodes
  #room = 0;
  #graph = {};
  #shown = "";

  // picked is called with the id of a node that the user selects, or with "".
  constructor(label, picked) {
    this.#svg.ariaLabel = label;
    this.element = el("div", { className: "canvas" }, this.#svg);
    this.pan = new Pan(this.element, this.#svg);
    this.moves = new Moves(this.#svg, this.#cards, (id) => picked(id));
    new ResizeObserver(() => this.#resize()).observe(this.element);
  }

  // show draws a graph. It keeps the drawing if it is the same graph.
  show(graph) {
    if (graph === this.#graph) return;
    const text = JSON.stringify(graph);
    this.#graph = graph;
    if (text === this.#shown) return;
    this.#shown = text;
    this.#draw();
  }

  // retitle draws the graph again, because the classes of the server are known now.
  retitle() {
    this.#draw();
  }

  // paint shows the views of the nodes.
  paint(views) {
    for (const [id, card] of this.#cards) {
      const view = views.get(id);
      const before = card.view.state;
      if (view) card.paint(view);
      if (view && view.state !== before) this.#light(id);
    }
    this.pan.lit([...this.#cards.values()].filter(({ view }) => view.state === "running" || view.state === "asks").map(({ id }) => this.#at.get(id)));
  }

  // picture shows small pictures in the cards of nodes. pictures maps ids to addresses.
  picture(pictures) {
    for (const id of this.#pictures.keys()) if (!pictures.has(id)) this.#cards.get(id)?.show("");
    for (const [id, address] of pictures) this.#cards.get(id)?.show(address);
    this.#pictures = pictures;
  }

  // mark shows which node is selected.
  mark(id) {
    this.moves.mark(id);
  }

  #resize() {
    const room = this.element.clientWidth;
    if (Math.abs(room - this.#room) > 24 && room > 0) this.#draw(); // not for a scroll bar
  }

  #draw() {
    const ids = Object.keys(this.#graph);
    this.#room = this.element.clientWidth;
    if (this.#room === 0) return; // the drawing is not visible, and will be resized when it is
    const links = linksOf(this.#graph);
    const plan = best(ids, links, this.#room - 2 * margin);
    this.#at = plan.at;
    this.#wires.clear();
    const old = new Map(this.#cards);
    this.#cards.clear();
    for (const id of ids) {
      const card = new Card(id, titleOf(this.#graph, id), this.#graph[id]?.class_type ?? "", plan.at.get(id));
      if (old.has(id)) card.paint(old.get(id).view);
      this.#cards.set(id, card);
    }
    const wires = svg("g", { class: "wires", "aria-hidden": "true" }, ...this.#lines(links, plan));
    this.#svg.replaceChildren(wires, ...[...this.#cards.values()].map(({ element }) => element));
    this.element.classList.toggle("large", ids.length > many);
    this.pan.size(plan, margin);
    this.moves.begin(links, plan);
    for (const id of ids) this.#light(id);
    this.picture(this.#pictures);
  }

  // lines makes the lines. The lines at one side of a node are spread over the side.
  #lines(links, plan) {
    const outs = Map.groupBy(links, ({ from }) => from);
    const ins = Map.groupBy(links, ({ to }) => to);
    return links.map((link) => {
      const slots = [...new Set(outs.get(link.from).map(({ slot }) => slot))].sort((a, b) => a - b);
      link.out = (slots.indexOf(link.slot) + 1) / (slots.length + 1);
      link.into = (ins.get(link.to).indexOf(link) + 1) / (ins.get(link.to).length + 1);
      const hint = svg("title");
      hint.textContent = `${titleOf(this.#graph, link.from)} → ${titleOf(this.#graph, link.to)}, ${link.name}`;
      const line = svg("path", { d: plan.path(link) }, hint);
      line.style.setProperty("--hue", hueOf(this.#graph[link.from].class_type, link.slot));
      line.ends = link;
      for (const id of [link.from, link.to]) this.#wires.set(id, [...(this.#wires.get(id) ?? []), line]);
      return line;
    });
  }

  // light shows along which links values have come, or come now.
  #light(id) {
    const state = (end) => this.#cards.get(end)?.view.state ?? "idle";
    for (const line of this.#wires.get(id) ?? []) {
      const had = state(line.ends.from) === "finished" || state(line.ends.from) === "cached";
      const now = state(line.ends.to) === "running" || state(line.ends.to) === "asks";
      line.setAttribute("class", had ? (now ? "now" : "had") : "");
    }
  }
}

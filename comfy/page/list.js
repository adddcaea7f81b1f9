// The nodes of a run as a list of lines, each with its state. It also contains the nodes that
// other nodes have made while they ran.
import { el } from "./dom.js";
import { titleOf } from "./graph.js";
import { nodeWords } from "./words.js";

const most = 2000; // lines

export class List {
  #lines = new Map();
  #graph = {};
  #picked = "";
  element = el("ol", { className: "list", ariaLabel: "Nodes of the run" });
  #rest = el("li", { className: "quiet" });

  // picked is called with the id of the node of a line that the user selects, or with "".
  constructor(picked) {
    this.picked = picked;
  }

  // show makes a line for each node of the graph, and for each node that was made.
  show(graph, run = {}) {
    if (graph !== this.#graph) {
      this.#graph = graph;
      this.#lines.clear();
      this.element.replaceChildren();
      for (const id of Object.keys(graph)) this.#line(id, id);
    }
    for (const id of run.order ?? []) {
      const on = run.nodes[id]?.display_node_id || id;
      if (!this.#lines.has(id)) this.#line(id, on);
      if (on !== id) this.#paintLine(this.#lines.get(id), run.nodes[id], nodeWords[run.nodes[id].state] ?? "");
    }
  }

  // paint shows the views of the nodes.
  paint(views) {
    for (const [id, view] of views) this.#paintLine(this.#lines.get(id), view, view.told);
  }

  mark(id) {
    this.#lines.get(this.#picked)?.button.setAttribute("aria-pressed", "false");
    this.#picked = id;
    this.#lines.get(id)?.button.setAttribute("aria-pressed", "true");
  }

  #line(id, on) {
    const line = {
      was: "",
      bar: el("progress", { max: 1, value: 0, ariaLabel: `node ${id}` }),
      told: el("span", { className: "told" }),
    };
    line.button = el("button", { type: "button", ariaPressed: "false", onclick: () => this.picked(this.#picked === on ? "" : on) },
      el("code", {}, id), el("span", { className: "name" }, titleOf(this.#graph, on)), line.bar, line.told);
    line.element = el("li", { className: on === id ? "" : "made" }, line.button);
    this.#lines.set(id, line);
    if (this.#lines.size > most) {
      this.#rest.textContent = `${this.#lines.size - most} more nodes are not listed.`;
      this.element.append(this.#rest);
    } else if (on === id) this.element.append(line.element);
    else (this.#lines.get(on)?.element ?? this.element.lastChild)?.after(line.element);
  }

  #paintLine(line, { state, part, value, max }, told) {
    const full = state === "finished" || state === "cached";
    const done = part ?? (full ? 1 : max > 0 ? Math.min(value / max, 1) : 0);
    const now = `${state} ${done.toFixed(2)} ${told}`;
    if (!line || line.was === now) return;
    line.was = now;
    line.element.dataset.state = state;
    line.bar.value = done;
    line.told.textContent = told;
  }
}

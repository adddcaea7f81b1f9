// What the nodes of a run show, beside its graph: live previews, texts as they come, and
// outputs. If a node is selected, only that node, with its inputs.
import { $, arrange, button, el } from "./dom.js";
import { titleOf } from "./graph.js";
import { inputs } from "./inputs.js";
import { pictureOf, shown } from "./outputs.js";

const most = 150; // nodes with results that are shown

export class Results {
  #parts = new Map(); // by kind and unique id
  #for = "";
  #graph = {};
  #count = el("p", { className: "quiet" });

  // pick is called with the id of a node that the user selects, or with "".
  constructor(pick) {
    this.pick = pick;
    $("unpick").onclick = () => pick("");
  }

  // pictures returns the first picture of each node of the graph that shows one.
  pictures(run) {
    const all = new Map();
    for (const [id, { output, display_node_id: on }] of Object.entries(run.nodes ?? {})) {
      const address = output ? pictureOf(output, run.prompt_id) : "";
      if (address) all.set(on || id, address);
    }
    return all;
  }

  // show shows the results of a run, or of the node with the id picked.
  show(graph, run, views, previews, picked) {
    const now = `${run.prompt_id} ${picked}`;
    if (now !== this.#for || graph !== this.#graph) this.#parts.clear();
    [this.#for, this.#graph] = [now, graph];
    $("results-title").textContent = picked ? titleOf(graph, picked) : "Results";
    $("unpick").hidden = !picked;
    const parts = picked ? [this.#facts(graph, run, views.get(picked), picked)] : [];
    for (const [id, address] of previews) {
      if (picked ? id === picked : views.get(id)?.state === "running") parts.push(this.#preview(graph, id, address));
    }
    const nodes = (run.order ?? []).filter((id) => !picked || id === picked || run.nodes[id].display_node_id === picked);
    nodes.sort((a, b) => (run.nodes[b].state === "running") - (run.nodes[a].state === "running"));
    let left = most;
    for (const id of nodes) {
      const node = run.nodes[id];
      if (!node.output && !node.texts && !(picked && node.text) && left > 0) continue;
      if (left-- <= 0) break;
      parts.push(...this.#node(graph, run, id, node, picked));
    }
    this.#count.textContent = left < 0 ? `Select a node to see more than the results of ${most} nodes.` : "";
    if (left < 0) parts.push(this.#count);
    arrange($("results"), parts);
    $("no-results").hidden = parts.length > 0;
  }

  // part returns the element for a key, and makes it anew if its content has changed.
  #part(key, content, make) {
    let part = this.#parts.get(key);
    if (!part || part.content !== content) {
      part = { content, element: make(part?.element) };
      this.#parts.set(key, part);
    }
    return part.element;
  }

  #preview(graph, id, address) {
    return this.#part(`preview ${id}`, address, (old) => {
      if (!old) return el("figure", { className: "live" }, el("img", { src: address, alt: `preview of ${titleOf(graph, id)}` }), el("figcaption", {}, this.#label(graph, id), " preview"));
      old.querySelector("img").src = address;
      return old;
    });
  }

  #node(graph, run, id, { output, texts, text, display_node_id: on }, picked) {
    const label = () => (picked ? el("span", {}) : this.#label(graph, on || id));
    const parts = Object.entries(texts ?? {}).map(([name, words]) => this.#stream(`text ${id} ${name}`, words, label, name));
    if (output) {
      // A fold replaces the output of a node as a whole, so the object tells if it is another.
      parts.push(this.#part(`output ${id}`, output, () => el("div", { className: "outputs" }, ...shown(label, output, run.prompt_id, Object.values(texts ?? {})))));
    }
    if (picked && text) parts.push(this.#part(`line ${id}`, text, () => el("p", { className: "line" }, text)));
    return parts;
  }

  // stream shows a text that grows. It adds only what is new, so that a selection stays.
  #stream(key, words, label, name) {
    return this.#part(key, words, (old) => {
      const element = old ?? el("figure", { className: "text streamed" }, el("pre", { tabIndex: 0 }, ""), el("figcaption", {}, label(), ` ${name}`));
      const place = element.firstChild;
      const node = place.firstChild ?? place.appendChild(document.createTextNode(""));
      const end = place.scrollTop + place.clientHeight >= place.scrollHeight - 8;
      if (words.startsWith(node.data)) node.appendData(words.slice(node.data.length));
      else node.data = words;
      if (end) place.scrollTop = place.scrollHeight;
      return element;
    });
  }

  #facts(graph, run, view, id) {
    const made = view?.made ?? [];
    const content = JSON.stringify([view?.state, view?.told, made.length, run.nodes?.[id]?.error]);
    return this.#part("facts", content, () => el("div", { className: "facts" },
      el("p", {}, el("code", {}, graph[id]?.class_type ?? ""), ` node ${id}`, view?.told ? ` · ${view.told}` : "",
        made.length ? ` · made ${made.length} nodes, ${view.done} are done` : ""),
      inputs(graph, id, this.pick)));
  }

  #label = (graph, id) => button(titleOf(graph, id), () => this.pick(id), `Show node ${id}`);
}

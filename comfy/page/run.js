// The selected run: its state, its graph, its questions, its problems and its results.
import { bus, follow, graphOf } from "./bus.js";
import { $, button, el, painter } from "./dom.js";
import { Graph } from "./graph.js";
import { List } from "./list.js";
import { keepPreview, previewsOf } from "./previews.js";
import { problems } from "./problems.js";
import { Questions } from "./questions.js";
import { Results } from "./results.js";
import { partOf, viewsOf } from "./views.js";
import { nameOf, stateWords, took, when } from "./words.js";

const many = 150; // nodes; a graph with more is painted less often

export class RunView {
  #id = "";
  #stop = () => {};
  #graph = {};
  #run = { state: "" };
  #views = new Map();
  #picked = "";
  #problems = "";
  #clock;

  // act holds what the buttons do: interrupt(id), edit(graph) and again(graph).
  constructor(act) {
    this.paint = painter(() => this.#paint(), () => (this.#views.size > many ? 200 : 0));
    this.graph = new Graph("The graph of the run", (id) => this.#pick(id));
    this.list = new List((id) => this.#pick(id));
    this.results = new Results((id) => this.#pick(id));
    this.questions = new Questions($("questions"), (id) => this.#pick(id));
    $("graph-place").append(this.graph.element, this.list.element);
    $("as-list").before(this.graph.pan.buttons);
    $("interrupt").onclick = () => act.interrupt(this.#id);
    $("edit").onclick = () => act.edit(this.#graph);
    $("again").onclick = () => act.again(this.#graph);
    $("as-list").onclick = () => this.#toggle(this.list.element.hidden);
    this.#toggle(sessionStorage.getItem("list") === "true");
    bus.addEventListener("b_preview_with_metadata", ({ detail }) => this.#preview(detail));
  }

  // open shows a run. "" shows no run.
  async open(id) {
    this.#stop();
    clearInterval(this.#clock);
    this.#id = id;
    this.#graph = {};
    this.#run = { state: "" };
    this.#pick("");
    if (!id) return;
    $("run-name").textContent = nameOf(id);
    $("run-name").title = id;
    $("lost").textContent = "";
    this.#stop = follow(id, (run) => this.#hear(id, run));
    this.#clock = setInterval(() => this.#time(), 1000);
    this.paint();
    const graph = await graphOf(id).catch(() => null);
    if (id !== this.#id || !graph) return;
    this.#graph = graph;
    this.paint();
  }

  // retitle shows the titles of the classes, which may have changed.
  retitle() {
    this.graph.retitle();
    this.list.show({});
    this.paint();
  }

  #hear(id, run) {
    if (id !== this.#id) return;
    if (run instanceof Error) {
      $("lost").textContent = run.message;
      run = { ...this.#run, state: "unknown", waiting: [] }; // what was seen of it stays
    }
    this.#run = run;
    this.paint();
  }

  #preview({ prompt_id: id, node_id: node, display_node_id: display, blob }) {
    keepPreview(id, display || node, blob);
    if (id === this.#id) this.paint();
  }

  #pick(id) {
    this.#picked = id;
    this.graph.mark(id);
    this.list.mark(id);
    this.paint();
  }

  #toggle(list) {
    sessionStorage.setItem("list", list);
    this.list.element.hidden = !list;
    this.graph.element.hidden = this.graph.pan.buttons.hidden = list;
    $("as-list").ariaPressed = String(list);
    this.paint();
  }

  #paint() {
    if (!this.#id) return;
    const run = this.#run;
    const asking = run.state === "running" && run.waiting?.length > 0;
    const state = asking ? "asking" : run.state;
    $("run").dataset.state = state;
    $("run-state").textContent = stateWords[state] ?? state;
    $("interrupt").hidden = run.state !== "" && run.state !== "running";
    $("edit").hidden = $("again").hidden = Object.keys(this.#graph).length === 0;
    $("overall").hidden = run.state !== "running";
    $("overall").value = partOf(run, Object.keys(this.#graph).length);
    $("incomplete").hidden = !run.incomplete || !run.state;
    this.#time();
    this.#views = viewsOf(this.#graph, run);
    $("nodes-done").textContent = count(this.#views);
    const previews = previewsOf(this.#id);
    if (this.list.element.hidden) this.#draw(previews);
    else {
      this.list.show(this.#graph, run);
      this.list.paint(this.#views);
    }
    this.questions.show(run.waiting ?? [], this.#graph);
    this.#fail(run);
    this.results.show(this.#graph, run, this.#views, previews, this.#picked);
  }

  #draw(previews) {
    this.graph.show(this.#graph);
    this.graph.paint(this.#views);
    this.graph.picture(new Map([...previews, ...this.results.pictures(this.#run)]));
  }

  #fail(run) {
    const { elements, key } = problems(run, this.#graph, (id) => this.#pick(id));
    if (key === this.#problems) return;
    this.#problems = key;
    $("problems").replaceChildren(...elements);
  }

  #time() {
    const { started, ended, attempt } = this.#run;
    const words = [];
    if (started) words.push(ended ? `${when(ended)}, took ${took(ended - started)}` : `since ${when(started)}, ${took(Math.max(Date.now() - started, 0))}`);
    if (attempt > 1) words.push(`attempt ${attempt}`);
    $("run-time").textContent = words.join(" · ");
  }
}

// count says how many nodes are done.
function count(views) {
  const all = [...views.values()];
  const done = all.filter(({ state }) => state === "finished" || state === "cached").length;
  return all.length ? `${done} of ${all.length} nodes done` : "";
}

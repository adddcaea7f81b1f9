// A new run: the text box for a workflow, its graph, and the problems that the server finds.
import { bus, keep } from "./bus.js";
import { $, el } from "./dom.js";
import { Graph } from "./graph.js";
import { ask, parse, Refusal } from "./http.js";
import { invalid } from "./problems.js";

const kept = "graph";
const pause = 250; // before the graph of a text that is being written is drawn, in ms
const box = $("graph");

export class Compose {
  #timer;
  #drawn = {};
  #problems = {};

  // submitted is called with the id of each prompt that the server has accepted. refused is
  // called if the server refuses a workflow.
  constructor(submitted, refused) {
    this.submitted = submitted;
    this.refused = refused;
    this.graph = new Graph("The graph of the workflow", (id) => this.#find(id));
    $("draft").append(this.graph.element);
    box.value = sessionStorage.getItem(kept) ?? "";
    box.oninput = () => this.#changed();
    box.onkeydown = (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("submit").requestSubmit();
    };
    $("file").onchange = async ({ target }) => {
      if (target.files.length) this.#write(await target.files[0].text());
      target.value = "";
    };
    $("submit").onsubmit = (event) => {
      event.preventDefault();
      this.submit(box.value);
    };
    this.#draw();
  }

  // fill puts a workflow into the box, with one line for each node.
  fill(graph) {
    this.#write(textOf(graph));
  }

  // retitle shows the titles of the classes, which may have changed.
  retitle() {
    this.graph.retitle();
  }

  // examples offers the workflow templates of the server.
  async examples() {
    const packs = Object.entries(await ask("workflow_templates"));
    const all = packs.flatMap(([pack, names]) => names.map((name) => ({ pack, name })));
    const load = async ({ pack, name }) => {
      const path = [pack, ...`${name}.json`.split("/")].map(encodeURIComponent).join("/");
      this.#write(await (await fetch(`workflow_templates/${path}`)).text());
    };
    $("example").replaceChildren(el("option", { value: "" }, "Examples"), ...all.map(({ name }, i) => el("option", { value: i }, name)));
    $("example").onchange = ({ target }) => {
      load(all[target.value]);
      target.value = ""; // the user can then choose the same example again
    };
    $("example").hidden = all.length === 0;
    if (all.length && box.value === "") await load(all[0]);
  }

  // submit sends the text of a workflow to the server.
  async submit(text) {
    const wrong = check(text);
    clearTimeout(this.#timer);
    this.#draw();
    this.#tell(wrong ?? "");
    if (wrong) return;
    try {
      await bus.ready;
      // Send the text itself, so that large numbers keep their digits.
      const { prompt_id, node_errors } = await ask("prompt", `{"client_id": ${JSON.stringify(bus.clientId)}, "prompt": ${text}}`);
      keep(prompt_id, parse(text), node_errors);
      this.submitted(prompt_id);
    } catch (err) {
      this.#tell(err.message, err.details, err instanceof Refusal ? err.nodes : {});
      this.refused();
    }
  }

  #write(text) {
    box.value = text;
    this.#changed();
    this.#draw();
  }

  #changed() {
    sessionStorage.setItem(kept, box.value);
    this.#tell();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#draw(), pause);
  }

  // draw draws the graph of the text, and marks the nodes with problems. A text that is no
  // workflow, because the user is writing, leaves the drawing as it is.
  #draw() {
    try {
      const graph = parse(box.value);
      if (graph && typeof graph === "object" && !Array.isArray(graph) && !Array.isArray(graph.nodes)) this.#drawn = graph;
    } catch {
      if (box.value.trim() === "") this.#drawn = {};
    }
    this.graph.show(this.#drawn);
    $("draft").hidden = Object.keys(this.#drawn).length === 0;
    this.graph.paint(new Map(Object.keys(this.#drawn).map((id) => {
      const first = this.#problems[id]?.errors?.[0];
      return [id, { id, state: first ? "error" : "idle", part: 0, told: first ? "" : this.#drawn[id]?.class_type ?? "", text: first?.message ?? "" }];
    })));
  }

  // find selects the text of a node in the box.
  #find(id) {
    const at = id === "" ? -1 : box.value.search(new RegExp(`"${id.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}"\\s*:\\s*\\{`));
    if (at < 0) return;
    const end = box.value.indexOf("\n", at);
    box.focus();
    box.setSelectionRange(at, end < 0 ? box.value.length : end);
  }

  // tell shows a general problem, and the problems of each node and input.
  #tell(message = "", details = "", nodes = {}) {
    const ids = Object.keys(nodes);
    this.#problems = nodes;
    box.ariaInvalid = String(message !== "");
    $("refusal").replaceChildren(...(message === "" ? [] : [
      el("div", { className: "error" },
        el("strong", {}, ids.length || !details ? message : `${message}: ${details}`),
        ...invalid(this.#drawn, nodes)),
    ]));
    if (message !== "") this.#draw();
  }
}

// textOf returns a workflow as JSON, with one line for each node.
export function textOf(graph) {
  const lines = Object.entries(graph).map(([id, node]) => `  ${JSON.stringify(id)}: ${JSON.stringify(node)}`);
  return `{\n${lines.join(",\n")}\n}`;
}

// check returns the problem of a text that is not a workflow, or null.
function check(text) {
  let graph;
  try {
    graph = JSON.parse(text);
  } catch (err) {
    return text.trim() === "" ? "There is no workflow yet" : `This is not JSON: ${err.message}`;
  }
  if (Array.isArray(graph?.nodes)) return "This is a workflow as an editor keeps it. Export it in the API format: Workflow, Export (API)";
  return null;
}

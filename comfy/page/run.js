// One run: a card that shows its progress, the outputs of its nodes, and its errors.
import { title } from "./classes.js";
import { el } from "./dom.js";
import { shown } from "./output.js";
import { Row } from "./row.js";

const most = 500; // rows that a run shows

export class Run {
  #graph = {};
  #rows = new Map();
  #previews = new Map(); // live pictures by node
  #outputs = new Map(); // elements of outputs by node
  #started = 0;
  #badge = el("span", { className: "badge" });
  #time = el("span", { className: "quiet" });
  #overall = el("progress", { className: "overall", hidden: true, ariaLabel: "the whole run" });
  #problems = el("div", { className: "problems" });
  #nodes = el("ol", { className: "nodes", hidden: true, tabIndex: 0, ariaLabel: "Nodes" });
  #unlisted = el("p", { className: "quiet" });
  #shown = el("div", { className: "shown" });
  #buttons;

  // act holds the functions of the buttons: follow, edit and interrupt. Each receives
  // the run.
  constructor(id, act) {
    this.id = id;
    const name = nameOf(id);
    const button = (text, does) => el("button", { type: "button", onclick: () => does(this), ariaLabel: `${text} run ${name}` }, text);
    this.#buttons = { follow: button("Follow", act.follow), edit: button("Edit", act.edit), interrupt: button("Interrupt", act.interrupt) };
    this.element = el("article", { className: "box run", ariaLabel: `Run ${name}` },
      el("div", { className: "controls" }, el("h3", {}, "Run ", el("code", { title: id }, name)), this.#badge, this.#time,
        el("span", { className: "buttons" }, ...Object.values(this.#buttons))),
      this.#overall, this.#problems, this.#nodes, this.#unlisted, this.#shown);
    this.name = name;
    this.mine = false; // whether this page receives the messages of the run
    this.become("waiting");
  }

  get ended() {
    return this.state !== "waiting" && this.state !== "running";
  }

  get graph() {
    return this.#graph;
  }

  set graph(graph) {
    this.#graph = graph;
    for (const label of this.element.querySelectorAll("[data-node]")) label.textContent = this.#title(label.dataset.node);
    if (!this.#nodes.hidden) this.#plan();
    this.become(this.state);
  }

  // become sets the state, and shows the buttons that are useful in it.
  become(state) {
    this.state = state;
    this.element.dataset.state = state;
    this.#badge.textContent = state;
    this.#buttons.interrupt.hidden = this.ended;
    this.#buttons.follow.hidden = this.ended || this.mine;
    this.#buttons.edit.hidden = Object.keys(this.#graph).length === 0;
  }

  own() {
    this.mine = true;
    this.become(this.state);
  }

  // hear handles a message of this run.
  hear(type, data) {
    if (Object.hasOwn(this.#on, type)) this.#on[type](data);
  }

  // recall shows an ended run from its entry in the history. It shows no list of
  // nodes, because the history does not contain which nodes ran.
  recall({ prompt, status, outputs, meta }) {
    this.graph = prompt[2];
    for (const [type, data] of status.messages) this.hear(type, data);
    for (const [node, output] of Object.entries(outputs)) this.hear("executed", { node, output, ...meta?.[node] });
    this.#nodes.hidden = this.#unlisted.hidden = true;
    this.element.classList.add("past");
  }

  #on = {
    execution_start: ({ timestamp }) => {
      this.#started = timestamp;
      this.#time.textContent = `since ${clock(timestamp)}`;
      this.#endPreviews();
      for (const part of [this.#nodes, this.#unlisted, this.#shown, this.#problems]) part.replaceChildren();
      for (const map of [this.#rows, this.#outputs]) map.clear();
      this.element.classList.remove("past");
      this.#nodes.hidden = false;
      this.become("running");
      this.#plan();
    },
    execution_cached: ({ nodes }) => nodes.forEach((id) => this.#row(id).become("cached")),
    progress_state: ({ nodes }) => {
      for (const n of Object.values(nodes)) {
        const row = this.#row(n.node_id, n.display_node_id);
        if (row.state !== "cached" && row.state !== "skipped") row.become(n.state === "error" ? "failed" : n.state, n.value, n.max);
      }
    },
    progress_text: ({ node, text }) => this.#row(node).say(text),
    preview: ({ node_id, display_node_id, blob }) => this.#preview(node_id, display_node_id || node_id, blob),
    executed: ({ node, display_node, output }) => this.#show(node, display_node || node, output),
    execution_error: (data) => this.#fail(data),
    execution_success: ({ timestamp }) => this.#end("done", "finished", timestamp),
    execution_interrupted: ({ timestamp }) => {
      for (const row of this.#rows.values()) if (row.state === "failed") row.become("stopped"); // the interruption caused the failure
      this.#end("interrupted", "stopped", timestamp);
    },
    "nodebus.overall": ({ value }) => {
      this.#overall.hidden = false;
      this.#overall.value = value;
    },
  };

  // plan lists the nodes before they run.
  #plan() {
    for (const id of Object.keys(this.#graph)) {
      const row = this.#row(id);
      if (this.ended) row.settle();
    }
  }

  // row returns the row of a node, and makes it if necessary. If the node on has made
  // the node, the row is below the row of on.
  #row(id, on = id) {
    let row = this.#rows.get(id);
    if (row) return row;
    const maker = on === id ? null : this.#row(on);
    row = new Row(id, this.#label(on));
    this.#rows.set(id, row);
    if (this.#rows.size > most) this.#unlisted.textContent = `${this.#rows.size - most} more nodes are not listed.`;
    else if (maker) maker.hold(row);
    else this.#nodes.append(row.element);
    return row;
  }

  // title returns the title of a node in the workflow, or else its class.
  #title(id) {
    const node = this.#graph[id];
    return node?._meta?.title || title(node?.class_type) || "";
  }

  // label returns an element with the title of a node. The title may be set later,
  // when the workflow is known.
  #label(id) {
    const label = el("span", {}, this.#title(id));
    label.dataset.node = id;
    return label;
  }

  #preview(id, on, blob) {
    let preview = this.#previews.get(id);
    if (!preview) {
      preview = el("img", { alt: "preview" });
      this.#previews.set(id, preview);
      this.#shown.prepend(el("figure", { className: "live" }, preview, el("figcaption", {}, this.#label(on), " · preview")));
    }
    URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(blob);
  }

  #endPreviews() {
    for (const preview of this.#previews.values()) {
      URL.revokeObjectURL(preview.src);
      preview.closest("figure").remove();
    }
    this.#previews.clear();
  }

  #show(id, on, output) {
    this.#outputs.get(id)?.forEach((old) => old.remove());
    const all = shown(() => this.#label(on), output);
    this.#outputs.set(id, all);
    this.#shown.append(...all);
  }

  #fail({ node_id, node_type, exception_type, exception_message, traceback, timestamp }) {
    const blocked = exception_type === "ExecutionBlocked"; // this node is skipped, and the run goes on
    this.#problems.append(el("div", { className: blocked ? "notice" : "error" },
      el("strong", {}, el("code", {}, node_id), " ", this.#title(node_id) || title(node_type), blocked ? " was skipped" : " failed"),
      el("p", {}, exception_message.trim()),
      traceback?.length ? el("details", {}, el("summary", {}, exception_type), el("pre", {}, traceback.join("").trim())) : null));
    if (node_id) this.#row(node_id).become(blocked ? "skipped" : "failed");
    if (!blocked) this.#end("failed", "stopped", timestamp);
  }

  #end(state, unfinished, timestamp) {
    this.#overall.hidden = true;
    for (const row of this.#rows.values()) row.settle(unfinished);
    this.#endPreviews();
    const took = this.#started ? `, took ${seconds(timestamp - this.#started)}` : "";
    this.#time.textContent = `${clock(timestamp)}${took}`;
    this.become(state);
  }
}

// nameOf returns the name that the page shows for a run: the beginning of its id.
export const nameOf = (id) => (id.length > 12 ? id.slice(0, 8) : id);

const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });

const seconds = (ms) => (ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`);

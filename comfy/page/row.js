// One node of a run: its name, a progress bar, and its state as a word.
import { el } from "./dom.js";

const words = {
  idle: "", running: "running", finished: "done", cached: "cached", failed: "failed", skipped: "skipped",
  stopped: "stopped", unused: "not run",
};

export class Row {
  #was = "";
  #bar = el("progress", { max: 1, value: 0 });
  #told = el("span", { className: "told" });
  #text = el("span", { className: "text" });
  #inner = el("ol", {});

  // label is an element with the node's title.
  constructor(id, label) {
    this.#bar.ariaLabel = `node ${id}`;
    this.element = el("li", {},
      el("div", { className: "node" }, el("span", { className: "name" }, el("code", {}, id), " ", label), this.#bar, this.#told, this.#text));
    this.become("idle");
  }

  // become sets the state of the node and, while the node runs, its progress.
  become(state, value = 0, max = 1) {
    const now = `${state} ${value} ${max}`;
    if (this.#was === now) return; // most rows do not change
    this.#was = now;
    this.state = state;
    this.element.className = state;
    const full = state === "finished" || state === "cached";
    this.#bar.max = max > 0 ? max : 1;
    this.#bar.value = full ? this.#bar.max : Math.min(Math.max(value, 0), this.#bar.max);
    const counts = state === "running" && max > 1;
    this.#told.textContent = counts ? `${value} of ${max}` : words[state];
  }

  // settle sets the last state after the end of the run: state for a running node, and
  // "unused" for a node that has not begun.
  settle(state) {
    if (this.state === "running") this.become(state, this.#bar.value, this.#bar.max);
    if (this.state === "idle") this.become("unused");
  }

  // say shows a line of text.
  say(text) {
    this.#text.textContent = text;
  }

  // hold adds the row of a node that this row's node has made.
  hold(row) {
    if (!this.#inner.isConnected) this.element.append(this.#inner);
    this.#inner.append(row.element);
  }
}

// One run in the list of runs.
import { button, el } from "./dom.js";
import { partOf } from "./views.js";
import { nameOf, stateWords, took, when } from "./words.js";

const ends = { completed: "success", failed: "error", cancelled: "interrupted" };

export class Item {
  #badge = el("span", { className: "badge" });
  #time = el("span", { className: "quiet" });
  #bar = el("progress", { max: 1, value: 0 });
  #picture = el("img", { alt: "", loading: "lazy", hidden: true });
  #link;
  #tools;

  // move is called with "first", "up", "down" or "away" when the user moves a waiting run.
  constructor(id, move) {
    this.id = id;
    const name = nameOf(id);
    const tool = (text, way, label) => button(text, () => move(way), `${label}: run ${name}`);
    this.#tools = {
      first: tool("⤒", "first", "Move to the front"), up: tool("↑", "up", "Move up"),
      down: tool("↓", "down", "Move down"), away: tool("✕", "away", "Remove from the queue"),
    };
    this.#bar.ariaLabel = `progress of run ${name}`;
    this.#link = el("a", { href: `#/run/${encodeURIComponent(id)}`, title: id },
      el("span", { className: "dot" }), el("code", {}, name), this.#badge, this.#time, this.#bar, this.#picture);
    this.tools = el("span", { className: "tools" }, ...Object.values(this.#tools));
    this.element = el("li", {}, this.#link, this.tools);
    this.become("");
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.element.dataset.state = state;
    this.#badge.textContent = stateWords[state] ?? state;
    this.tools.hidden = state !== "";
    this.#bar.hidden = state !== "running" && state !== "asking";
    if (state === "") this.#time.textContent = "";
  }

  // begin marks a run of the queue as running, unless the item knows more already.
  begin() {
    if (this.state !== "running" && this.state !== "asking") this.become("running");
  }

  // hear shows the state of a running prompt. It reports whether anything is new.
  hear(run) {
    if (!run.state) return false;
    this.become(run.state === "running" && run.waiting?.length ? "asking" : run.state);
    this.#bar.value = partOf(run, 0);
    if (run.ended) this.#end(run.started, run.ended);
    else if (run.started) this.#time.textContent = `since ${when(run.started)}`;
    return true;
  }

  // recall shows an ended run from the list of the server.
  recall({ status, execution_start_time: from, execution_end_time: to, preview_output: preview }) {
    this.become(ends[status] ?? status);
    this.#end(from, to);
    if (preview?.filename && preview.mediaType === "images" && this.#picture.hidden) {
      const { filename, subfolder = "", type = "output" } = preview;
      this.#picture.src = `view?${new URLSearchParams({ filename, subfolder, type, of: this.id })}`;
      this.#picture.onerror = () => (this.#picture.hidden = true);
      this.#picture.hidden = false;
    }
  }

  #end(from, to) {
    this.#time.textContent = [when(to), from ? took(to - from) : ""].filter(Boolean).join(" · ");
  }

  // place says whether the run is selected, and its place among count waiting runs.
  place(selected, at, count) {
    if (selected) this.#link.ariaCurrent = "true";
    else this.#link.removeAttribute("aria-current");
    if (at < 0) return;
    // A button that is really disabled would lose the focus.
    this.#tools.first.ariaDisabled = this.#tools.up.ariaDisabled = String(at === 0);
    this.#tools.down.ariaDisabled = String(at === count - 1);
    this.#time.textContent = at === 0 ? "next" : `${at} before it`;
  }
}

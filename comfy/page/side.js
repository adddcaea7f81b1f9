// The list of runs: the queue with its order, and the runs that have ended.
import { bus, follow } from "./bus.js";
import { $, arrange, painter, say } from "./dom.js";
import { ask } from "./http.js";
import { Item } from "./item.js";
import { controls, order } from "./queue.js";
import { nameOf, stateWords } from "./words.js";

const pause = 400; // between two requests for the lists, in ms
const calm = 250; // between two changes of the progress of a run, in ms
const watched = 8; // running prompts whose progress is shown
const shown = 50; // waiting prompts that are listed
const page = 20; // ended runs that are listed at first

export class Side {
  #items = new Map();
  #stops = new Map();
  #queue = { paused: false, running: [], waiting: [] };
  #ended = [];
  #limit = page;
  #old = true; // the list of ended runs is to be loaded
  #looking = false;
  #again = false;
  #selected = "";

  // failed is called with the error of a request.
  constructor(failed) {
    this.failed = failed;
    this.paint = painter(() => this.#paint());
    controls(() => this.#queue, (state) => this.#take(state), failed);
    $("older").onclick = () => {
      this.#limit += page;
      this.#old = true;
      this.look();
    };
    bus.addEventListener("status", () => this.look());
    bus.addEventListener("reconnected", () => this.#afresh());
  }

  // newest returns the run that a visitor wants to see first, or "".
  get newest() {
    return this.#queue.running[0] ?? this.#ended[0]?.id ?? this.#queue.waiting[0] ?? "";
  }

  select(id) {
    this.#selected = id;
    this.paint();
  }

  // begin loads the lists for the first time.
  async begin() {
    await this.#load();
  }

  // look loads the lists. Calls during a load, or in the pause after it, cause one more load.
  async look() {
    this.#again = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#again) {
      this.#again = false;
      await this.#load().catch((err) => console.warn(err.message)); // the page shows already that the connection is lost
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    this.#looking = false;
  }

  #afresh() {
    this.#old = true;
    this.look();
  }

  async #load() {
    this.#take(await ask("nodebus/queue"));
    if (!this.#old) return;
    this.#old = false;
    const { jobs, pagination } = await ask(`api/jobs?status=completed,failed,cancelled&limit=${this.#limit}`);
    this.#ended = jobs;
    $("older").hidden = !pagination.has_more;
    for (const job of jobs) this.#item(job.id).recall(job);
    this.paint();
  }

  // take shows a new state of the queue.
  #take(queue) {
    const before = new Set([...this.#queue.running, ...this.#queue.waiting]);
    this.#queue = queue;
    const now = new Set([...queue.running, ...queue.waiting]);
    if ([...before].some((id) => !now.has(id))) this.#old = this.#again = true; // a run has ended
    for (const id of queue.waiting) this.#item(id).become("");
    for (const id of queue.running) this.#item(id).begin();
    this.#follow(queue.running.slice(0, watched));
    this.paint();
  }

  // follow follows the running prompts.
  #follow(ids) {
    for (const [id, stop] of this.#stops) {
      if (ids.includes(id)) continue;
      stop();
      this.#stops.delete(id);
    }
    for (const id of ids) {
      if (this.#stops.has(id)) continue;
      let newest;
      const hear = painter(() => this.#hear(id, newest), () => calm);
      this.#stops.set(id, follow(id, (run) => {
        newest = run;
        hear();
      }));
    }
  }

  #hear(id, run) {
    const item = this.#item(id);
    const before = item.state;
    if (run instanceof Error || !item.hear(run)) return;
    if (item.state !== before) say(`Run ${nameOf(id)}: ${stateWords[item.state]}`);
    if (run.closed) this.#afresh();
  }

  #item(id) {
    if (!this.#items.has(id)) this.#items.set(id, new Item(id, (way) => this.#move(id, way)));
    return this.#items.get(id);
  }

  #move(id, way) {
    order(this.#queue, id, way).then((state) => (state ? this.#take(state) : this.look()), (err) => (this.failed(err), this.look()));
  }

  #paint() {
    const { paused, running, waiting, others } = this.#queue;
    const live = new Set([...running, ...waiting]);
    const ended = this.#ended.map(({ id }) => id).filter((id) => !live.has(id));
    const listed = waiting.slice(0, shown);
    const elements = (ids) => ids.map((id) => this.#item(id).element);
    arrange($("queued"), elements([...running, ...listed]));
    arrange($("ended"), elements(ended));
    const all = new Set([...running, ...listed, ...ended]);
    for (const [id, item] of this.#items) {
      if (!all.has(id)) this.#items.delete(id);
      else item.place(id === this.#selected, waiting.indexOf(id), waiting.length);
    }
    $("idle").hidden = live.size > 0;
    $("never").hidden = ended.length > 0;
    $("more").textContent = waiting.length > shown ? `${waiting.length - shown} more wait.` : "";
    const foreign = others ? others.running + others.waiting : 0; // the server tells it to a client with a grant
    const of = foreign ? `, and ${foreign} of others` : "";
    $("count").textContent = (live.size ? `${running.length} running, ${waiting.length} waiting` : foreign ? "nothing of yours" : "nothing in the queue") + of;
    $("pause").textContent = paused ? "▶ Resume" : "❚❚ Pause";
    $("paused-note").hidden = !paused;
    document.title = live.size ? `(${live.size}) nodebus` : "nodebus";
  }
}

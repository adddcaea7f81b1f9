// All runs, the newest first: those that this page is told of, and those that
// the queue and the history of the server have.
import { $, ask } from "./dom.js";
import { Run } from "./run.js";

const most = 20; // runs that are shown
const past = 5; // of those, that ended before the page was opened
const next = 5; // of those of others, that wait
const pause = 500; // between two looks at the queue, in ms

export class Runs {
  #all = new Map();
  #looking = false;
  #again = false;

  // client is asked for this page's id, act are what the buttons of a run do.
  constructor(client, act) {
    this.client = client;
    this.act = act;
  }

  // of is the run of a prompt, of which this page has been told.
  of(id) {
    const known = this.#all.has(id);
    const run = this.#get(id);
    if (!run.mine) run.own();
    if (!known) this.look(); // for its workflow
    return run;
  }

  // begin shows the last runs of the history.
  async begin() {
    const history = await ask(`history?max_items=${past}`);
    for (const [id, entry] of Object.entries(history)) if (!this.#all.has(id)) this.#get(id).recall(entry);
  }

  // look asks what runs and waits, soon.
  async look() {
    this.#again = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#again) {
      this.#again = false;
      await this.#compare().catch((err) => console.warn(err)); // the connection tells of trouble, and of its end
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    this.#looking = false;
  }

  async #compare() {
    const open = [...this.#all.values()].filter((run) => !run.ended);
    const { queue_running: running, queue_pending: waiting } = await ask("queue");
    const present = new Set([...running, ...waiting].map(([, id]) => id));
    for (const run of open) if (!present.has(run.id) && !run.ended) await this.#missing(run);
    waiting.sort(([a], [b]) => a - b);
    for (const item of running) this.#see(item, "running");
    for (const [i, item] of waiting.entries()) if (i < next || this.#all.has(item[1])) this.#see(item, "waiting");
    const unseen = waiting.filter(([, id]) => !this.#all.has(id)).length;
    $("more").textContent = unseen > 0 ? `${unseen} more wait.` : "";
  }

  // see takes in an item of the queue.
  #see([, id, graph, extra], state) {
    const run = this.#get(id);
    if (Object.keys(run.graph).length === 0) run.graph = graph;
    run.doubted = false;
    if (extra?.client_id === this.client()) run.mine = true;
    if (!run.ended) run.become(run.state === "running" ? "running" : state);
  }

  // missing looks up a run that is no longer in the queue. If it is one of this
  // page's, word of its end may be on its way, and it has until the next look.
  async #missing(run) {
    if (run.mine && !run.doubted) {
      run.doubted = this.#again = true;
      return;
    }
    const entry = (await ask(`history/${encodeURIComponent(run.id)}`))[run.id];
    if (run.ended) return;
    if (entry) run.recall(entry);
    else this.#drop(run);
  }

  #get(id) {
    let run = this.#all.get(id);
    if (!run) {
      run = new Run(id, this.act);
      this.#all.set(id, run);
      $("runs").prepend(run.element);
      const old = [...this.#all.values()].filter((run) => run.ended);
      for (const run of old.slice(0, Math.max(0, this.#all.size - most))) this.#drop(run);
      $("none").hidden = true;
    }
    return run;
  }

  #drop(run) {
    this.#all.delete(run.id);
    run.element.remove();
  }
}

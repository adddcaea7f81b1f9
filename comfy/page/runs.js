// All runs, the newest first: the runs whose messages this page receives, and the runs
// in the queue and the history of the server.
import { $, ask } from "./dom.js";
import { Run } from "./run.js";

const most = 20; // runs that are shown
const past = 5; // shown runs that ended before the page was opened
const next = 5; // shown runs of other clients that wait
const pause = 500; // between two requests for the queue, in ms

export class Runs {
  #all = new Map();
  #looking = false;
  #again = false;

  // client returns the client id of this page. act holds the functions of a run's
  // buttons.
  constructor(client, act) {
    this.client = client;
    this.act = act;
  }

  // of returns the run of a prompt whose messages this page receives.
  of(id) {
    const known = this.#all.has(id);
    const run = this.#get(id);
    if (!run.mine) run.own();
    if (!known) this.look(); // the queue contains its workflow
    return run;
  }

  // begin shows the newest runs of the history.
  async begin() {
    const history = await ask(`history?max_items=${past}`);
    for (const [id, entry] of Object.entries(history)) if (!this.#all.has(id)) this.#get(id).recall(entry);
  }

  // look loads the queue. If it is called during a load or the pause after it, it loads
  // the queue once more after the pause.
  async look() {
    this.#again = true;
    if (this.#looking) return;
    this.#looking = true;
    while (this.#again) {
      this.#again = false;
      await this.#compare().catch((err) => console.warn(err)); // the page shows already that the connection is lost
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

  // see updates a run from an item of the queue.
  #see([, id, graph, extra], state) {
    const run = this.#get(id);
    if (Object.keys(run.graph).length === 0) run.graph = graph;
    run.doubted = false;
    if (extra?.client_id === this.client()) run.mine = true;
    if (!run.ended) run.become(run.state === "running" ? "running" : state);
  }

  // missing looks in the history for a run that is no longer in the queue. If this page
  // receives the messages of the run, the message about its end may still arrive, so
  // missing waits until the next look.
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

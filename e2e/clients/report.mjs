// What the JavaScript clients have in common: the graphs, what the socket has
// said, and how to report.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export const graphs = JSON.parse(readFileSync(new URL("graphs.json", import.meta.url)));

// report prints one line that the test compares.
export const report = (scenario, saw) => console.log(JSON.stringify({ scenario, ...saw }));

// digest names a file by its content.
export const digest = async (blob) =>
  createHash("sha256").update(Buffer.from(await blob.arrayBuffer())).digest("hex");

// goOn lets a node go on that waits for that, and waits for one.
export const goOn = (address) => fetch(`http://${address}/step`, { method: "POST" });

// again is how often a prompt is run of which nothing has to be computed. It ends
// as soon as it begins, and a client that did not listen yet would wait for ever;
// that this does not happen is up to the server.
export const again = 5;

// queueOther has a prompt of somebody else run until it is let go on. What is
// queued meanwhile begins only then, so that a client has listened for as long as
// it needs to; and it is not to hear of the other.
export async function queueOther(address) {
  const body = JSON.stringify({ prompt: graphs.other, client_id: "somebody else" });
  const { prompt_id } = await (await fetch(`http://${address}/prompt`, { method: "POST", body })).json();
  for (let running = []; !running.some((item) => item[1] === prompt_id); )
    running = (await (await fetch(`http://${address}/queue`)).json()).queue_running;
}

// Said is what the socket has said since the last clear, in order. A preview is
// a message of the type "preview".
export class Said {
  messages = [];
  #waiting = [];

  add(type, data) {
    this.messages.push({ type, data });
    for (const check of [...this.#waiting]) check();
  }

  clear() {
    this.messages = [];
  }

  of(type) {
    return this.messages.filter((m) => m.type === type).map((m) => m.data);
  }

  // until waits for enough messages of a type that are as wanted.
  until(type, wanted, enough = 1) {
    return new Promise((resolve) => {
      const check = () => {
        if (this.of(type).filter(wanted).length < enough) return;
        this.#waiting = this.#waiting.filter((w) => w !== check);
        resolve();
      };
      this.#waiting.push(check);
      check();
    });
  }

  executing(node) {
    return this.until("executing", (data) => data.node === node);
  }

  // develop has a node of the class Develop take its steps: the next one when that
  // of the one before is known, so that none is left out.
  async develop(address, steps) {
    for (let shown = 0; shown < steps; shown++) {
      await this.until("progress", () => true, shown);
      await goOn(address);
    }
  }

  // tally is what was said of one prompt, in short.
  tally(promptId) {
    const ours = this.messages.filter((m) => m.data.prompt_id === promptId);
    const of = (type) => ours.filter((m) => m.type === type).map((m) => m.data);
    const ends = ours.filter((m) => /^execution_(success|error|interrupted)$/.test(m.type));
    return {
      executing: of("executing").map((data) => data.node),
      cached: of("execution_cached").flatMap((data) => data.nodes),
      progress: of("progress").map((data) => `${data.node} ${data.value}/${data.max}`),
      outputs: Object.fromEntries(of("executed").map((data) => [data.node, data.output])),
      ended: ends.map((m) => m.type),
      foreign: this.messages.filter((m) => (m.data.prompt_id ?? promptId) !== promptId).length,
    };
  }
}

// What the JavaScript clients have in common: the graphs, and how to report.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export const graphs = JSON.parse(readFileSync(new URL("graphs.json", import.meta.url)));

// report prints one line that the test compares.
export const report = (scenario, saw) => console.log(JSON.stringify({ scenario, ...saw }));

// digest names a file by its content.
export const digest = async (blob) =>
  createHash("sha256").update(Buffer.from(await blob.arrayBuffer())).digest("hex");

// tally keeps what the socket says of one prompt, in short.
export class Tally {
  executing = [];
  cached = [];
  progress = [];
  outputs = {};
  ended = "";
  foreign = 0; // messages of a prompt that is not ours

  take(type, data, promptId) {
    if (data.prompt_id !== undefined && data.prompt_id !== promptId) {
      this.foreign++;
      return;
    }
    switch (type) {
      case "executing":
        this.executing.push(data.node);
        break;
      case "execution_cached":
        this.cached = data.nodes;
        break;
      case "progress":
        this.progress.push(`${data.node} ${data.value}/${data.max}`);
        break;
      case "executed":
        this.outputs[data.node] = data.output;
        break;
      case "execution_success":
      case "execution_error":
      case "execution_interrupted":
        this.ended = type;
        this.cause = data;
    }
  }

  get run() {
    const { executing, cached, progress, outputs, ended, foreign } = this;
    return { executing, cached, progress, outputs, ended, foreign };
  }
}

// The official front end of ComfyUI: it boots, shows the nodes, loads, runs,
// fails, interrupts, reloads, saves and reopens workflows, and grows inputs.
//
//	node frontend.mjs 127.0.0.1:8188 page FOLDER      # nodes are elements of the page
//	node frontend.mjs 127.0.0.1:8188 canvas FOLDER    # nodes are drawn on a canvas
import { growing } from "./growing.mjs";
import { play } from "./play.mjs";
import { steps } from "./steps.mjs";

const [address, way, shots] = process.argv.slice(2);
await play(address, { steps: { ...steps, ...growing }, shots, name: way, canvas: way === "canvas" });

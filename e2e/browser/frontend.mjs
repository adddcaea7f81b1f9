// The official front end of ComfyUI: it boots, shows the nodes, loads, runs,
// fails, interrupts, reloads, saves and reopens workflows, and grows inputs. Each
// step is told when what it waits for is on the page; anything else ends the script.
//
//	node frontend.mjs 127.0.0.1:8188 page FOLDER      # nodes are elements of the page
//	node frontend.mjs 127.0.0.1:8188 canvas FOLDER    # nodes are drawn on a canvas
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { open } from "./browser.mjs";
import { Editor } from "./editor.mjs";
import { growing } from "./growing.mjs";
import { steps } from "./steps.mjs";

const [address, way, shots] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const { page, problems, close } = await open(address);
const shot = (name) => page.screenshot({ path: join(shots, `${way}-${name.replaceAll(" ", "-")}.png`) });
try {
  const editor = new Editor(page, problems, way === "canvas", shot);
  for (const [scenario, body] of Object.entries({ ...steps, ...growing })) {
    const saw = await body(editor).finally(() => shot(scenario));
    console.log(JSON.stringify({ scenario, ...saw }));
  }
  assert.deepEqual(problems, []);
} finally {
  await close();
}

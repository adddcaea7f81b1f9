// play takes the steps of a script, in order. Each step is told when what it waits for is on the
// page; anything else ends the script.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { open } from "./browser.mjs";
import { Editor } from "./editor.mjs";

// play opens the front end at an address in a browser of its own, and prints what each step saw.
// Pictures of the page are put into the folder shots; name is the beginning of their names. canvas
// says which way nodes are drawn. own lists what may go wrong because of the front end.
export async function play(address, { steps, shots, name, canvas = false, own = [] }) {
  mkdirSync(shots, { recursive: true });
  const { page, problems, close } = await open(address);
  const shot = (title) => page.screenshot({ path: join(shots, `${name}-${title.replaceAll(" ", "-")}.png`) });
  try {
    const editor = new Editor(page, problems, canvas, shot);
    for (const [scenario, body] of Object.entries(steps)) {
      const saw = await body(editor).finally(() => shot(scenario));
      console.log(JSON.stringify({ scenario, ...saw }));
    }
    assert.deepEqual(problems.filter((problem) => !own.some((o) => o.test(problem))), []);
  } finally {
    await close();
  }
}

// The page of package comfy: it runs workflows, draws them, shows what their nodes do, asks
// what they ask, orders the queue, and is used with the keyboard and on a narrow screen.
//
//	node page.mjs 127.0.0.1:8188 FOLDER
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { open } from "./browser.mjs";
import { Visitor } from "./visitor.mjs";
import { steps } from "./visit.mjs";

const [address, shots] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const { page, problems, close } = await open(address);
const visitor = new Visitor(page, problems);
const only = process.env.ONLY;
try {
  for (const [scenario, body] of Object.entries(steps)) {
    if (only && scenario !== only) continue;
    const saw = await body(visitor).finally(() => page.screenshot({ path: join(shots, `own-${scenario.replaceAll(" ", "-")}.png`) }));
    console.log(JSON.stringify({ scenario, ...saw }));
    assert.deepEqual(problems, [], scenario);
  }
} finally {
  await close();
}

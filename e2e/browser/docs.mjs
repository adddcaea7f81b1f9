// Uses the page of docs/browser.md, and runs the examples of the section about the module
// in it, in their order.
//
//	node docs.mjs 127.0.0.1:8080
import assert from "node:assert/strict";
import { open } from "./browser.mjs";

const address = process.argv[2];
const { page, problems, close } = await open(address);
const wait = { timeout: 180_000 };
const state = (text) => page.waitForFunction((text) => document.getElementById("state")?.textContent === text, text, wait);

try {
  // The page: it runs the graph, and shows the same after a reload in the middle.
  await page.getByRole("button", { name: "Start" }).click();
  await page.waitForFunction(() => document.getElementById("bar")?.value >= 2, null, wait);
  await page.reload();
  await page.waitForFunction(() => document.getElementById("bar")?.value >= 2, null, wait);
  await state("I have counted to 30.");
  await page.reload();
  await state("I have counted to 30.");
  assert.deepEqual(problems, []);

  // A run that the server does not know, as after a restart.
  await page.evaluate(() => (location.hash = "gone"));
  await page.reload();
  await state("The server does not know this run. Start again.");
  assert.deepEqual(problems.splice(0).filter((p) => !p.startsWith("404 GET /bus/nodebus/runs/gone")), []);

  // The examples.
  const lines = [];
  page.on("console", (m) => m.type() === "log" && lines.push(m.text()));
  await page.evaluate(async () => {
    const { Client } = await import("/bus/nodebus/nodebus.js");
    const client = new Client({ url: "bus/" });
    document.body.append(document.createElement("img"));
    let id = "";
    client.addEventListener("message", ({ detail }) => detail.type === "execution_start" && (id = detail.prompt_id));
    for (const letter of "abcdefghijklmnopqrstuvwxyz") {
      const answer = await fetch(`/${letter}.txt`);
      if (!answer.ok) break;
      const code = await answer.text();
      // Each example is a block of its own in a function, so that it can declare names again.
      await new Function("client", "id", `return (async () => {\n${code}\n})()`)(client, id);
    }
    client.close();
  });
  const said = lines.join("\n");
  assert.match(said, /^node 1 runs$/m); // listen
  assert.match(said, /^the end$/m);
  assert.match(said, /^node 1 shows \{text: Array\(1\)\}$/m);
  assert.match(said, /^execution_start /m);
  assert.match(said, /^success \[I have counted to 5\.\] undefined$/m); // submit and wait
  assert.match(said, /Prompt outputs failed validation/); // a refusal
  assert.match(said, /^1 Count /m);
  assert.deepEqual(problems.filter((p) => !/^(400 POST \/bus\/prompt|404 GET \/[a-z]\.txt)$/.test(p)), []);
} finally {
  await close();
}

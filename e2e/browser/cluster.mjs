// Uses the page of contrib/nats/examples/cluster. When a run has begun, the process that the
// page is connected to is killed. The page goes on through another process, and what it shows
// of each attempt only grows.
//
//	node cluster.mjs 127.0.0.1:8188 http://127.0.0.1:1234 FOLDER    # the address that kills the process
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { open } from "./browser.mjs";
import { Visitor } from "./visitor.mjs";

const [address, killer, shots] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const { page, problems, close } = await open(address);
const visitor = new Visitor(page, problems);
try {
  await visitor.ready();
  const example = page.getByRole("combobox").filter({ hasText: "Examples" });
  await example.selectOption({ label: "verses" });
  const graph = page.getByLabel("JSON in the API format");
  await page.waitForFunction(() => document.getElementById("graph").value.includes("Recite"));
  const { verse } = JSON.parse(await graph.inputValue());
  await page.evaluate(() => {
    window.seen = [];
    new MutationObserver(() => {
      const text = document.querySelector("#results .streamed pre")?.textContent;
      if (text && text !== window.seen.at(-1)) window.seen.push(text);
    }).observe(document.getElementById("results"), { childList: true, subtree: true, characterData: true });
  });
  await visitor.run({ verse: { ...verse, inputs: { ...verse.inputs, pause: 250 } } });
  await page.waitForFunction(() => window.seen.some((text) => text.includes("share what")));
  const again = page.waitForEvent("websocket");
  const [killed, failed] = (await (await fetch(killer)).text()).split(" ");
  assert.equal(failed, "<nil>");
  await again;
  await visitor.ready();
  await visitor.state("done");
  await page.locator("#ended li").waitFor();
  await page.screenshot({ path: join(shots, "cluster.png") });

  // The result is there once, and is of the first attempt unless its process was killed.
  const seen = await page.evaluate(() => window.seen);
  const [, runs] = /^Process (\d), attempt 1: /.exec(seen[0]);
  const last = runs === killed ? 2 : 1;
  const results = await visitor.results();
  assert.equal(results.length, 1);
  const [, attempt, text] = /^Process \d, attempt (\d): (.*)$/.exec(results[0]);
  assert.deepEqual([Number(attempt), text], [last, verse.inputs.text]);
  assert.equal(await page.locator("#ended li").count(), 1);
  assert.equal(await page.locator("#incomplete").isVisible(), false);

  // Nothing was lost, doubled or taken back within an attempt.
  const attempts = [];
  for (const text of seen) {
    const before = attempts.at(-1);
    if (before && text.startsWith(before.slice(0, "Process 1, attempt 1".length))) {
      assert.ok(text.startsWith(before), `${before}\n${text}`);
      attempts.pop();
    }
    attempts.push(text);
  }
  assert.equal(attempts.length, last, seen.join("\n"));
  assert.deepEqual(problems.filter((p) => p.startsWith("exception")), []);
} finally {
  await close();
}

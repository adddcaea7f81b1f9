// Uses the page of examples/webpage as its user does: logs in, runs the graph, loads the
// page again in the middle of the run, and approves the result.
//
//	node webpage.mjs 127.0.0.1:8080 FOLDER    # the folder for screenshots
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { open } from "./browser.mjs";

const [address, shots] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const { page, problems, close } = await open(address);
const shot = (name) => page.screenshot({ path: join(shots, `webpage-${name}.png`), fullPage: true });
const wait = { timeout: 180_000 };

/** What the page shows. */
const shown = () =>
  page.evaluate(() => ({
    state: document.getElementById("state").textContent,
    nodes: Object.fromEntries(
      [...document.querySelectorAll("section")].map((box) => [
        box.querySelector("h2").textContent,
        { state: box.dataset.state, done: box.querySelector("progress").value, text: box.querySelector("p").textContent },
      ]),
    ),
    question: !document.getElementById("question").hidden,
    result: document.getElementById("result").textContent,
  }));

/** Waits until the text of a node is at least so long. */
const wrote = (node, length) =>
  page.waitForFunction(([id, length]) => document.querySelector(`#node-${id} p`)?.textContent.length >= length, [node, length], wait);

/** Waits until an element is visible and has this text. */
const says = (id, text) => page.locator(`#${id}`).filter({ hasText: text }).waitFor(wait);

async function login(user, password) {
  await page.getByLabel("User").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

try {
  // Without a login, there is only the form.
  await page.goto(`http://${address}/page/run.html`);
  await page.waitForURL("**/page/", wait);
  assert.equal(problems.splice(0).filter((p) => !p.startsWith("401 GET /bus/nodebus/nodebus.js")).length, 0);
  await shot("login");
  await login("ada", "lovelace");
  await page.waitForURL("**/page/run.html", wait);

  // The nodes write at the same time, word by word.
  await page.getByLabel("Subject").fill("seas");
  await page.getByRole("button", { name: "Write" }).click();
  await wrote("verse", 20);
  await shot("running");
  const early = await shown();
  assert.equal(early.state, "running");
  assert.equal(early.question, false);
  assert.equal(early.nodes.publish.state, "");

  // A reload shows the same: no text is lost or doubled.
  await page.reload();
  await wrote("verse", early.nodes.verse.text.length);
  const { nodes } = await shown();
  assert.ok(nodes.verse.text.startsWith(early.nodes.verse.text), nodes.verse.text);
  assert.equal(nodes.title.text.trim().split(" ")[0], "An");

  // The question outlives a reload, too.
  await says("state", "waits for you");
  const asked = await shown();
  assert.equal(asked.nodes.publish.state, "waiting");
  assert.equal(asked.nodes.title.text, "An Ode to seas");
  assert.match(asked.nodes.verse.text, /^O seas, .* more and more\.$/);
  assert.match(asked.nodes.moral.text, /^So ends “An Ode to seas”/);
  assert.ok(["title", "verse", "moral"].every((id) => asked.nodes[id].state === "finished"));
  await page.reload();
  await says("state", "waits for you");
  assert.deepEqual(await shown(), asked);
  await shot("question");

  await page.locator("#question").getByRole("textbox").fill("The end.");
  await page.getByRole("button", { name: "Publish" }).click();
  await says("state", "success");
  const published = await shown();
  assert.equal(published.result, [asked.nodes.title.text, asked.nodes.verse.text, asked.nodes.moral.text, "The end."].join("\n\n"));
  assert.equal(published.question, false);
  await shot("published");
  await page.reload(); // the run has ended, and is still there
  await says("state", "success");
  assert.equal((await shown()).result, published.result);

  // The user refuses.
  await page.getByRole("button", { name: "Write" }).click();
  await says("state", "waits for you");
  await page.getByRole("button", { name: "Refuse" }).click();
  await says("result", "not approved");
  await shot("refused");
  assert.deepEqual(problems, []);

  // Another user sees nothing of the run.
  const run = page.url();
  await page.goto(`http://${address}/page/`);
  await login("grace", "hopper");
  await page.waitForURL("**/page/run.html", wait);
  await page.goto(run);
  await page.reload();
  await page.waitForFunction(() => document.getElementById("state")?.textContent, null, wait);
  const stranger = await shown();
  assert.equal(stranger.result, "");
  assert.ok(Object.values(stranger.nodes).every(({ state, text }) => !state && !text));
  await shot("stranger");
} finally {
  await close();
}

// The steps of page.mjs, in order. Each does something on the page, waits for what should
// come of it, and returns what it saw.
import assert from "node:assert/strict";

const develop = (steps, value = 1) => ({
  1: { class_type: "Fractal", inputs: { width: 320, height: 240 } },
  2: { class_type: "Develop", inputs: { image: ["1", 0], steps }, _meta: { title: "Darkroom" } },
  3: { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: "page" } },
  4: { class_type: "RefExpand", inputs: { value, depth: 3, inner_output: false } },
  5: { class_type: "RefOutput", inputs: { value: ["4", 0] } },
});
const gate = (value) => ({ 1: { class_type: "Gate", inputs: { value } }, 2: { class_type: "RefOutput", inputs: { value: ["1", 0] } } });
const approve = (what) => ({ 1: { class_type: "Approve", inputs: { value: 1, what } } });

// chain is a graph of n nodes behind each other.
const chain = (n) => Object.fromEntries(Array.from({ length: n }, (_, i) => [
  `n${i}`, i === 0 ? { class_type: "Gate", inputs: { value: 1 } } : { class_type: i === n - 1 ? "RefOutput" : "RefPass", inputs: { value: [`n${i - 1}`, 0] } },
]));

export const steps = {
  async boots(visitor) {
    await visitor.ready();
    const classes = Object.keys(await (await visitor.page.request.get("/object_info")).json()).length;
    assert.equal(await visitor.page.locator("#class-count").textContent(), String(classes));
    const policy = (await visitor.page.request.get("/")).headers()["content-security-policy"];
    return { title: await visitor.page.title(), policy };
  },

  // The workflow is drawn while it is written, and a refusal marks its nodes.
  async refuses(visitor) {
    const { page } = visitor;
    await visitor.write({ ...develop(0), 6: { class_type: "Nowhere", inputs: {} } });
    await page.locator("#draft .card").nth(5).waitFor();
    const links = await page.locator("#draft .wires path").count();
    const { 4: _, 5: __, ...wrong } = develop(0);
    await visitor.write(wrong);
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.locator(`#draft .card[data-id="2"][data-state="error"]`).waitFor();
    const said = await page.locator("#refusal").innerText();
    const marked = await page.locator(`#draft .card[data-state="error"]`).count();
    const focus = await page.evaluate(() => document.activeElement.id);
    const problems = visitor.problems.splice(0);
    await visitor.run(develop(0)); // one output is right
    await visitor.state("done");
    return { links, said: said.split("\n"), marked, focus, problems, left: (await page.locator("#problems").innerText()).split("\n") };
  },

  // A node is highlighted while it runs, its bar grows, and its picture changes.
  async runs(visitor) {
    await visitor.run(develop(4, 2));
    await visitor.node("5", "finished");
    const expanded = await visitor.node("4", "finished");
    let preview = "";
    for (let step = 1; step <= 3; step++) {
      await visitor.step();
      preview = await visitor.picture("2", preview);
    }
    const running = await visitor.node("2", "running", "3 of 4");
    await visitor.page.locator("#results .live img").waitFor();
    const live = await visitor.page.locator("#results .live img").evaluate((img) => img.decode().then(() => `${img.naturalWidth}x${img.naturalHeight}`));
    await visitor.page.screenshot({ path: "shots/own-running.png" });
    await visitor.step();
    await visitor.state("done");
    const picture = await visitor.picture("3");
    const result = visitor.page.getByRole("img", { name: "page_00001_.png" });
    const size = await result.evaluate((img) => img.decode().then(() => `${img.naturalWidth}x${img.naturalHeight}`));
    return {
      expanded: expanded.label, running: running.label, bar: running.bar, live, size, picture: picture.replace(/&of=.*/, ""),
      done: await visitor.page.locator("#nodes-done").textContent(), texts: await visitor.results(),
    };
  },

  // A text grows in its place. What looks like HTML stays a text.
  async "streams a text"(visitor) {
    await visitor.run({ 1: { class_type: "Tell", inputs: { text: "<b>One</b> two <img src=x>" } }, 2: { class_type: "RefOutput", inputs: { value: ["1", 0] } } });
    await visitor.step(2);
    const text = visitor.page.locator("#results .streamed pre");
    await visitor.page.waitForFunction(() => document.querySelector("#results .streamed pre")?.textContent === "<b>One</b> two ");
    const element = await text.elementHandle();
    await visitor.step(2);
    await visitor.state("done");
    return { text: await text.textContent(), same: await text.evaluate((now, then) => now === then, element), html: await visitor.page.locator("#results :is(b, img)").count() };
  },

  async "asks and answers"(visitor) {
    const { page } = visitor;
    await visitor.run(approve("Print it?"));
    await visitor.state("asks");
    const asks = await visitor.node("1", "asks");
    await page.getByRole("heading", { name: "Print it?" }).waitFor();
    await page.getByRole("button", { name: "Yes" }).click();
    await visitor.state("done");
    const answered = await visitor.results();
    await visitor.run(approve("Again?"));
    await page.getByRole("button", { name: "Refuse" }).click();
    await page.getByLabel("Reason for the refusal").fill("too <i>dark</i>");
    await page.keyboard.press("Enter");
    await visitor.state("refused|failed");
    return { asks: asks.label, answered, refused: await page.locator("#problems p").first().innerText(), forms: await page.locator(".question").count() };
  },

  async "shows an error on its node"(visitor) {
    await visitor.run({
      1: { class_type: "RefAdd", inputs: { a: 1, b: 2 } },
      2: { class_type: "RefRaise", inputs: { value: ["1", 0], message: "no <b>luck</b>" }, _meta: { title: "Lottery" } },
      3: { class_type: "RefOutput", inputs: { value: ["2", 0] } },
    });
    await visitor.state("failed");
    const failed = await visitor.node("2", "error");
    const unused = await visitor.node("3", "unused");
    await visitor.page.getByRole("button", { name: "Show node 2" }).click();
    const facts = await visitor.page.locator(".facts").innerText();
    return { failed: failed.label, unused: unused.label, problem: (await visitor.page.locator("#problems").innerText()).split("\n"), facts: facts.split("\n") };
  },

  // The queue is paused, changed and resumed.
  async "orders the queue"(visitor) {
    const { page } = visitor;
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByText("Paused: no waiting run begins.").waitFor();
    const ids = [];
    for (let i = 0; i < 4; i++) ids.push(await visitor.post(gate(i)));
    const [a, b, c, d] = ids;
    await visitor.queue([a, b, c, d]);
    await visitor.move(c, "Move to the front");
    await visitor.queue([c, a, b, d]);
    await visitor.move(c, "Move down");
    await visitor.queue([a, c, b, d]);
    await visitor.move(d, "Move up");
    await visitor.queue([a, c, d, b]);
    const focus = await page.evaluate(() => document.activeElement.ariaLabel.split(":")[0]);
    await visitor.move(a, "Remove from the queue");
    await visitor.queue([c, d, b]);
    const order = await visitor.ordered();
    const names = { [b]: "b", [c]: "c", [d]: "d" };
    await page.screenshot({ path: "shots/own-queue.png" });
    await page.getByRole("button", { name: "Resume" }).click();
    await visitor.queue([d, b]);
    await visitor.step(3);
    await page.getByText("Nothing waits or runs.").waitFor();
    await page.locator("#ended li").nth(8).waitFor();
    return { paused: order.paused, waiting: order.waiting.map((id) => names[id]), focus, ended: await page.locator("#ended li").count() };
  },

  // The page is loaded again in the middle of a run, and shows it going on.
  async "survives a reload"(visitor) {
    const id = await visitor.run(develop(3));
    await visitor.step(2);
    await visitor.node("2", "running", "2 of 3");
    await visitor.page.reload();
    await visitor.ready();
    const running = await visitor.node("2", "running", "2 of 3");
    const preview = await visitor.picture("2");
    await visitor.step();
    await visitor.state("done");
    return { same: visitor.page.url().endsWith(id), running: running.label, preview: preview.startsWith("blob:"), done: await visitor.page.locator("#nodes-done").textContent() };
  },

  // A run of another client is followed from the list, live and afterwards.
  async "follows others"(visitor) {
    const id = await visitor.post(gate("other"));
    await visitor.page.locator(`#queued a[title="${id}"]`).click();
    await visitor.node("1", "running");
    await visitor.step();
    await visitor.state("done");
    const live = await visitor.results();
    await visitor.page.locator(`#ended a[title="${id}"]`).waitFor();
    await visitor.page.reload();
    await visitor.ready();
    await visitor.state("done");
    await visitor.node("2", "finished");
    return { live, later: await visitor.results() };
  },

  async interrupts(visitor) {
    await visitor.run(gate("never"));
    await visitor.node("1", "running");
    await visitor.page.getByRole("button", { name: "Interrupt" }).click();
    await visitor.state("interrupted");
    const stopped = await visitor.node("1", "interrupted");
    await visitor.page.getByRole("button", { name: "Edit a copy" }).click();
    const text = await visitor.page.getByLabel("JSON in the API format").inputValue();
    return { stopped: stopped.label, copy: JSON.parse(text)["1"], focus: await visitor.page.evaluate(() => document.activeElement.id) };
  },

  // The drawing is one stop of the Tab key, and the arrow keys follow the links.
  async "has a keyboard"(visitor) {
    const { page } = visitor;
    await visitor.run(develop(1));
    await visitor.step();
    await visitor.state("done");
    const stops = await page.locator(`#picture .card[tabindex="0"]`).count();
    await page.locator(`#picture .card[tabindex="0"]`).focus();
    await page.keyboard.press("Home");
    const down = (await page.evaluate(() => document.activeElement.dataset.id)) === "1";
    const seen = [];
    const at = async () => seen.push(await page.evaluate(() => document.activeElement.dataset.id));
    const { x: x1, y: y1 } = await page.locator(`#picture .card[data-id="1"] .body`).boundingBox();
    const { x: x2, y: y2 } = await page.locator(`#picture .card[data-id="2"] .body`).boundingBox();
    const [on, back] = Math.abs(x2 - x1) > Math.abs(y2 - y1) ? ["ArrowRight", "ArrowLeft"] : ["ArrowDown", "ArrowUp"];
    await page.locator(`#picture .card[data-id="1"]`).focus();
    for (const key of [on, on, back]) {
      await page.keyboard.press(key);
      await at();
    }
    await page.keyboard.press("Enter");
    await page.locator(".inputs").waitFor();
    const picked = await page.locator("#results-title").textContent();
    const inputs = (await page.locator(".inputs").innerText()).split("\n");
    await page.keyboard.press("Escape");
    await page.locator("#results-title", { hasText: "Results" }).waitFor();
    await page.getByRole("button", { name: "List" }).click();
    await page.locator(".list li").nth(4).waitFor();
    const lines = await page.locator(".list li").evaluateAll((all) => all.map((li) => `${li.querySelector(".name").textContent}: ${li.dataset.state}`));
    await page.getByRole("button", { name: "List" }).click();
    return { stops, down, seen, picked, inputs, lines };
  },

  // Events change only the cards that they are about.
  async "has room for a thousand nodes"(visitor) {
    const { page } = visitor;
    const id = await visitor.post(chain(1000)); // a browser needs minutes to type so much
    await page.locator(`#queued a[title="${id}"]`).click();
    await visitor.node("n0", "running");
    await page.evaluate(() => {
      window.changes = 0;
      new MutationObserver((all) => (window.changes += all.filter(({ target }) => !target.closest(".card")).length))
        .observe(document.querySelector("#picture svg"), { childList: true, subtree: true });
    });
    await visitor.step();
    await visitor.state("done");
    await visitor.node("n999", "finished");
    return { cards: await page.locator("#picture .card").count(), redrawn: await page.evaluate(() => window.changes) };
  },

  async "is narrow"(visitor) {
    const { page } = visitor;
    await page.setViewportSize({ width: 400, height: 850 });
    const wide = [];
    const measure = async () => wide.push(await page.evaluate(() => document.documentElement.scrollWidth));
    await visitor.run(develop(2));
    await visitor.step();
    await visitor.node("2", "running", "1 of 2");
    await measure();
    await page.screenshot({ path: "shots/own-narrow.png", fullPage: true });
    await visitor.step();
    await visitor.state("done");
    await visitor.pick("2");
    await measure();
    await page.getByRole("link", { name: "New run" }).click();
    await measure();
    await page.getByRole("button", { name: "Runs" }).click();
    await page.setViewportSize({ width: 1280, height: 800 });
    return { wide };
  },
};

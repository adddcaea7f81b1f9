// The scenarios of module.mjs.
import assert from "node:assert/strict";
import { becomes, follow, heard, listen, notes, numbers, run, submit, text, wait } from "./listener.mjs";

/** Checks that the page has received the events 1 to n, each once and in order. */
async function complete(page, n) {
  await heard(page, n);
  const { said, gaps } = await notes(page);
  assert.deepEqual(said, numbers(n));
  assert.equal(gaps, 0);
}

/** Ends the run, and checks the final state that the page has. */
async function ends({ page, end }, n, answer = "") {
  await end();
  await becomes(page, (run) => run.closed);
  const { state, incomplete, nodes } = await run(page);
  assert.deepEqual(
    { state, incomplete: Boolean(incomplete), node: nodes.talk.state, text: nodes.talk.texts[""], output: nodes.talk.output },
    { state: "success", incomplete: false, node: "finished", text: text(n), output: { text: [String(n), answer] } },
  );
  await page.waitForFunction(() => window.done?.closed, null, wait);
}

/** Listens, submits and follows. */
async function begin({ page }, options) {
  await listen(page, options);
  const id = await submit(page);
  await follow(page, id);
  return id;
}

/** Hides the page behind another tab and freezes it: no script of the page runs while body runs. */
async function frozen({ page, cdp }, body) {
  const other = await page.context().newPage();
  await other.bringToFront();
  await page.waitForFunction(() => document.visibilityState === "hidden", null, wait);
  const { frozen } = await notes(page);
  await cdp.send("Page.setWebLifecycleState", { state: "frozen" });
  assert.equal((await notes(page)).frozen, frozen + 1);
  await body();
  await cdp.send("Page.setWebLifecycleState", { state: "active" });
  await page.bringToFront();
  await other.close();
}

export const scenarios = {
  // The user looks at another tab, and the browser stops the scripts of the hidden page.
  async background(s) {
    const { page, say, line } = s;
    await begin(s);
    await say(10);
    await complete(page, 10);
    await frozen(s, () => say(2000));
    await complete(page, 2010);
    await frozen(s, async () => {
      await line("reset");
      await say(2000);
    });
    await complete(page, 4010);
    await ends(s, 4010);
  },

  // A script of the page computes for seconds, while thousands of events come.
  async busy(s) {
    const { page, say } = s;
    await begin(s);
    let n = 0;
    for (const seconds of [1, 5]) {
      const computed = page.evaluate((seconds) => {
        const until = performance.now() + 1000 * seconds;
        while (performance.now() < until);
        return window.notes.said.length;
      }, seconds);
      await say(20_000);
      n += 20_000;
      await computed;
      await complete(page, n);
    }
    await ends(s, n);
  },

  // A router restarts, again and again.
  async reset(s) {
    const { page, say, line } = s;
    await begin(s);
    let n = 0;
    for (let i = 0; i < 5; i++) {
      await say(100);
      await line("reset");
      await say(100);
      n += 200;
      await complete(page, n);
    }
    const { reconnecting, reconnected } = await notes(page);
    assert.ok(reconnecting >= 5 && reconnected >= 5, `${reconnecting} ${reconnected}`);
    await ends(s, n);
  },

  // A router forgets the connection, and tells nobody.
  async silent(s) {
    const { page, say, line } = s;
    await begin(s);
    await say(100);
    await complete(page, 100);
    await line("silent");
    await say(100);
    await page.waitForFunction(() => window.notes.reconnecting > 0, null, wait); // it notices by itself
    await line("");
    await complete(page, 200);
    await ends(s, 200);
  },

  // The lid of a laptop is closed for less long than the server keeps events.
  async nap(s) {
    const { page, say, line } = s;
    await begin(s);
    await say(100);
    await complete(page, 100);
    await frozen(s, async () => {
      await line("silent");
      await say(2000);
      await line("");
    });
    await complete(page, 2100);
    await ends(s, 2100);
  },

  // The same breaks, of a page that reads Server-Sent Events.
  async stream(s) {
    const { page, say, line } = s;
    await begin(s, { transport: "sse" });
    let n = 0;
    for (const how of ["reset", "reset", "silent"]) {
      await say(100);
      await complete(page, n + 100);
      const { reconnecting } = await notes(page);
      await line(how);
      await say(100);
      n += 200;
      await page.waitForFunction((before) => window.notes.reconnecting > before, reconnecting, wait);
      await line("");
      await complete(page, n);
    }
    await ends(s, n);
  },

  // The lid of a laptop is closed for longer than the server keeps events.
  async lid(s) {
    const { page, server, say, end, line } = s;
    const id = await begin(s);
    await say(100);
    await complete(page, 100);
    const cursor = await page.evaluate(() => window.client.cursor);
    await frozen(s, async () => {
      await line("silent");
      await say(100);
      await end();
      while (!(await forgotten(server, id, cursor)));
      await line("");
    });
    await page.waitForFunction(() => window.notes.gaps > 0, null, wait);
    const { state, nodes } = await becomes(page, (run) => run.closed && !run.incomplete);
    assert.equal(state, "success");
    assert.deepEqual(nodes.talk.output, { text: ["200", ""] });
    await page.waitForFunction(() => window.done?.closed, null, wait);

    await follow(page, await submit(page)); // and life goes on
    await say(3);
    await becomes(page, (run) => run.nodes?.talk?.texts?.[""] === "1 2 3 ");
    await ends(s, 3);
  },

  // The user loads the page again in the middle of a run, twice: also while a question is open.
  async reload(s) {
    const { page, say, ask } = s;
    const id = await begin(s);
    await say(100);
    const before = await becomes(page, (run, text) => run.nodes?.talk?.texts?.[""] === text, text(100));
    const again = async () => {
      await page.reload();
      await listen(page);
      await follow(page, id);
    };
    await again();
    const after = await becomes(page, (run, text) => run.nodes?.talk?.texts?.[""] === text, text(100));
    delete before.cursor;
    delete after.cursor;
    assert.deepEqual(after, before);
    await say(50);
    await becomes(page, (run, text) => run.nodes?.talk?.texts?.[""] === text, text(150));
    await ask("sure?");
    const { waiting } = await becomes(page, (run) => run.waiting?.length);
    await again();
    assert.deepEqual((await becomes(page, (run) => run.waiting?.length)).waiting, waiting);
    await page.evaluate(() => window.client.answer(window.following.run.waiting[0], "yes"));
    await becomes(page, (run) => !run.waiting?.length);
    await ends(s, 150, "yes");
  },

  // Two tabs have the same client id. Each receives everything, also when the other goes.
  async tabs(s) {
    const { page, say, line } = s;
    const id = await begin(s);
    const second = await page.context().newPage();
    await second.goto(page.url());
    await listen(second);
    await follow(second, id);
    await say(100);
    await line("reset");
    await say(100);
    await complete(page, 200);
    await complete(second, 200);
    assert.equal((await becomes(second, (run, text) => run.nodes?.talk?.texts?.[""] === text, text(200))).state, "running");
    await second.close();
    await say(100);
    await complete(page, 300);
    await ends(s, 300);
  },

  // A node asks, and the page answers. An answer that does not fit is refused, and the node waits on.
  async approval(s) {
    const { page, say, ask } = s;
    await begin(s);
    await say(1);
    await ask("sure?");
    const { waiting } = await becomes(page, (run) => run.waiting?.length);
    assert.deepEqual(
      waiting.map(({ node_id, name, schema }) => ({ node_id, name, schema })),
      [{ node_id: "talk", name: "sure?", schema: { type: "string" } }],
    );
    const refusal = await page.evaluate(() =>
      window.client.answer(window.following.run.waiting[0], 7).then(
        () => "accepted",
        ({ name, status, message }) => ({ name, status, message }),
      ),
    );
    assert.equal(refusal.status, 400);
    assert.match(refusal.message, /^the answer must be a string, but it is a number: question "sure\?" of node talk/);
    assert.equal((await run(page)).waiting.length, 1);
    await page.evaluate(() => window.client.answer(window.following.run.waiting[0], "yes"));
    await becomes(page, (run) => !run.waiting?.length);
    await ends(s, 1, "yes");

    await follow(page, await submit(page));
    await ask("really?");
    await becomes(page, (run) => run.waiting?.length);
    await page.evaluate(() => window.client.refuse(window.following.run.waiting[0], "too late"));
    const { error } = await becomes(page, (run) => run.closed);
    assert.equal(error.exception_type, "refused");
    assert.match(error.exception_message, /too late/);
  },

  // A proxy lets no WebSocket pass. The module changes to Server-Sent Events by itself.
  async noWebSocket(s) {
    const { page, say, ask } = s;
    await begin(s);
    await say(1000);
    await complete(page, 1000);
    await ask("sure?");
    await becomes(page, (run) => run.waiting?.length);
    await page.evaluate(() => window.client.answer(window.following.run.waiting[0], "yes"));
    await say(10);
    await complete(page, 1010);
    await ends(s, 1010, "yes");
  },
};

/** Reports whether the server no longer keeps the events of a prompt after a cursor. */
async function forgotten(server, id, cursor) {
  const query = new URLSearchParams({ clientId: "probe", watch: id, since: cursor });
  const answer = await fetch(`http://${server}/bus/events?${query}`);
  let stream = "";
  for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
    stream += chunk;
    if (stream.includes('"nodebus.gap"')) return true;
    if (stream.includes("e2e.said")) return false; // kept events
  }
  return false;
}

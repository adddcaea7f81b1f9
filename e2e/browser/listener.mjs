// What runs in the page: a client of the module, and notes about what it receives.

/** Makes a client in the page, with the notes in window.notes. */
export const listen = (page, options = {}) =>
  page.evaluate(async (options) => {
    const { Client } = await import("/bus/nodebus/nodebus.js");
    const client = (window.client = new Client({ url: "/bus/", clientId: "me", ...options }));
    const notes = (window.notes = { said: [], gaps: 0, reconnecting: 0, reconnected: 0, runs: 0, frozen: 0 });
    document.addEventListener("freeze", () => notes.frozen++);
    client.addEventListener("e2e.said", ({ detail }) => notes.said.push(detail.n));
    client.addEventListener("gap", () => notes.gaps++);
    client.addEventListener("reconnecting", () => notes.reconnecting++);
    client.addEventListener("reconnected", () => notes.reconnected++);
    await client.ready;
  }, options);

/** Submits a graph with one node, and follows it if follows is true. Returns the id of the prompt. */
export const submit = (page) =>
  page.evaluate(() => window.client.submit({ talk: { class_type: "Talk", inputs: {} } }));

/** Follows a run. Its state is in window.following.run. */
export const follow = (page, id) =>
  page.evaluate((id) => {
    window.following = window.client.follow(id, () => window.notes.runs++);
    window.following.done.then((run) => (window.done = run));
  }, id);

/** Waits until the page has received an event with the number n. */
export const heard = (page, n) => page.waitForFunction((n) => window.notes.said.at(-1) >= n, n, wait);

/** Waits until the run that the page follows fulfils a condition, and returns the run. */
export async function becomes(page, condition, arg) {
  const holds = `Boolean(window.following.run && (${condition})(window.following.run, ${JSON.stringify(arg)}))`;
  await page.waitForFunction(holds, null, wait).catch(async (error) => {
    throw new Error(`${condition} is not true of ${JSON.stringify([await run(page), await notes(page)])}`, { cause: error });
  });
  return run(page);
}

export const run = (page) => page.evaluate(() => window.following.run);

export const notes = (page) => page.evaluate(() => window.notes);

/** Whatever takes longer fails. It is no measure: nothing here needs to be quick. */
export const wait = { timeout: 180_000, polling: 50 };

/** The text after n events. */
export const text = (n) => Array.from({ length: n }, (_, i) => `${i + 1} `).join("");

/** The numbers from 1 to n. */
export const numbers = (n) => Array.from({ length: n }, (_, i) => i + 1);

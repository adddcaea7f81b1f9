// What a person does on the page of package comfy, and sees there.

// card is the drawing of a node. An id is a text that needs no escapes.
const card = (id) => `#picture .card[data-id="${id}"]`;

export class Visitor {
  constructor(page, problems) {
    this.page = page;
    this.problems = problems;
  }

  async ready() {
    await this.page.locator("#connection.on").waitFor();
  }

  // write puts a workflow into the box of a new run.
  async write(graph) {
    await this.page.getByRole("link", { name: "New run" }).click();
    await this.page.getByLabel("JSON in the API format").fill(JSON.stringify(graph, null, 1));
  }

  // run runs a workflow, and waits until the page shows the run. It returns its id.
  async run(graph) {
    await this.write(graph);
    const before = new URL(this.page.url()).hash;
    await this.page.getByRole("button", { name: "Run", exact: true }).click();
    await this.page.waitForFunction((before) => location.hash.startsWith("#/run/") && location.hash !== before, before);
    return decodeURIComponent(new URL(this.page.url()).hash.slice("#/run/".length));
  }

  // post submits a workflow without the page. It returns the id of the prompt.
  async post(prompt) {
    const answer = await this.page.request.post("/prompt", { data: { prompt } });
    return (await answer.json()).prompt_id;
  }

  // step lets nodes that wait take so many steps.
  async step(n = 1) {
    for (let i = 0; i < n; i++) await this.page.request.post("/step");
  }

  // state waits for the state of the selected run.
  async state(word) {
    await this.page.locator("#run-state", { hasText: new RegExp(`^${word}$`) }).waitFor();
  }

  // node waits until a node has a state, and, if told is given, until its card says so. It
  // returns how the card looks.
  async node(id, state, told = "") {
    await this.page.locator(`${card(id)}[data-state="${state}"] .told`, { hasText: told }).waitFor();
    return this.page.locator(card(id)).evaluate((g) => ({
      name: g.querySelector(".name").textContent,
      told: g.querySelector(".told").textContent,
      bar: Number((g.querySelector(".bar").getAttribute("width") / g.querySelector(".track").getAttribute("width")).toFixed(2)),
      label: g.ariaLabel,
    }));
  }

  // picture waits until the card of a node shows a picture other than before. It returns the
  // address.
  async picture(id, before = "") {
    const handle = await this.page.waitForFunction(([selector, before]) => {
      const address = document.querySelector(selector)?.getAttribute("href");
      return address && address !== before && address;
    }, [`${card(id)} image`, before]);
    return handle.jsonValue();
  }

  async pick(id) {
    await this.page.locator(card(id)).click();
  }

  // results returns the texts of the results.
  results() {
    return this.page.locator("#results pre").allTextContents();
  }

  // queue waits until the list of runs shows these waiting runs, in this order.
  async queue(ids) {
    await this.page.waitForFunction((ids) => {
      const shown = [...document.querySelectorAll(`#queued li[data-state=""] a`)].map((a) => a.title);
      return JSON.stringify(shown) === JSON.stringify(ids);
    }, ids);
  }

  // move presses a button of a waiting run.
  async move(id, label) {
    const name = id.length > 12 ? id.slice(0, 8) : id;
    await this.page.getByRole("button", { name: `${label}: run ${name}`, exact: true }).click();
  }

  async ordered() {
    return (await this.page.request.get("/nodebus/queue")).json();
  }
}

// What a person does in the front end and sees there.
import { readFileSync } from "node:fs";
import { onCanvas, onPage } from "./look.mjs";

export class Editor {
  // canvas says which way nodes are drawn; shot takes a picture of the page.
  constructor(page, canvas, shot) {
    this.page = page;
    this.canvas = canvas;
    this.shot = shot;
    this.look = (canvas ? onCanvas : onPage).toString();
  }

  // ready waits until the front end is up and connected.
  async ready() {
    const up = () => window.app?.vueAppReady && window.app.graph?.nodes && window.app.api?.clientId;
    await this.page.waitForFunction(up, null, { timeout: 60_000 });
    await this.page.getByTestId("queue-button").waitFor();
  }

  // settle closes the dialog that greets newcomers and sets how nodes are drawn.
  async settle() {
    await this.page.getByRole("dialog").getByRole("button", { name: "Close" }).first().click();
    await this.page.getByRole("dialog").waitFor({ state: "detached" });
    await this.page.evaluate((on) => window.app.extensionManager.setting.set("Comfy.VueNodes.Enabled", on), !this.canvas);
  }

  // load opens a workflow of the folder beside this file.
  async load(name) {
    const workflow = JSON.parse(readFileSync(new URL(`workflows/${name}.json`, import.meta.url)));
    await this.page.evaluate((workflow) => window.app.loadGraphData(workflow), workflow);
    await this.page.waitForFunction((n) => window.app.graph.nodes.length === n, workflow.nodes.length);
  }

  titles() {
    return this.page.evaluate(() => window.app.graph.nodes.map((node) => node.title));
  }

  // set changes the value of a widget; value reads it.
  set(id, widget, value) {
    const change = ([id, name, value]) => {
      window.app.graph.getNodeById(id).widgets.find((w) => w.name === name).value = value;
    };
    return this.page.evaluate(change, [id, widget, value]);
  }

  value(id, widget) {
    const read = ([id, name]) => window.app.graph.getNodeById(id).widgets.find((w) => w.name === name).value;
    return this.page.evaluate(read, [id, widget]);
  }

  // unlink takes the link of an input away.
  unlink(id, input) {
    return this.page.evaluate(([id, input]) => window.app.graph.getNodeById(id).disconnectInput(input), [id, input]);
  }

  run() {
    return this.page.getByTestId("queue-button").click();
  }

  cancel() {
    return this.page.getByRole("button", { name: "Cancel current run" }).click();
  }

  // idle waits until the front end knows that nothing runs.
  idle() {
    return this.page.getByRole("button", { name: "Cancel current run", disabled: true }).waitFor();
  }

  // active waits until the front end counts so many jobs in the queue.
  active(n) {
    return this.page.getByTestId("queue-overlay-toggle").filter({ hasText: `${n} active` }).waitFor();
  }

  // sees waits until a node looks as wanted, and returns how it looks.
  async sees(id, wanted) {
    const check = ([id, look, wanted]) => {
      const saw = new Function(`return (${look})`)()(id);
      return new Function(`return (${wanted})`)()(saw) ? saw : null;
    };
    const found = await this.page.waitForFunction(check, [id, this.look, wanted.toString()], { polling: 50 });
    return found.jsonValue();
  }

  // record looks at a node 20 times a second. Its stop returns every look that
  // was different from the one before.
  async record(id) {
    const begin = ([id, look]) => {
      const see = new Function(`return (${look})`)();
      const seen = [];
      const timer = setInterval(() => {
        const now = JSON.stringify(see(id));
        if (seen.at(-1) !== now) seen.push(now);
      }, 50);
      window.e2eStop = () => (clearInterval(timer), seen.map((look) => JSON.parse(look)));
    };
    await this.page.evaluate(begin, [id, this.look]);
    return { stop: () => this.page.evaluate(() => window.e2eStop()) };
  }

  // toasts are the notices of the extension, which it closes again.
  async toasts() {
    const notes = this.page.getByText(/^note \d of \d$/);
    await notes.nth(1).waitFor();
    const texts = await notes.allInnerTexts();
    for (const close of (await this.page.getByTestId("toast-close").all()).reverse()) await close.click();
    return texts;
  }

  // notice is what the front end says when something has gone wrong.
  async notice() {
    const text = await this.page.getByTestId("error-overlay").innerText();
    return text.split("\n").filter((line) => line && line !== "Error" && line !== "View details");
  }

  // errorLog is the line with some words in the details of an error.
  async errorLog(words) {
    await this.page.getByTestId("error-overlay").getByText("View details").click();
    const log = await this.page.getByTestId("runtime-error-panel").getByText(words).first().innerText();
    await this.page.getByLabel("Toggle properties panel").click();
    return log.split("\n").find((line) => line.includes(words));
  }

  // sidebar opens a tab at the side, has the caller use it, and closes it.
  async sidebar(name, use) {
    const tab = this.page.getByRole("button", { name: new RegExp(`^${name} \\(`) });
    await tab.click();
    await use(this.page.getByRole("complementary", { name: "Sidebar" }));
    await this.shot(`sidebar-${name}`);
    await tab.click();
  }

  async save(name) {
    await this.page.keyboard.press("Control+s");
    await this.page.getByLabel("Enter the filename").fill(name);
    await this.page.keyboard.press("Enter");
    await this.opened(name);
  }

  // opened waits until the workflow of a name is open.
  opened(name) {
    const open = (name) => window.app.extensionManager.workflow.activeWorkflow?.filename === name;
    return this.page.waitForFunction(open, name);
  }

  // tab is the path of the workflow that is open.
  tab() {
    return this.page.evaluate(() => window.app.extensionManager.workflow.activeWorkflow.path);
  }

  // closeTab closes the workflow that is open, which another takes the place of.
  async closeTab() {
    const path = await this.tab();
    await this.page.locator(`[data-state="active"]`).filter({ has: this.page.getByTestId("close-workflow-button") }).getByTestId("close-workflow-button").click();
    await this.page.waitForFunction((path) => window.app.extensionManager.workflow.activeWorkflow.path !== path, path);
  }

  // ended waits until the server has nothing to do.
  async ended() {
    for (;;) {
      const { exec_info } = await (await this.page.request.get("/prompt")).json();
      if (exec_info.queue_remaining === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

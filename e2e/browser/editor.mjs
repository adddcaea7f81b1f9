// What a person does in the front end and sees there.
import { readFileSync } from "node:fs";
import { onCanvas, onPage } from "./look.mjs";

export class Editor {
  // problems is what went wrong in the page; canvas says which way nodes are
  // drawn; shot takes a picture of the page.
  constructor(page, problems, canvas, shot) {
    this.page = page;
    this.problems = problems;
    this.canvas = canvas;
    this.shot = shot;
    this.look = (canvas ? onCanvas : onPage).toString();
  }

  // ready waits until the front end is up and connected.
  async ready() {
    const up = () => window.app?.vueAppReady && window.app.graph?.nodes && window.app.api?.clientId;
    await this.page.waitForFunction(up);
    await this.page.getByTestId("queue-button").waitFor();
  }

  // reloadSlowly loads the page again, over a slow line: the front end has connected long before it
  // has loaded its workflow, and drops the previews that it is sent in between.
  async reloadSlowly() {
    const late = async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 3000));
      await route.continue();
    };
    await this.page.route("**/api/object_info", late, { times: 1 });
    await this.page.reload();
    await this.ready();
  }

  // settle closes the dialog that greets newcomers and sets how nodes are drawn.
  async settle() {
    await this.page.getByRole("dialog").getByRole("button", { name: "Close" }).first().click();
    await this.page.getByRole("dialog").waitFor({ state: "detached" });
    await this.draw();
  }

  // draw sets how nodes are drawn.
  async draw() {
    const settings = {
      "Comfy.VueNodes.Enabled": !this.canvas,
      "Comfy.Minimap.Visible": false,
      "Comfy.Graph.CanvasInfo": false,
    };
    for (const [name, value] of Object.entries(settings))
      await this.page.evaluate(([name, value]) => window.app.extensionManager.setting.set(name, value), [name, value]);
  }

  // load opens a file of the folder workflows, in a new tab of a name that no
  // other has.
  async load(name, tab = name) {
    const buffer = readFileSync(new URL(`workflows/${name}.json`, import.meta.url));
    const file = { name: `${tab}.json`, mimeType: "application/json", buffer };
    await this.page.locator("#comfy-file-input").setInputFiles(file);
    await this.opened(tab, JSON.parse(buffer).nodes.length);
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

  // total waits until the front end says how much of the run is done, in percent, and which node
  // runs.
  async total(percent, node) {
    await this.page.getByText(`Total: ${percent}%`).first().waitFor();
    await this.page.getByText(new RegExp(`^Current node:\\s*${node}`)).first().waitFor();
    return percent;
  }

  // titled waits until the title of the page begins with a text.
  titled(start) {
    return this.page.waitForFunction((start) => document.title.startsWith(start), start);
  }

  // step lets nodes that wait for it take so many steps.
  async step(n = 1) {
    for (let i = 0; i < n; i++) await this.page.request.post("/step");
  }

  // sees waits until a node looks as wanted, and returns how it looks.
  async sees(id, wanted, ...args) {
    const check = ([id, look, wanted, args]) => {
      const saw = new Function(`return (${look})`)()(id);
      return new Function(`return (${wanted})`)()(saw, ...args) ? saw : null;
    };
    const looks = [id, this.look, wanted.toString(), args];
    const found = await this.page.waitForFunction(check, looks, { polling: 50 }).catch(async (err) => {
      const saw = await this.page.evaluate(`(${this.look})(${JSON.stringify(id)})`);
      throw new Error(`node ${id} does not look as wanted: ${JSON.stringify(saw)}`, { cause: err });
    });
    return found.jsonValue();
  }

  // toasts are the notices of the extension, which it closes again.
  async toasts() {
    const ours = this.page.getByRole("alert").filter({ hasText: /note \d of \d/ });
    await ours.nth(1).waitFor();
    const texts = await ours.getByText(/^note/).allInnerTexts();
    for (let n = texts.length; n > 0; n--) {
      await ours.last().getByTestId("toast-close").click();
      await ours.nth(n - 1).waitFor({ state: "detached" });
    }
    return texts;
  }

  // notice is what the front end says, under a title, when something has gone
  // wrong.
  async notice(title) {
    const text = await this.page.getByTestId("error-overlay").filter({ hasText: title }).innerText();
    return text.split("\n").filter((line) => line && line !== "Error" && line !== "View details");
  }

  // errorLog is what the log says of an error's message. At first the details show
  // a traceback, and the log in its place when that is made.
  async errorLog() {
    await this.page.getByTestId("error-overlay").getByText("View details").click();
    const log = await this.page.getByTestId("runtime-error-panel").getByText("Exception Message").innerText();
    await this.shot("error-details");
    await this.page.getByLabel("Toggle properties panel").click();
    return log.split("\n").find((line) => line.includes("Exception Message"));
  }

  // sidebar opens a tab at the side, has the caller use it, and closes it.
  async sidebar(name, use) {
    const tab = this.page.getByRole("button", { name: new RegExp(`^${name} \\(`) });
    await tab.click();
    await use(this.page.getByRole("complementary", { name: "Sidebar" }));
    await this.shot(`sidebar-${name}`);
    await tab.click();
  }

  // save saves the workflow that is open under a name, and waits until the server
  // has it.
  async save(name) {
    const stored = this.page.waitForResponse(
      (r) => r.request().method() === "POST" && r.url().includes(`/api/userdata/workflows%2F${name}.json`),
    );
    await this.page.keyboard.press("Control+s");
    await this.page.getByLabel("Enter the filename").fill(name);
    await this.page.keyboard.press("Enter");
    await stored;
    await this.opened(name, await this.page.evaluate(() => window.app.graph.nodes.length));
  }

  // opened waits until the workflow of a name is open, with so many nodes.
  opened(name, length) {
    const open = ([name, length]) =>
      window.app.extensionManager.workflow.activeWorkflow?.filename === name && window.app.graph.nodes.length === length;
    return this.page.waitForFunction(open, [name, length]);
  }

  // tab is the path of the workflow that is open.
  tab() {
    return this.page.evaluate(() => window.app.extensionManager.workflow.activeWorkflow.path);
  }

  // closeTab closes the workflow of a name, which another takes the place of.
  async closeTab(name) {
    const tab = this.page.getByTestId("workflow-tab").filter({ hasText: name });
    await tab.getByTestId("close-workflow-button").click();
    await tab.waitFor({ state: "detached" });
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

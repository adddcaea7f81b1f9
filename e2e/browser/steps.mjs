// The steps, in order. Each does something to the editor, waits for what should
// come of it, and returns what it saw.
import assert from "node:assert/strict";

// What a node can be waited for to look like. These are sent to the page, each by
// itself. To show its work, it needs another preview than before.
export const shows = (node, progress, before = null) =>
  node.running && Math.abs(node.progress - progress) < 0.01 && node.preview !== null && node.live !== before;
export const hasPicture = (node) => node.picture !== null;
export const isAtRest = (node) => node.running === false && node.progress === null;
// The front end takes a preview away that it receives in the same moment as the news that its node
// has begun.
export const isRunning = (node) => node.running;
const isRefused = (node) => node.failed && node.wrong.length > 0;

export const steps = {
  async boots(editor) {
    await editor.ready();
    await editor.settle();
    await editor.page.waitForFunction(() => document.title.includes("Unsaved"));
    return { title: await editor.page.title() };
  },

  // The node library lists the classes of a category by their titles.
  async "lists nodes"(editor) {
    const info = await (await editor.page.request.get("/api/object_info")).json();
    const titles = Object.values(info).filter((c) => c.category === "ref").map((c) => c.display_name);
    await editor.sidebar("Node Library", async (panel) => {
      await panel.getByRole("treeitem", { name: "ref", exact: true }).click();
      const items = panel.getByRole("treeitem").and(panel.locator(`[aria-level="2"]`));
      await items.nth(titles.length - 1).waitFor();
      assert.deepEqual((await items.allInnerTexts()).sort(), titles.sort());
    });
    return { classes: titles.length };
  },

  async loads(editor) {
    await editor.load("picture");
    return { tab: await editor.tab(), titles: await editor.titles() };
  },

  // A node is highlighted while it runs, its bar grows and its preview changes
  // with each step; pictures are shown when they are there.
  async runs(editor) {
    await editor.run();
    await editor.sees(3, isRunning);
    for (let step = 1, live = null; step <= 8; step++) {
      await editor.step();
      ({ live } = await editor.sees(3, shows, step / 12, live));
    }
    const early = await editor.sees(2, hasPicture);
    await editor.active(1);
    await editor.shot("running");
    await editor.step(4);
    const { picture, source } = await editor.sees(4, hasPicture);
    await editor.idle();
    const { running, progress, preview } = await editor.sees(3, isAtRest);
    return { early: early.picture, running, progress, preview, picture, source };
  },

  // What a node sent, under a type of its own, is shown by the host's extension.
  async "shows a custom message"(editor) {
    return { notes: await editor.toasts() };
  },

  async "shows an error on its node"(editor) {
    await editor.load("failing");
    await editor.run();
    const { running, wrong } = await editor.sees(2, (node) => node.failed && !node.running);
    return { running, wrong, notice: await editor.notice("RefRaise failed"), log: await editor.errorLog() };
  },

  async "shows a refusal on its input"(editor) {
    await editor.load("failing", "unlinked");
    await editor.unlink(3, "images");
    await editor.run();
    const slot = await editor.sees(3, isRefused);
    const first = await editor.notice("Required input missing");
    await editor.shot("slot");
    await editor.load("picture", "out of range");
    await editor.set(3, "steps", 0);
    await editor.run();
    const widget = await editor.sees(3, isRefused);
    const second = await editor.notice("Input out of range");
    const notes = await editor.toasts(); // the outputs that nothing is wrong with are run
    return { slot: slot.wrong, first, widget: widget.wrong, second, notes, problems: editor.problems.splice(0) };
  },

  async interrupts(editor) {
    await editor.load("endless");
    await editor.run();
    await editor.sees(2, isRunning);
    await editor.shot("to-be-interrupted");
    await editor.cancel();
    const { failed, progress } = await editor.sees(2, isAtRest);
    await editor.idle();
    const { jobs } = await (await editor.page.request.get("/api/jobs?limit=1")).json();
    return { failed, progress, job: jobs[0].status };
  },

  // The page is loaded again in the middle of a run, and shows it going on: its
  // last preview first. It says the same of what is done.
  async "survives a slow reload"(editor) {
    await editor.load("picture", "reloaded");
    await editor.set(3, "steps", 6);
    await editor.run();
    await editor.sees(3, isRunning);
    await editor.step(2);
    await editor.sees(3, shows, 2 / 6);
    const before = await editor.toasts();
    const total = [await editor.total(29, "Develop")];
    await editor.reloadSlowly();
    const { live } = await editor.sees(3, shows, 2 / 6);
    const after = await editor.toasts();
    total.push(await editor.total(29, "Develop"));
    await editor.active(1);
    await editor.step();
    await editor.sees(3, shows, 3 / 6, live);
    await editor.shot("running-on");
    await editor.step(3);
    const { picture } = await editor.sees(4, hasPicture);
    await editor.idle();
    return { before, after, total, picture };
  },

  // A run that ends while there is no page is among the results when there is one
  // again.
  async "learns of a run that has ended"(editor) {
    await editor.load("picture", "late");
    await editor.set(3, "steps", 3);
    await editor.set(4, "filename_prefix", "late");
    await editor.run();
    await editor.sees(3, isRunning);
    await editor.step();
    await editor.sees(3, shows, 1 / 3);
    await editor.page.goto("about:blank");
    await editor.step(2);
    await editor.ended();
    await editor.page.goto("/");
    await editor.ready();
    const picture = editor.page.getByRole("img", { name: "late_00001_.png" });
    await editor.sidebar("Assets", () => picture.waitFor());
    await editor.idle();
    return { running: (await editor.sees(3, isAtRest)).running };
  },

  // The server has the workflow, and gives it back.
  async "saves and reopens"(editor) {
    await editor.load("picture", "new");
    await editor.set(3, "steps", 7);
    await editor.save("glow");
    const saved = await editor.tab();
    const stored = await (await editor.page.request.get("/api/userdata/workflows%2Fglow.json")).json();
    const { widgets_values } = stored.nodes.find((node) => node.id === 3);
    await editor.closeTab("glow");
    await editor.sidebar("Workflows", (panel) => panel.getByRole("treeitem", { name: "glow" }).click());
    await editor.opened("glow", stored.nodes.length);
    const steps = await editor.value(3, "steps");
    return { saved, stored: widgets_values, reopened: await editor.tab(), titles: await editor.titles(), steps };
  },
};

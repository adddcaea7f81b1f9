// The steps, in order. Each does something to the editor, waits for what should
// come of it, and returns what it saw.
import assert from "node:assert/strict";

const isRunning = (node) => node.running && node.progress > 0 && node.preview !== null;
const hasPicture = (node) => node.picture !== null;

export const steps = {
  async boots(editor) {
    await editor.ready();
    await editor.settle();
    return { title: await editor.page.title() };
  },

  // The node library lists the classes of a category by their titles.
  async "lists nodes"(editor) {
    const info = await (await editor.page.request.get("/api/object_info")).json();
    const titles = Object.values(info).filter((c) => c.category === "ref").map((c) => c.display_name);
    await editor.sidebar("Node Library", async (panel) => {
      await panel.getByRole("treeitem", { name: "ref", exact: true }).click();
      await panel.getByText("RefImage", { exact: true }).waitFor();
      const shown = await panel.getByRole("treeitem").and(panel.locator(`[aria-level="2"]`)).allInnerTexts();
      assert.deepEqual(shown.sort(), titles.sort());
    });
    return { classes: titles.length };
  },

  async loads(editor) {
    await editor.load("picture");
    return { titles: await editor.titles() };
  },

  // A node is highlighted while it runs, its bar grows, previews change, and the
  // picture is shown in the end.
  async runs(editor) {
    const record = await editor.record(2);
    await editor.run();
    await editor.sees(2, isRunning);
    await editor.active(1);
    await editor.shot("running");
    const { picture, source } = await editor.sees(3, hasPicture);
    await editor.idle();
    const looks = await record.stop();
    const bars = looks.filter((look) => look.running && look.progress).map((look) => look.progress);
    assert.deepEqual(bars, bars.toSorted((a, b) => a - b), "the bar only grows");
    assert.ok(new Set(bars).size >= 6, `the bar grows in steps: ${bars}`);
    assert.ok(new Set(looks.map((look) => look.live)).size >= 6, "the preview changes");
    const last = looks.at(-1);
    return { running: last.running, progress: last.progress, preview: last.preview, picture, source };
  },

  // What a node sent, under a type of its own, is shown by the host's extension.
  async "shows a custom message"(editor) {
    return { notes: await editor.toasts() };
  },

  async "shows an error on its node"(editor) {
    await editor.load("failing");
    await editor.run();
    const { running, wrong } = await editor.sees(2, (node) => node.failed);
    return { running, wrong, notice: await editor.notice(), log: await editor.errorLog("no luck") };
  },

  async "shows a refusal on its input"(editor) {
    await editor.load("picture");
    await editor.unlink(3, "images");
    await editor.run();
    const slot = await editor.sees(3, (node) => node.failed);
    const first = await editor.notice();
    await editor.load("picture");
    await editor.set(2, "steps", 0);
    await editor.run();
    const widget = await editor.sees(2, (node) => node.failed);
    return { slot: slot.wrong, first, widget: widget.wrong, second: await editor.notice() };
  },

  async interrupts(editor) {
    await editor.load("endless");
    await editor.run();
    await editor.sees(2, (node) => node.running);
    await editor.cancel();
    const { failed, progress } = await editor.sees(2, (node) => !node.running);
    await editor.idle();
    const { jobs } = await (await editor.page.request.get("/api/jobs?limit=1")).json();
    return { failed, progress, job: jobs[0].status };
  },

  // The page is loaded again in the middle of a run, and shows it going on.
  async "survives a reload"(editor) {
    await editor.load("picture");
    await editor.set(2, "steps", 50);
    await editor.run();
    const before = await editor.sees(2, isRunning);
    await editor.page.reload();
    await editor.ready();
    const notes = await editor.toasts();
    const after = await editor.sees(2, isRunning);
    assert.ok(after.progress > before.progress, `progress ${before.progress}, then ${after.progress}`);
    await editor.active(1);
    await editor.shot("running-on");
    const { picture } = await editor.sees(3, hasPicture);
    await editor.idle();
    return { notes, picture };
  },

  // A run that ends while there is no page is among the results when there is one
  // again.
  async "learns of a run that has ended"(editor) {
    await editor.load("picture");
    await editor.set(2, "steps", 5);
    await editor.set(3, "filename_prefix", "late");
    await editor.run();
    await editor.sees(2, isRunning);
    await editor.page.goto("about:blank");
    await editor.ended();
    await editor.page.goto("/");
    await editor.ready();
    const picture = editor.page.getByRole("img", { name: "late_00001_.png" });
    await editor.sidebar("Assets", () => picture.waitFor());
    await editor.idle();
    return { running: (await editor.sees(2, (node) => "running" in node)).running };
  },

  async "saves and reopens"(editor) {
    await editor.load("picture");
    await editor.set(2, "steps", 7);
    await editor.save("glow");
    const saved = await editor.tab();
    await editor.closeTab();
    await editor.sidebar("Workflows", (panel) => panel.getByRole("treeitem", { name: "glow" }).click());
    await editor.opened("glow");
    return { saved, reopened: await editor.tab(), titles: await editor.titles(), steps: await editor.value(2, "steps") };
  },
};

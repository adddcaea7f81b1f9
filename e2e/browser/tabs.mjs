// Two tabs of the official front end with one client id, as when a person duplicates a tab: both
// follow the runs of both.
//
//	node tabs.mjs 127.0.0.1:8188 FOLDER
import assert from "node:assert/strict";
import { watch } from "./browser.mjs";
import { Editor } from "./editor.mjs";
import { play } from "./play.mjs";
import { hasPicture, isAtRest, isRunning, shows } from "./steps.mjs";

let second;
const id = (editor) => editor.page.evaluate(() => window.app.api.clientId);
const both = (editor, look) => Promise.all([look(editor), look(second)]);

const steps = {
  // A duplicate of a tab begins with a copy of its name, which is the client id, and of its
  // session storage. A window that a page opens has the copy of the storage.
  async "opens a second tab"(editor) {
    await editor.ready();
    await editor.draw();
    await editor.load("picture");
    await editor.page.reload(); // so that the workflow is stored
    await editor.ready();
    await editor.opened("picture", 7);
    const opened = editor.page.context().waitForEvent("page");
    await editor.page.evaluate(() => (window.open("").name = window.name));
    const page = await opened;
    page.setDefaultTimeout(180_000);
    second = new Editor(page, watch(page, address), false, (title) => page.screenshot({ path: `${shots}/tabs-second-${title}.png` }));
    await page.goto(editor.page.url());
    await second.ready();
    await second.opened("picture", 7);
    const ids = await both(editor, id);
    return { same: ids[0] === ids[1] };
  },

  async "both see a run"(editor) {
    await editor.set(3, "steps", 3);
    await editor.run();
    await both(editor, (tab) => tab.sees(3, isRunning));
    await editor.step(1);
    await both(editor, (tab) => tab.sees(3, shows, 1 / 3));
    const notes = await both(editor, (tab) => tab.toasts());
    const total = await both(editor, (tab) => tab.total(29, "Develop"));
    await both(editor, (tab) => tab.active(1));
    await second.shot("running");
    await editor.step(2);
    const saw = await both(editor, (tab) => tab.sees(4, hasPicture));
    await both(editor, (tab) => tab.idle());
    return { notes, total, pictures: saw.map(({ picture }) => picture) };
  },

  async "one stops what the other runs"(editor) {
    await second.load("endless");
    await editor.load("endless", "too");
    await editor.run();
    await both(editor, (tab) => tab.sees(2, isRunning));
    await second.cancel();
    const saw = await both(editor, (tab) => tab.sees(2, isAtRest));
    await both(editor, (tab) => tab.idle());
    return { failed: saw.map(({ failed }) => failed) };
  },

  // The tab that remains receives everything.
  async "one is closed"(editor) {
    await second.page.close();
    assert.deepEqual(second.problems, []);
    await editor.load("picture", "alone");
    await editor.set(3, "steps", 2);
    await editor.run();
    await editor.step(2);
    const { picture } = await editor.sees(4, hasPicture);
    await editor.idle();
    return { picture };
  },
};

const [address, shots] = process.argv.slice(2);
await play(address, { steps, shots, name: "tabs" });

// The first visit to the official front end of ComfyUI, and later ones: the host program's workflow
// is shown where the front end would show its own.
//
//	node first.mjs 127.0.0.1:8188 FOLDER
import { play } from "./play.mjs";

// what the page shows, once it has finished: the workflow, and no complaint about it.
async function shown(editor) {
  await editor.ready();
  await editor.opened("Unsaved Workflow", 7);
  const complaints = await editor.page.getByText(/Missing Node Packs|This workflow has missing nodes/).count();
  return { titles: await editor.titles(), complaints, dialogs: await editor.page.getByRole("dialog").count() };
}

const first = {
  "greets with the host's workflow": shown,

  // Work of the user's own comes back, also if it was never saved.
  async "keeps work"(editor) {
    await editor.draw();
    await editor.load("endless", "mine");
    await editor.page.reload();
    await editor.ready();
    await editor.opened("mine", 3);
    return { tab: await editor.tab(), titles: await editor.titles() };
  },

  async "has it as the default"(editor) {
    await editor.page.evaluate(() => window.app.extensionManager.command.execute("Comfy.LoadDefaultWorkflow"));
    await editor.page.waitForFunction(() => window.app.graph.nodes.length === 7);
    return { titles: await editor.titles() };
  },
};

// A browser that has never been here, of a user who has.
const later = {
  "greets again": shown,
};

const [address, shots] = process.argv.slice(2);
await play(address, { steps: first, shots, name: "first" });
await play(address, { steps: later, shots, name: "later" });

// The official front end of ComfyUI of a year ago: it shows the host program's workflow, runs a
// workflow, is loaded again in the middle, and shows the picture.
//
//	node old.mjs 127.0.0.1:8188 FOLDER
import { play } from "./play.mjs";
import { hasPicture, isRunning, shows } from "./steps.mjs";

const steps = {
  async greets(editor) {
    await editor.ready();
    await editor.opened("Unsaved Workflow", 7);
    return { titles: await editor.titles() };
  },

  async runs(editor) {
    await editor.load("picture");
    await editor.set(3, "steps", 4);
    await editor.run();
    await editor.sees(3, isRunning);
    await editor.step(1);
    await editor.sees(3, shows, 1 / 4);
    const { picture } = await editor.sees(2, hasPicture);
    await editor.page.getByText("note 2 of 2").waitFor();
    await editor.titled("[29%][25%] Develop");
    return { picture };
  },

  // It does not know the titles of the nodes any more, but how many there are.
  async "survives a slow reload"(editor) {
    await editor.reloadSlowly();
    await editor.titled("[29%][25%] Node");
    const { live } = await editor.sees(3, shows, 1 / 4);
    await editor.step(1);
    await editor.sees(3, shows, 2 / 4, live);
    await editor.shot("running-on");
    await editor.step(2);
    const { picture, source } = await editor.sees(4, hasPicture);
    await editor.ended();
    return { picture, source };
  },
};

const [address, shots] = process.argv.slice(2);
// It throws this at each start: a setting sets another, which does not exist yet.
const own = [/^exception Cannot read properties of undefined \(reading 'id'\)$/];
await play(address, { steps, shots, name: "old", canvas: true, own });

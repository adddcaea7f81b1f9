// What classes say about themselves in the official front end of ComfyUI: a workflow with a
// class that is gone, the help and the badges of a class, and its search words.
//
//	node classes.mjs 127.0.0.1:8188 FOLDER
import { play } from "./play.mjs";

const steps = {
  // The front end offers to replace the node. The new node has the values and the link of
  // the old node.
  async "replaces a class that is gone"(editor) {
    await editor.ready();
    await editor.settle();
    await editor.load("old");
    const overlay = editor.page.getByTestId("error-overlay").filter({ hasText: "can be replaced" });
    const notice = (await overlay.innerText()).split("\n").filter((line) => line && line !== "View details");
    await overlay.getByText("View details").click();
    await editor.page.getByRole("button", { name: "Replace Node" }).click();
    await editor.page.waitForFunction(() => window.app.graph.getNodeById(1)?.type === "Fractal");
    await editor.run();
    const { picture } = await editor.sees(3, (node) => node.picture !== null);
    await editor.idle();
    return { notice, width: await editor.value(1, "width"), height: await editor.value(1, "height"), picture };
  },

  async "shows help and badges"(editor) {
    await editor.page.evaluate(() => window.app.canvas.selectNode(window.app.graph.getNodeById(1)));
    await editor.page.getByTestId("info-button").click();
    const help = await editor.page.getByText("Paints a Julia set.").innerHTML();
    for (const badge of ["BETA", "e2e"]) await editor.page.getByText(badge, { exact: true }).waitFor();
    return { help };
  },

  async "finds a class by its search words"(editor) {
    await editor.sidebar("Node Library", async (panel) => {
      await panel.getByRole("textbox").or(panel.getByRole("combobox")).or(panel.getByRole("searchbox")).first().fill("mandelbrot");
      await panel.getByRole("treeitem", { name: "Fractal" }).first().waitFor();
    });
    return {};
  },
};

const [address, shots] = process.argv.slice(2);
// The front end throws this when it replaces a node whose widgets are on the page.
const own = [/Attempted to access LGraph reference that was null or undefined\.$/];
await play(address, { steps, shots, name: "classes", own });

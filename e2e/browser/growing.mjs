// The steps with a node whose inputs depend on what is linked and chosen, in order. See
// steps.mjs.
import assert from "node:assert/strict";
import { add, choose, hasSocket, link, parts } from "./hands.mjs";

const [one, two, node] = [1, 2, 3]; // two sources, and the node that the first step adds

// runs runs the workflow. It returns the inputs that the front end submits for the node, and
// what the node shows.
async function runs(editor) {
  const sent = editor.page.waitForRequest((r) => r.method() === "POST" && r.url().endsWith("/api/prompt"));
  await editor.run();
  const { inputs } = (await sent).postDataJSON().prompt[node];
  await (await sent).response();
  await editor.ended();
  const [record] = Object.values(await (await editor.page.request.get("/api/history?max_items=1")).json());
  return { sent: inputs, got: record.outputs[node]?.text };
}

export const growing = {
  // A node shows a free socket behind the sockets that are linked.
  async "grows an input"(editor) {
    await editor.load("sources");
    assert.equal(Number(await add(editor, "Collect", 620, 260)), node);
    const first = await parts(editor, node);
    await link(editor, one, node, "parts.part0");
    await hasSocket(editor, node, "parts.part1");
    await link(editor, two, node, "parts.part1");
    await hasSocket(editor, node, "parts.part2");
    return { first, ...(await parts(editor, node)) };
  },

  async "runs with a grown input"(editor) {
    return runs(editor);
  },

  // The fields of the choice appear, and are submitted.
  async "changes a choice"(editor) {
    await choose(editor, node, "mode", "fine");
    await hasSocket(editor, node, "mode.extra");
    const appeared = await parts(editor, node);
    await editor.set(node, "mode.steps", 7);
    await link(editor, one, node, "mode.extra");
    return { appeared, ...(await runs(editor)) };
  },

  async "saves and reopens a grown input"(editor) {
    await editor.save("grown");
    await editor.closeTab("grown");
    await editor.sidebar("Workflows", (panel) => panel.getByRole("treeitem", { name: "grown" }).click());
    await editor.opened("grown", 3);
    await hasSocket(editor, node, "parts.part2");
    return parts(editor, node);
  },

  // The sockets close the gap, and the fields of another choice go.
  async "shrinks an input"(editor) {
    await editor.unlink(node, "parts.part0");
    await hasSocket(editor, node, "parts.part1");
    await choose(editor, node, "mode", "fast");
    return { ...(await parts(editor, node)), ...(await runs(editor)) };
  },
};

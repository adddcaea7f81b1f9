// A picture is saved with its workflow inside, and the saved file is dropped into an empty
// editor of the official front end.
//
//	node picture.mjs 127.0.0.1:8188 page FOLDER      # nodes are elements of the page
//	node picture.mjs 127.0.0.1:8188 canvas FOLDER    # nodes are drawn on a canvas
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { open } from "./browser.mjs";
import { Editor } from "./editor.mjs";

const [address, way, shots] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const { page, problems, close } = await open(address);
const shot = (name) => page.screenshot({ path: join(shots, `picture-${way}-${name}.png`) });

// fetched is a file of the output folder, as base64.
async function fetched(query) {
  const response = await page.request.get(`/view?type=output&${query}`);
  assert.equal(response.status(), 200, query);
  return (await response.body()).toString("base64");
}

// drop drops a file on the editor, as a person does from a folder.
async function drop(name, type, base64) {
  const transfer = await page.evaluateHandle(
    ([name, type, base64]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type }));
      return transfer;
    },
    [name, type, base64],
  );
  const at = { clientX: 640, clientY: 620 }; // no node is there
  for (const event of ["dragenter", "dragover", "drop"])
    await page.dispatchEvent("#graph-canvas", event, { dataTransfer: transfer, ...at });
}

// graph is what a person would lose if the workflow did not come back.
function graph() {
  return page.evaluate(() => {
    const { nodes, links, groups } = window.app.graph.serialize();
    return {
      nodes: nodes.map(({ id, type, title, pos, widgets_values }) => ({ id, type, title, pos: [...pos].map(Math.round), widgets_values })),
      links,
      groups: groups.map(({ title }) => title),
    };
  });
}

// empty opens a new workflow, without nodes.
async function empty() {
  await page.evaluate(() => window.app.extensionManager.command.execute("Comfy.NewBlankWorkflow"));
  await page.waitForFunction(() => window.app.graph.nodes.length === 0);
}

// read is what the front end finds in a file.
function read(name, type, base64) {
  return page.evaluate(
    async ([name, type, base64]) => {
      const file = new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type });
      const found = await window.comfyAPI.parser.getWorkflowDataFromFile(file);
      return found ? { workflow: JSON.parse(found.workflow), prompt: JSON.parse(found.prompt) } : null;
    },
    [name, type, base64],
  );
}

// webp puts the Exif data of a JPEG file into the container of WebP.
function webp(jpeg) {
  const file = Buffer.from(jpeg, "base64");
  const exif = file.subarray(6, 4 + file.readUInt16BE(4));
  const head = Buffer.from("RIFF....WEBPEXIF....");
  head.writeUInt32LE(12 + exif.length, 4);
  head.writeUInt32LE(exif.length, 16);
  return Buffer.concat([head, exif]).toString("base64");
}

try {
  const editor = new Editor(page, problems, way === "canvas", shot);
  await editor.ready();
  await editor.settle();

  await editor.load("painting");
  const before = await graph();
  await editor.run();
  const hasPicture = (node) => node.picture !== null;
  const { picture } = await editor.sees(2, hasPicture);
  await editor.idle();
  await shot("saved");
  const saved = await fetched("filename=painting_00001_.png&subfolder=art");
  console.log(JSON.stringify({ scenario: "saves", picture }));

  await empty();
  await shot("empty");
  await drop("from a friend.png", "image/png", saved);
  await editor.opened("from a friend", 2);
  const after = await graph();
  assert.deepEqual(after, before);
  await shot("dropped");
  console.log(JSON.stringify({ scenario: "restores the workflow", titles: await editor.titles(), groups: after.groups }));

  // A program submits a graph without a workflow.
  const prompt = {
    "a": { class_type: "Fractal", inputs: { width: 64, height: 48 } },
    "b": { class_type: "SaveImage", inputs: { images: ["a", 0], filename_prefix: "bare" } },
  };
  const posted = await page.request.post("/prompt", { data: { prompt, client_id: "a program" } });
  assert.equal(posted.status(), 200);
  await editor.ended();
  await empty();
  await drop("bare.png", "image/png", await fetched("filename=bare_00001_.png"));
  await page.waitForFunction(() => window.app.graph.nodes.length === 2);
  const made = await graph();
  await shot("prompt");
  console.log(JSON.stringify({
    scenario: "restores the graph of a prompt",
    nodes: made.nodes.map(({ type, widgets_values }) => [type, widgets_values]).sort(),
    links: made.links.length,
  }));

  const jpeg = await fetched("filename=painting.jpg");
  const found = await read("painting.webp", "image/webp", webp(jpeg));
  console.log(JSON.stringify({
    scenario: "reads Exif data",
    jpeg: await read("painting.jpg", "image/jpeg", jpeg),
    titles: found.workflow.nodes.map(({ title }) => title),
    prompt: found.prompt,
  }));

  // The node waits after each step, so nothing but its preview and progress can come.
  await editor.load("sketch");
  await editor.run();
  const draws = (node, progress, before) => node.running && Math.abs(node.progress - progress) < 0.01 && node.preview !== null && node.live !== before;
  const sizes = [];
  for (let step = 1, live = null; step <= 2; step++) {
    await editor.step();
    const node = await editor.sees(2, draws, step / 3, live);
    live = node.live;
    sizes.push(node.preview);
  }
  await shot("sketch");
  await editor.step();
  await editor.idle();
  console.log(JSON.stringify({ scenario: "draws previews", sizes }));
  assert.deepEqual(problems, []);
} finally {
  await close();
}

// What a person does with the mouse on nodes: adds them, draws links and picks choices.

// add adds a node of a class by the search box, and puts it at a point of the page. It
// returns the id of the node.
export async function add(editor, title, x, y) {
  const { page } = editor;
  await page.mouse.dblclick(x, y);
  const search = page.getByRole("combobox", { name: "Add a node" });
  await search.fill(title);
  await page.keyboard.press("Enter");
  await search.waitFor({ state: "detached" });
  const added = (title) => window.app.graph.nodes.findLast((node) => node.title === title)?.id;
  const id = await page.waitForFunction(added, title);
  await page.mouse.click(x, y); // the node follows the mouse until then
  return id.jsonValue();
}

// link draws a link from the first output of a node to an input, and waits until it is there.
export async function link(editor, from, to, input) {
  const { page } = editor;
  const slot = await page.evaluate(([to, input]) => window.app.graph.getNodeById(to).findInputSlot(input), [to, input]);
  const [start, end] = [await place(editor, from, "out", 0), await place(editor, to, "in", slot)];
  await page.mouse.move(start.x, start.y);
  await page.mouse.down();
  await page.mouse.move((start.x + end.x) / 2, (start.y + end.y) / 2, { steps: 4 });
  await page.mouse.move(end.x, end.y, { steps: 4 });
  await page.mouse.up();
  const linked = ([from, to, input]) => {
    const { graph } = window.app;
    const slot = graph.getNodeById(to).inputs.find(({ name }) => name === input);
    return slot?.link != null && String(graph.getLink(slot.link).origin_id) === String(from);
  };
  await page.waitForFunction(linked, [from, to, input]);
}

// drawn waits until the page shows the nodes as they are: until then the places of their
// slots and widgets are old.
function drawn(editor) {
  const twice = () => {
    window.app.canvas.setDirty(true, true);
    return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  };
  return editor.page.evaluate(twice);
}

// place is where the dot of a slot is on the page.
async function place(editor, id, side, slot) {
  await drawn(editor);
  if (!editor.canvas) {
    const box = await editor.page.locator(`[data-slot-key="${id}-${side}-${slot}"]`).boundingBox();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  }
  const find = ([id, side, slot]) => {
    const node = window.app.graph.getNodeById(id);
    const [x, y] = side === "in" ? node.getInputPos(slot) : node.getOutputPos(slot);
    const { ds, canvas } = window.app.canvas;
    const { left, top } = canvas.getBoundingClientRect();
    return { x: left + (x + ds.offset[0]) * ds.scale, y: top + (y + ds.offset[1]) * ds.scale };
  };
  return editor.page.evaluate(find, [id, side, slot]);
}

// choose picks a choice of a drop-down of a node.
export async function choose(editor, id, widget, choice) {
  const { page } = editor;
  await drawn(editor);
  if (editor.canvas) {
    const find = ([id, name]) => {
      const node = window.app.graph.getNodeById(id);
      const { y } = node.widgets.find((w) => w.name === name);
      const { ds, canvas } = window.app.canvas;
      const { left, top } = canvas.getBoundingClientRect();
      return { x: left + (node.pos[0] + node.size[0] / 2 + ds.offset[0]) * ds.scale, y: top + (node.pos[1] + y + 10 + ds.offset[1]) * ds.scale };
    };
    const { x, y } = await page.evaluate(find, [id, widget]);
    await page.mouse.click(x, y);
    await page.locator(".litecontextmenu .litemenu-entry").filter({ hasText: choice }).click();
  } else {
    await page.locator(`[data-node-id="${id}"] [data-widget-name="${widget}"]`).getByRole("combobox").click();
    await page.getByRole("option", { name: choice, exact: true }).click();
  }
  await page.waitForFunction(
    ([id, name, choice]) => window.app.graph.getNodeById(id).widgets.find((w) => w.name === name).value === choice,
    [id, widget, choice],
  );
}

// parts lists the sockets of a node, each with the id of the node that it is linked to, and
// its widgets with their values.
export function parts(editor, id) {
  const read = (id) => {
    const { graph } = window.app;
    const { inputs, widgets } = graph.getNodeById(id);
    const source = ({ link }) => (link == null ? "" : `=${graph.getLink(link).origin_id}`);
    return {
      sockets: inputs.filter((input) => !input.widget).map((input) => input.name + source(input)),
      widgets: widgets.map(({ name, value }) => `${name}=${value}`),
    };
  };
  return editor.page.evaluate(read, id);
}

// hasSocket waits until a node has a socket without a link.
export function hasSocket(editor, id, name) {
  const free = ([id, name]) => window.app.graph.getNodeById(id).inputs.some((input) => input.name === name && input.link == null);
  return editor.page.waitForFunction(free, [id, name]);
}

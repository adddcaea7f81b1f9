// What nodes say is shown on the node that says it, below its inputs.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const says = {
  Paint: { type: "example.brush", text: ({ radius, strokes }) => `${strokes} strokes, radius ${radius}` },
  Describe: { type: "picture.palette", text: ({ colour }) => `on average ${colour}` },
};

app.registerExtension({
  name: "nodebus.example",
  nodeCreated(node) {
    if (!says[node.comfyClass]) return;
    const line = document.createElement("div");
    node.addDOMWidget("says", "says", line, { serialize: false, getHeight: () => 24 });
  },
});

for (const { type, text } of Object.values(says)) {
  api.addEventListener(type, ({ detail }) => {
    const node = app.graph.getNodeById(detail.node); // detail.node is the UNIQUE_ID
    const line = node?.widgets?.find((widget) => widget.name === "says")?.element;
    if (line) line.textContent = text(detail);
  });
}

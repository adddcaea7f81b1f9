// Draws a graph, runs it, shows the run while it lasts, and answers its question.
import { Client } from "../bus/nodebus/nodebus.js";

const $ = (id) => document.getElementById(id);
const add = (parent, tag, props) => parent.appendChild(Object.assign(document.createElement(tag), props));

const graph = await (await fetch("graph.json")).json();
const client = new Client({ url: new URL("../bus/", location.href) });
client.addEventListener("reconnecting", () => ($("line").textContent = "The line is broken. Trying again …"));
client.addEventListener("reconnected", () => ($("line").textContent = ""));
client.addEventListener("refused", () => (location.href = "./")); // the login has ended

// Each node is a box to the right of the nodes whose results it takes.
const sources = (id) => Object.values(graph[id].inputs).filter(Array.isArray).map(([from]) => from);
const column = (id) => 1 + Math.max(0, ...sources(id).map(column));
const boxes = {};
for (const id of Object.keys(graph)) {
  const box = add($("graph"), "section", { id: `node-${id}` });
  box.style.gridColumn = column(id);
  add(box, "h2", { textContent: id });
  boxes[id] = { box, bar: add(box, "progress", { value: 0 }), text: add(box, "p") };
}

/** Draws a curve for each link between two boxes. */
function link() {
  $("links").replaceChildren();
  const { left, top } = $("graph").getBoundingClientRect();
  for (const to of Object.keys(graph))
    for (const from of sources(to)) {
      const [a, b] = [from, to].map((id) => boxes[id].box.getBoundingClientRect());
      const [x1, y1, x2, y2] = [a.right - left, (a.top + a.bottom) / 2 - top, b.left - left, (b.top + b.bottom) / 2 - top];
      const path = $("links").appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
      path.setAttribute("d", `M${x1} ${y1} C${x1 + 30} ${y1} ${x2 - 30} ${y2} ${x2} ${y2}`);
    }
}
new ResizeObserver(link).observe($("graph"));

/** Shows the state of a run. The state has all that the page shows, also after a reload. */
function draw(run) {
  const [question] = run.waiting;
  $("state").textContent = question ? "waits for you" : run.state || "waits in the queue";
  for (const [id, { box, bar, text }] of Object.entries(boxes)) {
    const node = run.nodes[id] ?? { value: 0, max: 1 };
    box.dataset.state = question?.node_id === id ? "waiting" : node.state ?? "";
    Object.assign(bar, { max: node.max, value: node.value });
    text.textContent = node.texts?.[""] ?? node.error?.exception_message ?? "";
  }
  $("result").textContent = run.nodes.publish?.output?.text.join("\n\n") ?? run.error?.exception_message ?? "";
  $("question").hidden = !question;
  $("question").question = question;
  $("question").querySelector("span").textContent = question?.name ?? "";
}

let following;

/** Follows a run. Its id is in the address of the page, so that a reload finds it again. */
function show(id) {
  following?.stop();
  location.hash = id;
  following = client.follow(id, draw);
  following.done.catch(report);
}

const report = (error) => ($("state").textContent = error.message);

$("run").onsubmit = (event) => {
  event.preventDefault();
  for (const { inputs } of Object.values(graph)) if (typeof inputs.subject === "string") inputs.subject = $("subject").value;
  client.submit(graph).then(show, report);
};

$("question").onsubmit = (event) => {
  event.preventDefault();
  client.answer($("question").question, $("question").value.value).catch(report);
};
$("question").refuse.onclick = () => client.refuse($("question").question, "not approved").catch(report);

if (location.hash) show(location.hash.slice(1));

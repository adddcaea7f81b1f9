// The text box for a workflow, and the problems of the workflow.
import { title } from "./classes.js";
import { $, el, ask, parse, Refusal } from "./dom.js";

const kept = "graph";
const box = $("graph");

// fill puts a workflow into the box, with one line for each node.
export function fill(graph) {
  const lines = Object.entries(graph).map(([id, node]) => `  ${JSON.stringify(id)}: ${JSON.stringify(node)}`);
  write(`{\n${lines.join(",\n")}\n}`);
  box.focus();
  box.scrollIntoView({ block: "center" });
}

function write(text) {
  box.value = text;
  sessionStorage.setItem(kept, text);
  tell();
}

// begin prepares the box. Its text is the text before a reload, or the first example.
// client returns the client id of this page. submitted is called with the id and the
// workflow of each prompt that the server has accepted.
export async function begin(client, submitted) {
  box.value = sessionStorage.getItem(kept) ?? "";
  box.oninput = () => sessionStorage.setItem(kept, box.value);
  box.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("submit").requestSubmit();
  };
  $("file").onchange = async ({ target }) => {
    if (target.files.length) write(await target.files[0].text());
    target.value = "";
  };
  $("submit").onsubmit = (event) => {
    event.preventDefault();
    submit(client(), submitted);
  };
  await examples();
}

// examples offers the workflow templates of the server.
async function examples() {
  const packs = Object.entries(await ask("workflow_templates"));
  const all = packs.flatMap(([pack, names]) => names.map((name) => ({ pack, name })));
  const load = async ({ pack, name }) => {
    const path = [pack, ...`${name}.json`.split("/")].map(encodeURIComponent).join("/");
    write(await (await fetch(`workflow_templates/${path}`)).text());
  };
  $("example").replaceChildren(el("option", { value: "" }, "Examples"), ...all.map(({ name }, i) => el("option", { value: i }, name)));
  $("example").onchange = ({ target }) => {
    load(all[target.value]);
    target.value = ""; // the user can then choose the same example again
  };
  $("example").hidden = all.length === 0;
  if (all.length && box.value === "") await load(all[0]);
}

async function submit(client, submitted) {
  const wrong = check(box.value);
  tell(wrong ?? "");
  if (wrong) return;
  try {
    // Send the text itself, so that large numbers keep their digits.
    const { prompt_id, node_errors } = await ask("prompt", `{"client_id": ${JSON.stringify(client)}, "prompt": ${box.value}}`);
    if (Object.keys(node_errors).length) tell("Some outputs are left out", "", node_errors);
    submitted(prompt_id, parse(box.value));
  } catch (err) {
    tell(err.message, err.details, err instanceof Refusal ? err.nodes : {});
  }
}

// check returns the problem of a text that is not a workflow, or null.
function check(text) {
  let graph;
  try {
    graph = JSON.parse(text);
  } catch (err) {
    return text.trim() === "" ? "There is no workflow yet" : `This is not JSON: ${err.message}`;
  }
  if (Array.isArray(graph?.nodes)) return "This is a workflow as an editor keeps it. Export it in the API format: Workflow, Export (API)";
  return null;
}

// tell shows a general problem, and the problems of each node and input.
function tell(message = "", details = "", nodes = {}) {
  const ids = Object.keys(nodes);
  box.ariaInvalid = String(message !== "");
  $("refusal").replaceChildren(...(message === "" ? [] : [
    el("div", { className: "error" },
      el("strong", {}, ids.length || !details ? message : `${message}: ${details}`),
      ...ids.map((id) => problems(id, nodes[id]))),
  ]));
}

function problems(id, { class_type, errors }) {
  return el("div", { className: "of" },
    el("p", {}, el("code", {}, id), ` ${title(class_type)}`),
    el("ul", {}, ...errors.map(({ message, details, extra_info }) => el("li", {},
      extra_info?.input_name ? el("code", {}, extra_info.input_name) : null,
      ` ${message}${details ? `: ${details}` : ""}`))));
}

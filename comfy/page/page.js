// The page of a server without another front end. It shows the runs, the graph of one run
// with what happens in it, the classes and the messages. The part of the address behind #
// says what the page shows: #run/<prompt id>, or #new.
import { bus } from "./bus.js";
import { list } from "./classes.js";
import { Compose, textOf } from "./compose.js";
import { $ } from "./dom.js";
import { beginLog, log } from "./log.js";
import { RunView } from "./run.js";
import { Side } from "./side.js";

const failed = (err) => ($("trouble").textContent = err.message);
const settled = () => ($("trouble").textContent = "");

const show = (id) => (location.hash = `#run/${encodeURIComponent(id)}`);
const side = new Side(failed);
const compose = new Compose(show);
const run = new RunView({
  interrupt: (id) => bus.interrupt(id).catch(failed),
  edit: (graph) => {
    compose.fill(graph);
    location.hash = "#new";
  },
  again: (graph) => compose.submit(textOf(graph)),
});

// route shows what the address says.
function route() {
  settled();
  let [, id] = /^#run\/(.+)$/.exec(location.hash) ?? [];
  if (id === undefined && location.hash !== "#new") id = side.newest;
  const name = id ? decodeURIComponent(id) : "";
  document.body.dataset.shows = name ? "run" : "new";
  $("new").ariaCurrent = name ? "false" : "page";
  side.select(name);
  run.open(name);
}

function connected(is) {
  $("connection").textContent = is ? "connected" : "reconnecting…";
  $("connection").className = is ? "on" : "";
}

// classes loads the classes. After a reconnection, the server may be another program.
const classes = async () => {
  await list();
  run.retitle();
  compose.retitle();
};

beginLog();
$("to-runs").onclick = () => $("side").scrollIntoView();
addEventListener("hashchange", route);
bus.addEventListener("message", ({ detail }) => log(detail));
bus.addEventListener("reconnecting", () => connected(false));
bus.addEventListener("reconnected", () => {
  connected(true);
  classes().catch(failed);
});
bus.addEventListener("refused", ({ detail }) => {
  $("connection").textContent = "refused";
  failed(detail);
});
bus.ready.then(() => connected(true), failed);
await classes().catch(failed);
await side.begin().catch(failed);
route();
await compose.examples().catch(failed);

// The page of a server without another front end. It shows the runs, the graph of one run
// with what happens in it, the classes and the messages. The part of the address behind #
// says what the page shows: #/run/<prompt id>, or #/new.
import { bus } from "./bus.js";
import { list } from "./classes.js";
import { Compose, textOf } from "./compose.js";
import { $ } from "./dom.js";
import { beginLog, log } from "./log.js";
import { RunView } from "./run.js";
import { Side } from "./side.js";

let timer;
const settled = () => ($("trouble").textContent = "");

// failed shows an error for some time.
function failed(err) {
  $("trouble").textContent = err.message;
  clearTimeout(timer);
  timer = setTimeout(settled, 15_000);
}

// go changes what the page shows, and puts the focus there.
function go(hash, focus) {
  if (location.hash !== hash) location.hash = hash;
  route();
  $(focus).focus({ preventScroll: true });
}

const side = new Side(failed);
const compose = new Compose((id) => go(`#/run/${encodeURIComponent(id)}`, "run-title"), () => go("#/new", "refusal"));
const run = new RunView({
  interrupt: (id) => bus.interrupt(id).catch(failed),
  edit: (graph) => {
    go("#/new", "graph");
    compose.fill(graph);
  },
  again: (graph) => compose.submit(textOf(graph)),
});

let shown = null; // the id of the run that is shown, "" if none is shown

// route shows what the address says.
function route() {
  settled();
  const [, coded] = /^#\/run\/(.+)$/.exec(location.hash) ?? [];
  let id = coded === undefined ? "" : decode(coded);
  if (!id && location.hash !== "#/new") id = shown ?? side.newest;
  if (id === shown) return;
  shown = id;
  document.body.dataset.shows = id ? "run" : "new";
  if (id) $("new").removeAttribute("aria-current");
  else $("new").ariaCurrent = "page";
  side.select(id);
  run.open(id);
}

function decode(coded) {
  try {
    return decodeURIComponent(coded);
  } catch {
    return "";
  }
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

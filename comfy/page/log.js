// The list of received messages, the newest at the top.
import { $, el, painter } from "./dom.js";
import { clock, nameOf } from "./words.js";

const most = 500; // entries that are kept
const longest = 600; // characters of an entry

const chatter = new Set(["status", "progress", "progress_state", "progress_text", "b_preview_with_metadata", "b_preview", "nodebus.overall", "nodebus.text"]);
const standard = new Set([
  "execution_start", "execution_cached", "executing", "executed", "execution_success", "execution_error",
  "execution_interrupted", "feature_flags", "logs", "nodebus.node_done", "nodebus.node_error", "nodebus.waiting",
  "nodebus.answered", "nodebus.watching", "nodebus.gap",
]);

// short leaves out the prompt id, which the entry shows already, and shows a picture
// as its type and size.
const short = (name, value) => {
  if (name === "prompt_id") return undefined;
  return value instanceof Blob ? `${value.type}, ${value.size} bytes` : value;
};

let fresh = []; // messages that are not in the list yet

// log adds a message to the list. It highlights messages of the host program's types.
export function log({ type, data, prompt_id }) {
  if (chatter.has(type) && !$("chatter").checked) return;
  fresh.push({ type, data, run: prompt_id ?? data?.prompt_id, time: Date.now() });
  if (fresh.length > most) fresh.shift();
  if ($("messages").open) paint();
}

const paint = painter(() => {
  const list = $("log");
  list.prepend(...fresh.reverse().map(entry));
  fresh = [];
  while (list.childElementCount > most) list.lastElementChild.remove();
}, () => 100);

// beginLog prepares the list.
export function beginLog() {
  $("messages").open = sessionStorage.getItem("messages") === "true";
  $("messages").ontoggle = () => {
    sessionStorage.setItem("messages", $("messages").open);
    if ($("messages").open) paint();
  };
}

function entry({ type, data, run, time }) {
  const text = JSON.stringify(data, short) ?? "";
  const own = !standard.has(type) && !chatter.has(type);
  return el("li", { className: own ? "own" : "" },
    el("time", {}, clock(time)),
    el("b", {}, type),
    typeof run === "string" && run ? el("a", { href: `#/run/${encodeURIComponent(run)}` }, nameOf(run)) : el("span", {}),
    el("code", {}, text.length > longest ? `${text.slice(0, longest)}…` : text));
}

// The list of received messages, the newest at the top.
import { $, el } from "./dom.js";
import { nameOf } from "./run.js";

const most = 500; // entries that are kept
const longest = 600; // characters of an entry

const chatter = new Set(["status", "progress", "progress_state", "progress_text", "preview", "nodebus.overall"]);
const standard = new Set([
  "execution_start", "execution_cached", "executing", "executed", "execution_success", "execution_error",
  "execution_interrupted", "feature_flags", "logs",
]);

// short leaves out the prompt id, which the entry shows already, and shows a picture
// as its type and size.
const short = (name, value) => {
  if (name === "prompt_id") return undefined;
  return value instanceof Blob ? `${value.type}, ${value.size} bytes` : value;
};

// isOwn reports whether the host program has defined a message type.
export const isOwn = (type) => !standard.has(type) && !chatter.has(type);

// log adds a message to the list. It highlights messages of the host program's types.
export function log(type, data) {
  if (chatter.has(type) && !$("chatter").checked) return;
  const list = $("log");
  const text = JSON.stringify(data, short) ?? "";
  list.prepend(el("li", { className: isOwn(type) ? "own" : "" },
    el("time", {}, new Date().toLocaleTimeString([], { hour12: false })),
    el("b", {}, type),
    el("span", {}, typeof data?.prompt_id === "string" ? nameOf(data.prompt_id) : ""),
    el("code", {}, text.length > longest ? `${text.slice(0, longest)}…` : text)));
  if (list.childElementCount > most) list.lastElementChild.remove();
}

// The queue of the server: pausing, and the order of the waiting prompts.
import { $, say } from "./dom.js";
import { ask } from "./http.js";

// controls prepares the button that pauses and resumes the queue. queue returns the newest
// state of the queue, and take receives the state after a change.
export function controls(queue, take, failed) {
  $("pause").onclick = async () => {
    try {
      const state = await ask("nodebus/queue", { paused: !queue().paused });
      take(state);
      say(state.paused ? "The queue is paused" : "The queue goes on");
    } catch (err) {
      failed(err);
    }
  };
}

// order moves a waiting prompt: "first", "up" or "down", or "away" from the queue. It
// returns the new state of the queue, or null if the server does not tell it.
export async function order({ waiting }, id, way) {
  if (way === "away") return ask("queue", { delete: [id] });
  if (way === "first") return ask("nodebus/queue", { first: id });
  const at = waiting.indexOf(id);
  const to = way === "up" ? at - 1 : at + 1;
  if (at < 0 || to < 0 || to >= waiting.length) return null;
  // The server puts prompts in front of all others, so all prompts before the place are named.
  const all = waiting.toSpliced(at, 1).toSpliced(to, 0, id);
  return ask("nodebus/queue", { order: all.slice(0, Math.max(at, to) + 1) });
}

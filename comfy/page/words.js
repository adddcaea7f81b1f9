// Names, times and numbers as the page shows them.

// nameOf returns the name that the page shows for a run: the beginning of its id.
export const nameOf = (id) => (id.length > 12 ? id.slice(0, 8) : id);

export const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });

// when is clock, with the date of a day that is not today.
export function when(time) {
  const day = new Date(time).toLocaleDateString();
  return day === new Date().toLocaleDateString() ? clock(time) : `${day} ${clock(time)}`;
}

// took returns a duration in milliseconds as words.
export function took(ms) {
  if (ms < 1) return "0 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}

// short returns the beginning of a text that is longer than most places for letters. Wide
// letters, as in Chinese, take two places.
export function short(text, most) {
  let places = 0;
  let i = 0;
  for (const letter of text) {
    places += letter > "\u2e7f" ? 2 : 1;
    if (places > most) return `${text.slice(0, Math.max(0, i - 1)).trimEnd()}…`;
    i += letter.length;
  }
  return text;
}

// hue returns a colour for the name of a type.
export const hue = (type) => [...type].reduce((sum, c) => (sum * 137 + c.codePointAt(0) * 71) % 360, 0);

// stateWords are the states of a run.
export const stateWords = {
  "": "waiting", running: "running", asking: "asks", success: "done", error: "failed", refused: "refused", interrupted: "interrupted",
  unknown: "unknown",
};

// ended reports whether a run with this state has ended.
export const ended = (state) => ["success", "error", "refused", "interrupted"].includes(state);

// nodeWords are the states of a node in a run.
export const nodeWords = {
  idle: "", running: "running", asks: "asks", finished: "done", cached: "cached", error: "failed", blocked: "skipped",
  interrupted: "stopped", unused: "not run",
};

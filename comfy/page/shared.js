// Several parts of the page follow the same run, and the client follows it once.

// sharing returns a function that calls heard with the state of a run, now and after each
// change, until the function that it returns is called. heard is called with an Error if the
// run cannot be followed: the server does not know it, or has refused the client. start
// follows a run, as the method follow of the client does.
export function sharing(start) {
  const followed = new Map(); // by id
  const begin = (id) => {
    const shared = { heard: new Set() };
    followed.set(id, shared);
    const tell = (run) => {
      shared.run = run;
      shared.heard.forEach((one) => one(run));
    };
    try {
      shared.following = start(id, tell);
      shared.following.done.then(tell, (err) => err.name === "AbortError" || tell(err));
    } catch (err) {
      queueMicrotask(() => tell(err)); // as all calls of heard, after follow has returned
    }
    return shared;
  };
  return (id, heard) => {
    const shared = followed.get(id) ?? begin(id);
    if (shared.run) queueMicrotask(() => shared.heard.has(heard) && heard(shared.run));
    shared.heard.add(heard);
    return () => {
      if (!shared.heard.delete(heard) || shared.heard.size) return;
      shared.following?.stop();
      followed.delete(id);
    };
  };
}

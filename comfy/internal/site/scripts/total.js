// The official front end counts the nodes of a run that it has submitted itself. A page that was
// loaded again in the middle of the run, or another tab of the same client, knows only the nodes
// that have ended, and says "Total: 100%". No event can tell it of the others, so this script
// asks the server for the nodes of such a run and adds them to the page's count.
const { api } = window.comfyAPI?.api ?? {};
const { app } = window.comfyAPI?.app ?? {};

// jobs are the runs that the page counts. They belong to the front end and are no interface: if
// a front end keeps them elsewhere, its count stays as it is.
function jobs() {
  const store = app.extensionManager?._p?._s?.get("execution");
  return store?.queuedJobs ?? store?.queuedPrompts; // in older ones
}

async function count(id) {
  if (!id || jobs()?.[id]?.nodeLookup) return; // the page has submitted it
  const answer = await api.fetchApi(`/jobs/${encodeURIComponent(id)}`);
  const prompt = answer.ok ? (await answer.json()).workflow?.prompt : undefined;
  const job = jobs()?.[id];
  if (!prompt || !job?.nodes) return; // it has ended meanwhile
  for (const node of Object.keys(prompt)) job.nodes[node] ??= false;
  const named = ([node, { class_type, _meta }]) => [node, { title: _meta?.title ?? class_type, type: class_type }];
  job.nodeLookup ??= Object.fromEntries(Object.entries(prompt).map(named));
}

api?.addEventListener("execution_start", ({ detail }) => count(detail?.prompt_id).catch(() => {}));

// The official front end shows a workflow of its own to a user who has no other work: its nodes
// are those of another server. This script replaces it with the workflow of the host program.
const { app } = window.comfyAPI?.app ?? {};
const { defaultGraph } = window.comfyAPI?.defaultGraph ?? {};

// offer replaces the workflow. At the very first visit the front end would show the list of
// templates in its place, unless it believes that the user has been there before.
async function offer() {
  const answer = await fetch(new URL("first.json", import.meta.url));
  if (!answer.ok || !defaultGraph) return; // it shows its own
  const workflow = await answer.json();
  for (const key of Object.keys(defaultGraph)) delete defaultGraph[key];
  Object.assign(defaultGraph, workflow);
  const { setting } = app.extensionManager;
  if (!setting.get("Comfy.TutorialCompleted")) await setting.set("Comfy.TutorialCompleted", true);
}

app?.registerExtension({ name: "nodebus.first", setup: () => offer().catch((err) => console.warn(err)) });

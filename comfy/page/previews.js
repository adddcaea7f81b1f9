// The newest preview of each node of each run, as an address for pictures.

const previews = new Map(); // by run, then by node

// keepPreview remembers a preview. display is the node of the graph that shows it.
export function keepPreview(run, display, blob) {
  if (!previews.has(run)) previews.set(run, new Map());
  const of = previews.get(run);
  const before = of.get(display);
  if (before?.old) URL.revokeObjectURL(before.old);
  // The last address stays good for a moment: the browser may still load it.
  of.set(display, { address: URL.createObjectURL(blob), old: before?.address });
}

// previewsOf returns the addresses of the previews of a run, by node.
export const previewsOf = (run) => new Map([...(previews.get(run) ?? [])].map(([id, { address }]) => [id, address]));

// dropPreviews forgets the previews of a run.
export function dropPreviews(run) {
  for (const { address, old } of previews.get(run)?.values() ?? []) for (const url of [address, old]) if (url) URL.revokeObjectURL(url);
  previews.delete(run);
}

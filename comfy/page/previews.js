// The newest preview of each node of each run, as an address for pictures.

const previews = new Map(); // by run, then by node
const most = 5; // runs whose previews are kept

// keepPreview remembers a preview. display is the node of the graph that shows it.
export function keepPreview(run, display, blob) {
  const of = previews.get(run) ?? new Map();
  previews.delete(run);
  previews.set(run, of); // at the end
  if (previews.size > most) drop(previews.keys().next().value);
  const before = of.get(display);
  if (before?.old) URL.revokeObjectURL(before.old);
  // The last address stays good for a moment: the browser may still load it.
  of.set(display, { address: URL.createObjectURL(blob), old: before?.address });
}

// previewsOf returns the addresses of the previews of a run, by node.
export const previewsOf = (run) => new Map([...(previews.get(run) ?? [])].map(([id, { address }]) => [id, address]));

function drop(run) {
  for (const { address, old } of previews.get(run)?.values() ?? []) for (const url of [address, old]) if (url) URL.revokeObjectURL(url);
  previews.delete(run);
}

// How a node looks: whether it is highlighted as running or failed, its progress
// from 0 to 1 or null, the sizes of its preview and picture, where those come
// from, and which of its inputs are marked as wrong. Both functions run in the
// page.

export function onPage(id) {
  const node = document.querySelector(`[data-node-id="${id}"]`);
  if (!node) return {};
  const find = (selector) => node.querySelector(selector);
  const size = (img) => (img?.complete && img.naturalWidth ? `${img.naturalWidth}x${img.naturalHeight}` : null);
  const bar = find(`[data-testid="node-inner-wrapper"] .absolute.bg-primary`);
  const live = find(`img[src^="blob:"]`);
  const stored = find(`img[src*="/view?"]`);
  const wrong = [...node.querySelectorAll("[data-widget-name]")]
    .filter((widget) => widget.querySelector(`[aria-invalid="true"]`))
    .map((widget) => widget.dataset.widgetName);
  for (const slot of node.querySelectorAll(".lg-slot--input"))
    if (slot.innerText && slot.querySelector(`[class*="ring-destructive"]`)) wrong.push(slot.innerText);
  return {
    running: find(`[data-testid="node-state-outline-overlay"]`)?.classList.contains("border-primary") ?? false,
    failed: find(`[data-testid="node-inner-wrapper"]`).classList.contains("ring-destructive"),
    progress: bar ? parseFloat(bar.style.width) / 100 : null,
    preview: size(live),
    live: live?.src ?? null,
    picture: size(stored),
    source: stored?.getAttribute("src").replace(/&rand=.*/, "") ?? null,
    wrong,
  };
}

export function onCanvas(id) {
  const node = window.app.graph.getNodeById(id);
  if (!node) return {};
  const drawn = (name) => Boolean(node.strokeStyles?.[name]?.call(node));
  const img = node.imgs?.[0];
  const size = img?.complete && img.naturalWidth ? `${img.naturalWidth}x${img.naturalHeight}` : null;
  const from = img ? new URL(img.src) : null;
  const live = from?.protocol === "blob:";
  return {
    running: drawn("running"),
    failed: drawn("executionError") || Boolean(node.has_errors),
    progress: node.progress ?? null,
    preview: live ? size : null,
    live: live ? img.src : null,
    picture: from && !live ? size : null,
    source: from && !live ? (from.pathname + from.search).replace(/&rand=.*/, "") : null,
    wrong: (node.inputs ?? []).filter((input) => input.hasErrors).map((input) => input.name),
  };
}

// The outputs that nodes show: pictures, other files, texts, and other values as JSON.
import { el } from "./dom.js";

const pictures = /\.(a?png|jpe?g|gif|webp|avif|bmp)$/i;

// shown returns the elements for the output of one node. label makes an element with
// the node's title.
export function shown(label, output) {
  return Object.entries(output ?? {})
    .flatMap(([name, values]) => (Array.isArray(values) ? values : [values]).map((value) => [name, value]))
    .filter(([name]) => name !== "animated") // only describes the pictures
    .map(([name, value]) => (value?.filename ? file(label, value) : text(label, name, value)));
}

function file(label, { filename, subfolder = "", type = "output" }) {
  // A later run may write a file with the same name, so rand prevents caching.
  const href = `view?${new URLSearchParams({ filename, subfolder, type, rand: Math.random() })}`;
  const link = el("a", { href, target: "_blank", rel: "noopener" },
    pictures.test(filename) ? el("img", { src: href, alt: filename }) : filename);
  return el("figure", {}, link, el("figcaption", {}, label(), ` · ${filename}`));
}

function text(label, name, value) {
  const words = typeof value === "string" ? value : JSON.stringify(value);
  return el("figure", { className: "text" }, el("pre", {}, words), el("figcaption", {}, label(), name === "text" ? "" : ` · ${name}`));
}

// What nodes show: pictures and other files, texts, and whatever else as it is.
import { el } from "./dom.js";

const pictures = /\.(a?png|jpe?g|gif|webp|avif|bmp)$/i;

// shown are the elements for what one node shows. label makes an element with the
// node's title.
export function shown(label, output) {
  return Object.entries(output ?? {})
    .flatMap(([name, values]) => (Array.isArray(values) ? values : [values]).map((value) => [name, value]))
    .filter(([name]) => name !== "animated") // says of which kind the pictures are
    .map(([name, value]) => (value?.filename ? file(label, value) : text(label, name, value)));
}

function file(label, { filename, subfolder = "", type = "output" }) {
  // A later run may write a file of the same name.
  const href = `view?${new URLSearchParams({ filename, subfolder, type, rand: Math.random() })}`;
  const link = el("a", { href, target: "_blank", rel: "noopener" },
    pictures.test(filename) ? el("img", { src: href, alt: filename }) : filename);
  return el("figure", {}, link, el("figcaption", {}, label(), ` · ${filename}`));
}

function text(label, name, value) {
  const words = typeof value === "string" ? value : JSON.stringify(value);
  return el("figure", { className: "text" }, el("pre", {}, words), el("figcaption", {}, label(), name === "text" ? "" : ` · ${name}`));
}

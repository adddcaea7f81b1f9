// The outputs that nodes show: pictures, sounds, films, other files, texts, and other values
// as JSON.
import { el } from "./dom.js";

const pictures = /\.(a?png|jpe?g|gif|webp|avif|bmp)$/i;
const sounds = /\.(mp3|ogg|wav|flac|m4a|opus)$/i;
const films = /\.(mp4|webm|mov|ogv)$/i;

// addressOf returns the address of a file that a node shows. of is the id of the run: a later
// run may write a file with the same name, and the browser keeps files by their address.
const addressOf = ({ filename, subfolder = "", type = "output" }, of) => `view?${new URLSearchParams({ filename, subfolder, type, of })}`;

// entries returns the values of an output, each with its name.
const entries = (output) => Object.entries(output ?? {})
  .flatMap(([name, values]) => (Array.isArray(values) ? values : [values]).map((value) => [name, value]))
  .filter(([name]) => name !== "animated"); // only describes the pictures

// pictureOf returns the address of the first picture of an output, or "".
export function pictureOf(output, of) {
  const found = entries(output).find(([, value]) => value?.filename && pictures.test(value.filename));
  return found ? addressOf(found[1], of) : "";
}

// shown returns the elements for the output of one node. label makes an element with the
// node's title. told are texts that are there already.
export function shown(label, output, of, told) {
  return entries(output).filter(([, value]) => !told.includes(value)).map(([name, value]) => (value?.filename ? file(label, value, of) : text(label, name, value)));
}

function file(label, value, of) {
  const href = addressOf(value, of);
  const { filename } = value;
  const caption = el("figcaption", {}, label(), " ", el("a", { href, target: "_blank", rel: "noopener" }, filename));
  if (pictures.test(filename)) {
    const open = el("a", { href, target: "_blank", rel: "noopener", ariaLabel: `Open ${filename}` }, el("img", { src: href, alt: filename, loading: "lazy" }));
    return el("figure", {}, open, caption);
  }
  if (sounds.test(filename)) return el("figure", {}, el("audio", { src: href, controls: true, preload: "none" }), caption);
  if (films.test(filename)) return el("figure", {}, el("video", { src: href, controls: true, preload: "metadata" }), caption);
  return el("figure", { className: "text" }, caption);
}

function text(label, name, value) {
  const words = typeof value === "string" ? value : JSON.stringify(value, null, 1);
  return el("figure", { className: "text" }, el("pre", { tabIndex: 0 }, words), el("figcaption", {}, label(), name === "text" ? "" : ` ${name}`));
}

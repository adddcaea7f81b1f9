// The list of the server's classes: by category, each with its inputs and outputs.
import { $, el } from "./dom.js";
import { ask } from "./http.js";
import { hue } from "./words.js";

let known = {};

// title returns the display name of a class.
export const title = (name) => known[name]?.display_name || name || "";

// hueOf returns the colour for the type of an output of a class.
export const hueOf = (name, slot) => hue(word(known[name]?.output?.[slot] ?? "*"));

// list loads the classes from the server and shows them.
export async function list() {
  known = await ask("object_info");
  const groups = Map.groupBy(Object.values(known), (c) => c.category);
  const order = [...groups.keys()].sort((a, b) => a.localeCompare(b));
  $("classes").replaceChildren(...order.map((category) => group(category, groups.get(category))));
  $("class-count").textContent = String(Object.keys(known).length);
  $("filter").oninput = filter;
  filter();
}

function group(category, classes) {
  const items = classes
    .sort((a, b) => title(a.name).localeCompare(title(b.name)))
    .map((c) => {
      const item = el("li", {}, entry(c));
      item.dataset.words = [c.name, c.display_name, c.category, c.description].join(" ").toLowerCase();
      return item;
    });
  return el("section", {}, el("h3", {}, category.replaceAll("/", " › ") || "other"), el("ul", {}, ...items));
}

// filter shows only the classes that contain all words of the filter field.
function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/);
  for (const section of $("classes").children) {
    const items = [...section.querySelectorAll("li[data-words]")];
    for (const item of items) item.hidden = !words.every((word) => item.dataset.words.includes(word));
    section.hidden = items.every((item) => item.hidden);
  }
}

// entry returns the element of a class. It shows the details when the user opens it.
function entry(c) {
  const details = el("details", {},
    el("summary", {}, el("span", {}, title(c.name)), title(c.name) === c.name ? null : el("code", {}, c.name)));
  details.ontoggle = () => {
    if (details.childElementCount === 1) details.append(...about(c));
  };
  return details;
}

function about(c) {
  const inputs = ["required", "optional"].flatMap((kind) =>
    (c.input_order?.[kind] ?? Object.keys(c.input[kind] ?? {})).map((name) => input(name, c.input[kind][name], kind)));
  const outputs = c.output.map((type, i) =>
    port(c.output_name?.[i] || word(type), type, [c.output_is_list?.[i] ? "a list" : "", c.output_tooltips?.[i] ?? ""]));
  return [
    c.description ? el("p", {}, c.description) : null,
    ...ports("Inputs", inputs),
    ...ports("Outputs", outputs),
    c.output_node ? el("p", { className: "quiet" }, "Runs even if nothing reads it.") : null,
  ].filter((part) => part !== null);
}

const ports = (name, all) => (all.length ? [el("h4", {}, name), el("dl", {}, ...all.flat())] : []);

// word returns the name of a type. The type of a list of choices is COMBO.
const word = (type) => (Array.isArray(type) ? "COMBO" : String(type));

function input(name, [type, options = {}], kind) {
  const choices = Array.isArray(type) ? type : options.options;
  const shown = (value) => (typeof value === "string" && value !== "" ? value : JSON.stringify(value));
  return port(name, type, [
    kind === "optional" ? "optional" : "",
    options.default === undefined ? "" : `default ${shown(options.default)}`,
    Array.isArray(choices) ? `one of ${choices.slice(0, 12).map(shown).join(", ")}${choices.length > 12 ? ` and ${choices.length - 12} more` : ""}` : "",
    options.min === undefined ? "" : `from ${shown(options.min)}`,
    options.max === undefined ? "" : `to ${shown(options.max)}`,
    options.lazy ? "computed only if it is asked for" : "",
    options.tooltip ?? "",
  ]);
}

// port returns the elements of an input or an output. The type selects the colour of
// the dot.
function port(name, type, about) {
  const dot = el("i", { className: "dot" });
  dot.style.setProperty("--hue", hue(word(type)));
  return [el("dt", {}, dot, name, " ", el("code", {}, word(type))), el("dd", {}, about.filter((part) => part !== "").join(" · "))];
}

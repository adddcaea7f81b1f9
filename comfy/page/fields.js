// Form fields made from a JSON Schema. A boolean, a text, a number, a choice and an object
// of these have fields of their own; everything else is a box for JSON.
import { el } from "./dom.js";
import { parse } from "./http.js";

const few = 5; // choices that are buttons

// fieldOf returns { element, choices, read }. If there are choices, { label, value }, each is a
// button that answers, and there is nothing to read. read returns the value of the field; it
// throws an Error if there is no valid value. label names the field for screen readers.
export function fieldOf(schema, label) {
  const choices = choicesOf(schema);
  if (choices && choices.length <= few) return { element: null, choices };
  return { choices: null, ...field(schema, label) };
}

function choicesOf(schema) {
  if (schema.type === "boolean") return [{ label: "Yes", value: true }, { label: "No", value: false }];
  const values = schema.enum ?? schema.oneOf?.map((one) => one.const);
  if (!Array.isArray(values) || !values.length || values.includes(undefined)) return null;
  return values.map((value, i) => ({ label: schema.oneOf?.[i]?.title ?? (typeof value === "string" ? value : JSON.stringify(value)), value }));
}

function field(schema, label) {
  const choices = choicesOf(schema);
  if (schema.type === "boolean") return checkbox(schema, label);
  if (choices) return choice(schema, label, choices);
  switch (schema.type) {
    case "string":
      return text(schema, label);
    case "number":
    case "integer":
      return number(schema, label);
    case "object":
      if (schema.properties && Object.keys(schema.properties).length) return object(schema, label);
  }
  return json(schema, label);
}

function checkbox(schema, label) {
  const element = el("input", { type: "checkbox", checked: schema.default === true, ariaLabel: label });
  return { element, read: () => element.checked };
}

function choice(schema, label, choices) {
  const element = el("select", { ariaLabel: label }, ...choices.map((one, i) => el("option", { value: i }, one.label)));
  element.selectedIndex = Math.max(0, choices.findIndex(({ value }) => value === schema.default));
  return { element, read: () => choices[element.value].value };
}

function text(schema, label) {
  const long = schema.format === undefined && !(schema.maxLength <= 80);
  const element = long ? el("textarea", { rows: 2 }) : el("input", { type: "text" });
  Object.assign(element, { ariaLabel: label, value: schema.default ?? "" });
  if (schema.minLength > 0) Object.assign(element, { required: true, minLength: schema.minLength });
  if (schema.maxLength > 0) element.maxLength = schema.maxLength;
  if (schema.pattern && !long) element.pattern = `.*(?:${schema.pattern}).*`; // a schema does not need the whole text to match
  return { element, read: () => element.value };
}

function number(schema, label) {
  const element = el("input", { type: "number", required: true, ariaLabel: label, step: schema.multipleOf ?? (schema.type === "integer" ? 1 : "any") });
  if (schema.minimum !== undefined) element.min = schema.minimum;
  if (schema.maximum !== undefined) element.max = schema.maximum;
  if (schema.default !== undefined) element.value = schema.default;
  return { element, read: () => parse(element.value) }; // a large whole number keeps its digits
}

function object(schema, label) {
  const required = new Set(schema.required ?? []);
  const parts = Object.entries(schema.properties).map(([name, one]) => {
    const made = field(typeof one === "object" ? one : {}, name);
    if (!required.has(name)) made.element.required = false;
    const hint = one.description ? el("span", { className: "quiet" }, ` ${one.description}`) : null;
    return { name, made, element: el("label", {}, el("span", {}, one.title ?? name, hint), made.element) };
  });
  const read = () => {
    const value = {};
    for (const { name, made } of parts) {
      if (required.has(name) || made.element.value !== "") value[name] = made.read();
    }
    return value;
  };
  return { element: el("fieldset", { ariaLabel: label }, ...parts.map(({ element }) => element)), read };
}

function json(schema, label) {
  const element = el("textarea", { rows: 3, spellcheck: false, className: "json", ariaLabel: `${label}, as JSON`, placeholder: "JSON" });
  if (schema.default !== undefined) element.value = JSON.stringify(schema.default);
  const read = () => {
    try {
      return parse(element.value);
    } catch (err) {
      throw new Error(`This is not JSON: ${err.message}`);
    }
  };
  return { element, read };
}

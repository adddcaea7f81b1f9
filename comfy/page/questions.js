// The open questions of a run, each with a form for the answer.
import { bus } from "./bus.js";
import { arrange, button, el, say } from "./dom.js";
import { fieldOf } from "./fields.js";
import { titleOf } from "./graph.js";
import { when } from "./words.js";

const keyOf = ({ prompt_id, node_id, name }) => JSON.stringify([prompt_id, node_id, name]);

export class Questions {
  #forms = new Map();

  // pick is called with the id of the node that asks, if the user wants to see it.
  constructor(place, pick) {
    this.place = place;
    this.pick = pick;
  }

  // show shows a form for each question. A form that is there already stays as it is.
  show(questions, graph) {
    const open = new Set(questions.map(keyOf));
    for (const key of this.#forms.keys()) if (!open.has(key)) this.#forms.delete(key);
    for (const question of questions) {
      const key = keyOf(question);
      const was = this.#forms.get(key);
      const text = JSON.stringify(question) + titleOf(graph, question.display_node_id);
      if (was?.text === text) continue;
      if (!was) say(`${titleOf(graph, question.display_node_id)} asks a question`);
      this.#forms.set(key, { text, element: this.#form(question, graph) });
    }
    arrange(this.place, questions.map((question) => this.#forms.get(keyOf(question)).element));
  }

  #form(question, graph) {
    const { schema, name, deadline } = question;
    const on = question.display_node_id || question.node_id;
    const wrong = el("p", { className: "wrong", role: "alert" });
    const field = fieldOf(typeof schema === "object" && schema !== null ? schema : {}, `${on} ${name}`);
    const why = el("input", { type: "text", placeholder: "Reason, if you like", ariaLabel: "Reason for the refusal", hidden: true });
    const form = el("form", { className: "question", noValidate: false },
      el("p", { className: "who" }, button(titleOf(graph, on), () => this.pick(on), `Show node ${on}`), " asks",
        deadline ? el("span", { className: "quiet" }, ` until ${when(deadline)}`) : null),
      el("h3", {}, schema?.title || name || "A question"),
      schema?.description ? el("p", {}, schema.description) : null,
      field.element);
    const send = async (request) => {
      wrong.textContent = "";
      form.inert = true;
      try {
        await request();
      } catch (err) {
        wrong.textContent = err.message;
      }
      form.inert = false; // the message that the question is settled removes the form
    };
    const answer = (value) => send(() => bus.answer(question, value));
    const refuse = button("Refuse", () => {
      if (!why.hidden) return send(() => bus.refuse(question, why.value));
      why.hidden = false;
      refuse.textContent = "Refuse now";
      why.focus();
    }, "");
    refuse.className = "refuse";
    const buttons = field.choices
      ? field.choices.map(({ label, value }) => Object.assign(button(label, () => answer(value)), { className: value === true ? "primary" : "" }))
      : [el("button", { type: "submit", className: "primary" }, "Answer")];
    form.append(el("div", { className: "controls" }, ...buttons, refuse, why), wrong);
    why.onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      refuse.click();
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      try {
        if (!field.choices) answer(field.read());
      } catch (err) {
        wrong.textContent = err.message;
      }
    };
    return form;
  }
}

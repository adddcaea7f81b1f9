// One node in the drawing of a graph.
import { svg } from "./dom.js";
import { card as size } from "./layout.js";
import { short } from "./words.js";

const inset = 14;
const picture = 44; // the side of the small picture

// A card has no transform: a browser needs time for each, for each picture that it draws.
export class Card {
  #was = "";
  #name;
  #id;
  #told;
  #track;
  #bar;
  #picture = null;

  // name is the title of the node, kind its class, and x and y its place.
  constructor(id, name, kind, { x, y }) {
    this.id = id;
    this.name = name;
    this.at = { x, y };
    this.#name = svg("text", { class: "name", x: x + inset, y: y + 23 });
    this.#id = svg("text", { class: "id", x: x + size.w - inset, y: y + 23, "text-anchor": "end" });
    this.#told = svg("text", { class: "told", x: x + inset, y: y + 42 });
    this.#track = svg("rect", { class: "track", x: x + inset, y: y + size.h - 10, height: 3, rx: 1.5 });
    this.#bar = svg("rect", { class: "bar", x: x + inset, y: y + size.h - 10, height: 3, rx: 1.5 });
    const hint = svg("title");
    hint.textContent = kind === name ? `${name}, node ${id}` : `${name} (${kind}), node ${id}`;
    this.#id.textContent = short(id, 8);
    this.element = svg("g", { class: "card", role: "button", tabindex: -1, "aria-pressed": "false" }, hint,
      svg("rect", { class: "halo", x: x - 4, y: y - 4, width: size.w + 8, height: size.h + 8, rx: 14 }),
      svg("rect", { class: "body", x, y, width: size.w, height: size.h, rx: 10 }),
      this.#name, this.#id, this.#told, this.#track, this.#bar);
    this.element.dataset.id = id;
    this.view = { state: "idle", part: 0, told: "", text: "" };
    this.#draw();
  }

  // paint shows a view of the node. It changes only what differs from the last view.
  paint(view) {
    this.view = view;
    const now = `${view.state} ${Math.round(view.part * 200)} ${view.told} ${view.text}`;
    if (now !== this.#was) this.#draw();
    this.#was = now;
  }

  // show shows a small picture in the card. An empty address removes the picture.
  show(address) {
    if (Boolean(address) !== Boolean(this.#picture)) {
      this.#picture?.remove();
      this.#picture = address ? svg("image", { x: this.at.x + size.w - picture - 8, y: this.at.y + 8, width: picture, height: picture, preserveAspectRatio: "xMidYMid slice" }) : null;
      if (address) this.element.append(this.#picture);
      this.#draw();
    }
    if (address && this.#picture.getAttribute("href") !== address) this.#picture.setAttribute("href", address);
  }

  #draw() {
    const { state, part, told, text } = this.view;
    const width = size.w - 2 * inset - (this.#picture ? picture + 2 : 0);
    const letters = this.#picture ? 13 : 18 - Math.min(this.id.length, 8);
    this.element.dataset.state = state;
    this.element.ariaLabel = [this.name, `node ${this.id}`, told, text].filter(Boolean).join(", ");
    this.#name.textContent = short(this.name, letters);
    this.#id.style.display = this.#picture ? "none" : "";
    this.#told.textContent = short([told, text].filter(Boolean).join(" · "), this.#picture ? 15 : 25);
    this.#track.setAttribute("width", width);
    this.#bar.setAttribute("width", Math.round(part * width));
  }
}

// The keyboard and the mouse in the drawing of a graph. The drawing is one stop of the Tab
// key. The arrow keys go to the next node: left and right along the links, up and down to
// the neighbours.

export class Moves {
  #cards;
  #picked = "";
  #now = "";
  #links = [];
  #order = [];
  #keys = {};

  // cards maps ids to cards. picked is called with the id of a node that the user selects,
  // or with "".
  constructor(drawing, cards, picked) {
    this.#cards = cards;
    drawing.addEventListener("click", (event) => {
      if (event.target.closest(".dragged")) return;
      const id = event.target.closest(".card")?.dataset.id ?? "";
      if (id) this.#focus(id, false);
      picked(id === this.#picked ? "" : id);
    });
    drawing.addEventListener("focusin", (event) => {
      const id = event.target.closest(".card")?.dataset.id;
      if (id) this.#stop(id);
    });
    drawing.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const id = event.target.closest(".card")?.dataset.id;
      if (!id) return;
      if (event.key === "Enter" || event.key === " ") picked(id === this.#picked ? "" : id);
      else if (event.key === "Escape") picked("");
      else if (!this.#go(id, event.key)) return;
      event.preventDefault();
    });
  }

  // begin takes the links and the places of a new drawing.
  begin(links, { at, down }) {
    this.#links = links;
    this.#order = [...at.keys()].sort((a, b) => (down ? at.get(a).y - at.get(b).y || at.get(a).x - at.get(b).x : at.get(a).x - at.get(b).x || at.get(a).y - at.get(b).y));
    this.#keys = down
      ? { ArrowUp: "before", ArrowDown: "after", ArrowLeft: -1, ArrowRight: 1 }
      : { ArrowLeft: "before", ArrowRight: "after", ArrowUp: -1, ArrowDown: 1 };
    this.#now = "";
    this.#stop(this.#cards.has(this.#picked) ? this.#picked : this.#order[0]);
    this.mark(this.#picked);
  }

  // mark shows that a node is selected.
  mark(id) {
    this.#cards.get(this.#picked)?.element.setAttribute("aria-pressed", "false");
    this.#picked = id;
    this.#cards.get(id)?.element.setAttribute("aria-pressed", "true");
    if (id && this.#cards.has(id)) this.#stop(id);
  }

  #go(id, key) {
    const way = this.#keys[key];
    const at = this.#order.indexOf(id);
    let next;
    if (key === "Home") next = this.#order[0];
    else if (key === "End") next = this.#order.at(-1);
    else if (way === "before") next = this.#links.find(({ to }) => to === id)?.from;
    else if (way === "after") next = this.#links.find(({ from }) => from === id)?.to;
    else if (way) next = this.#order[at + way];
    if (next !== undefined) this.#focus(next, true);
    return next !== undefined || way !== undefined;
  }

  #focus(id, scroll) {
    const { element } = this.#cards.get(id);
    this.#stop(id);
    element.focus({ preventScroll: true });
    if (scroll) element.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  // stop makes a node the one that the Tab key reaches.
  #stop(id) {
    this.#cards.get(this.#now)?.element.setAttribute("tabindex", -1);
    this.#now = id ?? "";
    this.#cards.get(this.#now)?.element.setAttribute("tabindex", 0);
  }
}

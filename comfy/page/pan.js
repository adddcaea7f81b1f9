// The part of a drawing that is visible: zoom, scrolling by dragging, and following the
// nodes that run.
import { button, el } from "./dom.js";

const least = 0.2;
const most = 2;

export class Pan {
  #scale = 1;
  #w = 0;
  #h = 0;
  #follows = true;

  constructor(element, drawing) {
    this.element = element;
    this.drawing = drawing;
    this.follow = button("Follow", () => this.#setFollow(!this.#follows), "Keep the running node in view");
    this.follow.ariaPressed = "true";
    this.buttons = el("div", { className: "zoom" }, this.follow,
      button("−", () => this.#zoom(1 / 1.25), "Zoom out"), button("+", () => this.#zoom(1.25), "Zoom in"));
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    element.addEventListener("pointerdown", (event) => this.#drag(event));
  }

  // size takes the size and the scale of a new drawing.
  size({ w, h, scale }, margin) {
    [this.#w, this.#h, this.#scale] = [w + 2 * margin, h + 2 * margin, scale];
    this.drawing.setAttribute("viewBox", `${-margin} ${-margin} ${this.#w} ${this.#h}`);
    this.#apply();
  }

  // lit scrolls to nodes that run, unless one of them is visible or the user has scrolled
  // the drawing himself.
  lit(places) {
    if (!this.#follows || !places.length || this.follow.hidden) return;
    const { scrollLeft: x, scrollTop: y, clientWidth: w, clientHeight: h } = this.element;
    const seen = (at) => at.x * this.#scale >= x && (at.x + 184) * this.#scale <= x + w && at.y * this.#scale >= y && (at.y + 60) * this.#scale <= y + h;
    if (places.some(seen)) return;
    const { x: left, y: top } = places[0];
    this.element.scrollTo({ left: (left + 92) * this.#scale - w / 2, top: (top + 30) * this.#scale - h / 2 });
  }

  #setFollow(follows) {
    this.#follows = follows;
    this.follow.ariaPressed = String(follows);
  }

  #apply() {
    this.drawing.setAttribute("width", Math.round(this.#w * this.#scale));
    this.drawing.setAttribute("height", Math.round(this.#h * this.#scale));
    const { scrollWidth, scrollHeight, clientWidth, clientHeight } = this.element;
    this.follow.hidden = scrollWidth <= clientWidth + 2 && scrollHeight <= clientHeight + 2;
  }

  // zoom changes the scale. The point x, y of the visible part stays where it is.
  #zoom(by, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const scale = Math.min(most, Math.max(least, this.#scale * by));
    const left = (this.element.scrollLeft + x) * (scale / this.#scale) - x;
    const top = (this.element.scrollTop + y) * (scale / this.#scale) - y;
    this.#scale = scale;
    this.#apply();
    this.element.scrollTo({ left, top });
  }

  #wheel(event) {
    if (!event.ctrlKey && !event.metaKey) {
      if (!this.follow.hidden) this.#setFollow(false);
      return;
    }
    event.preventDefault();
    const box = this.element.getBoundingClientRect();
    this.#zoom(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
  }

  // drag scrolls the drawing with the mouse. A touch screen scrolls by itself.
  #drag(down) {
    if (down.pointerType !== "mouse" || down.button !== 0) return;
    const from = { x: this.element.scrollLeft + down.clientX, y: this.element.scrollTop + down.clientY };
    let far = false;
    const move = (event) => {
      far ||= Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) > 4;
      if (!far) return;
      this.#setFollow(false);
      this.element.classList.add("dragged");
      this.element.scrollTo(from.x - event.clientX, from.y - event.clientY);
    };
    const end = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      setTimeout(() => this.element.classList.remove("dragged")); // after the click that ends the drag
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
  }
}

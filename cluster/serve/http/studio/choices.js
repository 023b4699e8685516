// Doubt without words: a few small pictures of different things, to tap the one that was meant.
import { symbol } from "./notice.js";

export class Choices {
  /** `box`: holds the buttons. */
  constructor({ box }) {
    this.box = box;
  }

  get shown() { return !this.box.hidden; }

  /** Offer pictures. `pick(picture)` for the one that is tapped, `none()` where it is none of them. */
  show(pictures, { pick, none }) {
    this.box.replaceChildren(
      ...pictures.map((picture) => {
        const button = this.button("choice", picture.alt || picture.thing, () => pick(picture));
        button.append(Object.assign(document.createElement("img"), { src: picture.url, alt: "" }));
        return button;
      }),
      this.button("choice none", "None of these", none, symbol("i-again")),
    );
    this.box.hidden = false;
  }

  button(className, name, act, ...content) {
    const button = Object.assign(document.createElement("button"), { type: "button", className });
    button.setAttribute("aria-label", name);
    button.append(...content);
    button.addEventListener("click", act);
    return button;
  }

  /** By number, from 1; for the keyboard. */
  press(number) {
    this.box.children[number - 1]?.click();
  }

  focus() {
    this.box.firstElementChild?.focus({ preventScroll: true });
  }

  hide() {
    this.box.hidden = true;
    this.box.replaceChildren();
  }
}

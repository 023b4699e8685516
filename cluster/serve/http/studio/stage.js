// The big picture, with its glow behind it.
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const BLUR_PX = 14; // of the first preview

export class Stage {
  constructor({ frame, picture, glow, progress, pictogram }) {
    Object.assign(this, { frame, picture, glow, progress, pictogram });
  }

  /** What a picture looks like at `share` (0 to 1) of its way. */
  preview(url, share) {
    this.put(url, "");
    this.frame.classList.add("previewing");
    this.picture.style.filter = `blur(${(BLUR_PX * (1 - share)).toFixed(1)}px)`;
    this.wait(share);
  }

  /** A finished picture. */
  show(url, alt) {
    if (this.picture.src === url && !this.frame.classList.contains("previewing")) return;
    const fade = !this.picture.hidden && !calm.matches;
    if (fade) {
      const leaving = this.picture.cloneNode();
      leaving.removeAttribute("id");
      leaving.alt = "";
      leaving.className = "leaving";
      leaving.addEventListener("animationend", () => leaving.remove());
      for (const old of this.frame.querySelectorAll(".leaving")) old.remove();
      this.picture.after(leaving);
    }
    this.put(url, alt);
    this.frame.classList.remove("previewing");
    this.picture.style.filter = "";
    this.progress.hidden = true;
  }

  /** A picture is on its way; `share` of it is done. */
  wait(share) {
    this.progress.hidden = false;
    this.progress.value = share;
  }

  clear() {
    this.picture.hidden = this.glow.hidden = this.progress.hidden = true;
    this.picture.removeAttribute("src");
    this.picture.style.filter = "";
    this.frame.classList.remove("previewing", "maybe");
    for (const old of this.frame.querySelectorAll(".leaving")) old.remove();
  }

  put(url, alt) {
    this.picture.src = this.glow.src = url;
    this.picture.alt = alt;
    this.picture.hidden = this.glow.hidden = false;
  }
}

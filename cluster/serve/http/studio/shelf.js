// The pictures that were made here. Those that are kept stay on this device, with the voice they came from.
import { symbol } from "./notice.js";

const MOST = 60; // that are held without being kept

const database = () => new Promise((resolve, reject) => {
  const request = indexedDB.open("studio", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("pictures", { keyPath: "id" });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const transact = async (mode, work) => {
  const opened = await database();
  try {
    return await new Promise((resolve, reject) => {
      const request = work(opened.transaction("pictures", mode).objectStore("pictures"));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } finally {
    opened.close();
  }
};

const hour = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long" });

/** What a picture is called: what is on it is not always known, and often the same again. */
export const nameOf = ({ at }) => {
  const date = new Date(at);
  const today = new Date().toDateString() === date.toDateString();
  return `Your picture of ${today ? hour.format(date) : `${day.format(date)}, ${hour.format(date)}`}`;
};

export class Shelf {
  /** `onPick(picture)` when one is chosen. A picture is `{id, at, image, clip, levels, style, tint, url, kept}`. */
  constructor({ section, list, onPick }) {
    Object.assign(this, { section, list, onPick, pictures: [] });
  }

  async load() {
    const kept = await transact("readonly", (store) => store.getAll()).catch(() => []);
    for (const picture of kept.sort((a, b) => a.at - b.at)) {
      this.add({ ...picture, url: URL.createObjectURL(picture.image), kept: true });
    }
  }

  add(picture) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "tile" });
    const frame = Object.assign(document.createElement("span"), { className: "frame" });
    frame.append(Object.assign(document.createElement("img"), { src: picture.url, alt: "" }), symbol("i-keep"));
    button.append(frame, hour.format(picture.at));
    button.addEventListener("click", () => this.onPick(picture));
    const item = document.createElement("li");
    item.append(button);
    Object.assign(picture, { button, item });
    this.pictures.push(picture);
    this.list.prepend(item);
    this.mark(picture);
    this.section.hidden = false;
    const loose = this.pictures.filter((one) => !one.kept);
    if (loose.length > MOST) this.drop(loose[0]);
  }

  drop(picture) {
    this.pictures.splice(this.pictures.indexOf(picture), 1);
    picture.item.remove();
    URL.revokeObjectURL(picture.url);
  }

  mark(picture) {
    picture.button.classList.toggle("kept", picture.kept);
    picture.button.setAttribute("aria-label", `${nameOf(picture)}${picture.kept ? ", kept" : ""}`);
  }

  /** Which one is on the stage. */
  current(picture) {
    for (const one of this.pictures) one.button.removeAttribute("aria-current");
    if (!picture) return;
    picture.button.setAttribute("aria-current", "true");
    this.list.style.setProperty("--tint", picture.tint);
  }

  /** Keep a picture on this device, or keep it no longer. Resolves to whether it outlives this page. */
  async keep(picture, kept) {
    picture.kept = kept;
    this.mark(picture);
    const { id, at, image, clip, levels, style, tint } = picture;
    try {
      await transact("readwrite", (store) => (kept ? store.put({ id, at, image, clip, levels, style, tint }) : store.delete(id)));
      return true;
    } catch {
      return false; // a private window, or a full disk
    }
  }
}

// The pictures that were made here. The last ones stay on this device by themselves, with the voice they came from.
import { symbol } from "./notice.js";

const MOST = 40; // that stay without being kept
const STORED = ["id", "at", "image", "clip", "levels", "style", "tint", "alt", "thing", "things", "vector", "notMeant", "kept"];

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
      const transaction = opened.transaction("pictures", mode);
      const request = work(transaction.objectStore("pictures"));
      transaction.oncomplete = () => resolve(request.result);
      // A full disk is known when all is written, and not before.
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
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
  /**
   * `onPick(picture)` when one is chosen; `onRefused()` once, when this device keeps nothing: a private window, a full
   * disk. A picture is `{id, at, image, clip, levels, style, tint, alt, thing, things, vector, notMeant, url, kept}`.
   */
  constructor({ section, list, onPick, onRefused }) {
    Object.assign(this, { section, list, onPick, onRefused, pictures: [], refused: false });
  }

  async load() {
    const stored = await this.reach("readonly", (store) => store.getAll()) ?? [];
    for (const picture of stored.sort((a, b) => a.at - b.at)) {
      if (this.pictures.some((one) => one.id === picture.id)) continue;
      this.put({ ...picture, url: URL.createObjectURL(picture.image), kept: picture.kept ?? true });
    }
  }

  /** A new picture. It stays on this device until it is deleted, or until there are many newer ones. */
  async add(picture) {
    this.put(picture);
    const loose = this.pictures.filter((one) => !one.kept);
    if (loose.length > MOST) this.delete(loose[0]);
    await this.store(picture);
  }

  put(picture) {
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
  }

  /** It is gone, here and on the device. */
  async delete(picture) {
    this.pictures.splice(this.pictures.indexOf(picture), 1);
    picture.item.remove();
    URL.revokeObjectURL(picture.url);
    this.section.hidden = !this.pictures.length;
    await this.reach("readwrite", (store) => store.delete(picture.id));
  }

  async deleteAll() {
    for (const picture of this.pictures.splice(0)) {
      picture.item.remove();
      URL.revokeObjectURL(picture.url);
    }
    this.section.hidden = true;
    await this.reach("readwrite", (store) => store.clear());
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

  /** Keep a picture whatever comes after it, or no longer. Resolves to whether it outlives this page. */
  async keep(picture, kept) {
    picture.kept = kept;
    this.mark(picture);
    await this.store(picture);
    return !this.refused;
  }

  async store(picture) {
    const record = Object.fromEntries(STORED.map((name) => [name, picture[name]]));
    await this.reach("readwrite", (store) => store.put(record));
  }

  /** What the device answers; nothing where it refuses. */
  async reach(mode, work) {
    try {
      return await transact(mode, work);
    } catch {
      if (!this.refused) this.onRefused();
      this.refused = true;
      return undefined;
    }
  }
}

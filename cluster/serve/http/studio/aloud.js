// What is shown is said by the browser's own voice, for those who cannot see it, when asked for.
import { keep, recall } from "./storage.js";

const NAME = "s2i.aloud";
const LANGUAGE = "en"; // of the texts

// A voice that is not on this machine would send what it says to somebody else.
const voice = () => window.speechSynthesis?.getVoices().find(({ localService, lang }) => localService && lang.startsWith(LANGUAGE));

export class Aloud {
  /** `button` switches it; it is there where the browser has a voice of its own. */
  constructor(button) {
    this.button = button;
    this.on = recall(NAME) === "yes";
    const offer = () => { button.hidden = !voice(); };
    offer();
    window.speechSynthesis?.addEventListener?.("voiceschanged", offer);
    button.addEventListener("click", () => this.switch(!this.on));
    this.mark();
  }

  switch(on) {
    this.on = on;
    keep(NAME, on ? "yes" : "no");
    this.mark();
    if (on) this.say("I will say what is shown."); else this.hush();
  }

  mark() {
    this.button.setAttribute("aria-pressed", this.on);
  }

  hush() {
    window.speechSynthesis?.cancel();
  }

  say(text) {
    if (!this.on || !voice()) return;
    this.hush();
    const spoken = new SpeechSynthesisUtterance(text);
    spoken.voice = voice();
    spoken.lang = spoken.voice.lang;
    window.speechSynthesis.speak(spoken);
  }
}

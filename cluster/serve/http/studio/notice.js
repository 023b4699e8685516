// What went wrong, in kind words, with a picture for those who do not read and a way on.
const SPEAK = { icon: "i-mic", name: "Speak" };
const RETRY = { icon: "i-again", name: "Try again" };
const CHOOSE = { icon: "i-file", name: "Choose a recording" };
const busy = { icon: "n-busy", title: "Many are drawing right now", text: "Yours is kept here, and comes next.", first: RETRY };

const NOTICES = {
  denied: { icon: "n-denied", title: "The microphone is locked", text: "Allow it beside the address of this page, then try again.", first: RETRY, second: CHOOSE },
  no_microphone: { icon: "n-microphone", title: "I find no microphone", text: "Connect one and try again, or give me a recording.", first: RETRY, second: CHOOSE },
  microphone_taken: { icon: "n-microphone", title: "The microphone is in use", text: "Another program has it. Close that, and try again.", first: RETRY, second: CHOOSE },
  insecure: { icon: "n-denied", title: "No microphone at this address", text: "Browsers open it on https pages only. A recording works here too.", first: CHOOSE },
  no_speech: { icon: "n-quiet", title: "I heard no words", text: "Come a little closer, and say it once more.", first: SPEAK },
  silent: { icon: "n-microphone", title: "The microphone is silent", text: "It may be muted, or another one is meant.", first: SPEAK, second: CHOOSE },
  nothing_said: { icon: "n-quiet", title: "I heard nothing to draw", text: "There is only silence, music or noise in this recording, or words that make no picture.", first: CHOOSE, second: SPEAK },
  busy, starting: { ...busy, title: "I am waking up", text: "Yours is kept here. It takes a moment." }, deadline: busy, quota: busy,
  lost: { icon: "n-lost", title: "The connection is lost", text: "Nothing is gone: it is kept here.", first: RETRY },
  unauthorized: { icon: "n-key", title: "This place needs a key", text: "Whoever runs it can give you one.", first: { icon: "i-check", name: "Open" } },
  undecodable: { icon: "n-file", title: "I cannot read this file", text: "Choose a sound, such as MP3, M4A, WAV, FLAC, Ogg or WebM.", first: CHOOSE, second: SPEAK },
  too_large: { icon: "n-file", title: "This recording is too big", text: "Choose a shorter one, or a part of it.", first: CHOOSE, second: SPEAK },
  internal: { icon: "n-lost", title: "Something went wrong", text: "It is not your fault. Please try again.", first: RETRY },
};
const SAME = {
  unsupported_media_type: "undecodable", bad_request: "undecodable", too_long: "too_large",
  incomplete_upload: "lost", upload_timeout: "lost",
};

/** How long to wait before trying again by itself, where that makes sense. */
const patience = ({ code, retryAfterS }) =>
  NOTICES[SAME[code] ?? code] && ["busy", "starting", "deadline", "quota"].includes(code) ? Math.max(1, Math.min(120, retryAfterS || 5)) : 0;

export class Notice {
  /** `ways`: what to do for each name of a button. `alert` is the live region that says it once. */
  constructor({ box, icon, title, text, first, second, keyForm, key, alert }) {
    Object.assign(this, { box, icon, title, text, buttons: [first, second], keyForm, key, alert, timer: 0 });
    this.act = [null, null];
    this.buttons.forEach((button, i) => button.addEventListener("click", () => this.act[i]?.()));
    keyForm.addEventListener("submit", (event) => { event.preventDefault(); this.act[0]?.(); });
  }

  get shown() { return !this.box.hidden; }

  hide() {
    clearInterval(this.timer);
    this.box.hidden = true;
    this.alert.textContent = "";
  }

  /** Show a Refusal. `retry`, `speak`, `choose` and `open(key)` are what its buttons do. */
  show(refusal, ways) {
    this.hide();
    const notice = NOTICES[SAME[refusal.code] ?? refusal.code] ?? NOTICES.internal;
    this.icon.setAttribute("href", `#${notice.icon}`);
    this.title.textContent = notice.title;
    this.text.textContent = notice.text;
    this.keyForm.hidden = refusal.code !== "unauthorized";
    const todo = new Map([[SPEAK, ways.speak], [RETRY, ways.retry], [CHOOSE, ways.choose]]);
    [notice.first, notice.second].forEach((way, i) => {
      const button = this.buttons[i];
      button.hidden = !way;
      if (!way) return;
      button.replaceChildren(symbol(way.icon), way.name);
      this.act[i] = todo.get(way) ?? (() => this.key.reportValidity() && ways.open(this.key.value));
    });
    this.box.hidden = false;
    this.alert.textContent = `${notice.title}. ${notice.text}`;
    let left = ways.retry ? patience(refusal) : 0;
    if (!left) return;
    const tell = () => { this.text.textContent = `${notice.text} Trying again in ${left} ${left === 1 ? "second" : "seconds"}.`; };
    tell();
    this.timer = setInterval(() => {
      left -= 1;
      if (left > 0) return tell();
      clearInterval(this.timer);
      ways.retry();
    }, 1000);
  }
}

/** A picture of the page's own set, as a node. */
export const symbol = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
};

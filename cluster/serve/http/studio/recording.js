// A recording: its scenes appear along its waveform, and it plays with its pictures in time.
import { symbol } from "./notice.js";
import { Refusal, follow, forget, handIn, pictureOf } from "./service.js";
import { tintOf } from "./tint.js";
import { Surface, bar, colour, peaks, resample } from "./waveform.js";

const STEP_S = 5;
const TOLERANCE_S = 0.06; // a seek may land a little before the time asked for
const LONGEST_DECODED_S = 900; // longer ones get no waveform of their own: a browser would hold all of it in memory
const BIGGEST_DECODED = 200e6;
const BARS = 400;
const FLAT = 0.3;
const REASONS = { silence: "Silence", no_speech: "Music or noise", below_confidence: "Nothing to draw" };
const ICONS = { silence: "n-silence", no_speech: "n-music", below_confidence: "n-blank" };
const MAYBE = 24; // of the unsure scenes that are asked for

export const clock = (seconds) => {
  const whole = Math.max(0, Math.floor(seconds + 0.001));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  const hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${parts.map((part) => String(part).padStart(2, "0")).join(":")}` : `${parts[0]}:${String(parts[1]).padStart(2, "0")}`;
};

export class Recording {
  /** `parts`: the nodes by name; `stage`: where pictures are shown; `refuse(refusal)`: what to do when it cannot be. */
  constructor({ parts, stage, refuse }) {
    Object.assign(this, { parts, stage, refuse, scenes: [], levels: [], audio: parts.audio, duration_s: 0, abort: new AbortController() });
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.surface = new Surface(parts.bars, (...size) => this.paint(...size));
    parts.play.addEventListener("click", () => this.toggle());
    parts.previous.addEventListener("click", () => this.turn(-1));
    parts.next.addEventListener("click", () => this.turn(1));
    parts.cancel.addEventListener("click", () => this.leaveOff());
    parts.seek.addEventListener("input", () => this.go(Number(parts.seek.value)));
    parts.maybe.addEventListener("input", () => this.sift());
    this.audio.addEventListener("loadedmetadata", () => this.measure(this.audio.duration));
    this.audio.addEventListener("timeupdate", () => this.draw());
    this.audio.addEventListener("seeked", () => { this.wanted = null; this.draw(); });
    this.audio.addEventListener("error", () => { if (this.audio.src) parts.play.disabled = true; });
    for (const event of ["play", "pause", "ended"]) {
      this.audio.addEventListener(event, () => {
        parts.play.classList.toggle("playing", !this.audio.paused);
        parts.play.setAttribute("aria-label", this.audio.paused ? "Play" : "Pause");
        if (event === "play") this.followSound();
      });
    }
  }

  /** Hand a file in, and show what comes. */
  async open(file, style) {
    this.close();
    const { parts } = this;
    const abort = this.abort = new AbortController();
    this.name = file.name.replace(/\.[^.]+$/, "").replace(/[_-]+/g, " ").trim() || "Recording";
    parts.title.textContent = this.name;
    this.say("Sending the recording");
    this.url = URL.createObjectURL(file);
    this.audio.src = this.url;
    parts.play.disabled = false;
    parts.cancel.hidden = false;
    this.listenIn(file, abort.signal);
    try {
      const view = await handIn(file, { maybe: MAYBE, ...(style ? { style } : {}) }, (share) => this.say(share < 1 ? `Sending · ${Math.round(100 * share)} %` : "Listening to it", false), abort.signal);
      this.job = view.url;
      this.say("Listening to it");
      for await (const { type, data } of follow(view.events_url, abort.signal)) {
        if (abort.signal.aborted) return;
        if (type === "failed") throw new Refusal(data.error.code, data.error);
        await this.hear(type, data);
      }
    } catch (error) {
      if (abort.signal.aborted) return;
      this.leaveOff();
      this.refuse(error instanceof Refusal ? error : new Refusal("internal"));
    }
  }

  /** The waveform, from the file itself. */
  async listenIn(file, signal) {
    if (file.size > BIGGEST_DECODED) return;
    await new Promise((known) => {
      this.audio.addEventListener("loadedmetadata", known, { once: true });
      this.audio.addEventListener("error", known, { once: true });
    });
    if (!(this.audio.duration < LONGEST_DECODED_S)) return;
    try {
      const sound = await new OfflineAudioContext(1, 1, 8000).decodeAudioData(await file.arrayBuffer());
      if (signal.aborted) return;
      this.levels = peaks(sound.getChannelData(0), BARS);
      this.measure(sound.duration);
    } catch { /* the browser does not know this kind of file; the service may */ }
  }

  close() {
    this.abort.abort();
    if (this.job) forget(this.job);
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    if (this.url) URL.revokeObjectURL(this.url);
    for (const scene of this.scenes) if (scene.made) URL.revokeObjectURL(scene.made);
    Object.assign(this, { scenes: [], levels: [], duration_s: 0, job: null, url: null, current: null, wanted: null, touched: false, over: false });
    this.parts.scenes.replaceChildren();
    this.stage.clear();
    this.parts.rest.hidden = true;
    this.parts.save.hidden = true;
    this.parts.maybes.hidden = true;
    this.parts.maybe.value = this.parts.maybe.max = 0;
    this.draw();
  }

  /** Show so many of the unsure pictures as the control says, the surest. */
  sift() {
    const most = Number(this.parts.maybe.value);
    this.parts.maybe.setAttribute("aria-valuetext", `${most} of ${this.parts.maybe.max} unsure pictures`);
    for (const scene of this.scenes.filter((one) => one.maybe)) {
      const wanted = scene.maybe <= most;
      scene.picture = wanted ? scene.made : null;
      scene.reason = wanted && !this.over || scene.picture ? "" : REASONS.below_confidence;
      this.dress(scene);
    }
    const { current } = this;
    this.current = null;
    if (current) this.show(current);
    if (this.over) this.say(this.count(), false);
    this.surface.draw();
  }

  /** Draw no more of it; what is there stays. */
  leaveOff() {
    this.abort.abort();
    if (this.job) forget(this.job);
    this.job = null;
    this.finish();
  }

  finish() {
    this.over = true;
    this.parts.cancel.hidden = true;
    this.stage.progress.hidden = true;
    this.sift();
    this.scenes = this.scenes.filter((scene) => {
      const stays = scene.picture || scene.reason;
      if (!stays) scene.item.remove();
      return stays;
    });
    this.say(this.count());
    this.draw();
  }

  get pictures() { return this.scenes.filter((scene) => scene.picture); }

  count() {
    const { length } = this.pictures;
    const unsure = this.pictures.filter((scene) => scene.maybe).length;
    return `${clock(this.duration_s)} · ${length} ${length === 1 ? "picture" : "pictures"} drawn from the sound alone${unsure ? ` · ${unsure} of them maybe` : ""}`;
  }

  /** What is going on; `aloud` also for those who listen to the page. */
  say(text, aloud = true) {
    this.parts.subtitle.textContent = text;
    if (aloud) this.parts.announce.textContent = text;
  }

  measure(seconds) {
    if (!Number.isFinite(seconds) || seconds <= 0) return;
    this.duration_s = seconds;
    this.parts.seek.max = seconds;
    this.parts.length.textContent = clock(seconds);
    this.draw();
  }

  async hear(type, data) {
    if (type === "progress") {
      if (data.duration_s && !this.duration_s) this.measure(data.duration_s);
      if (data.to_draw === null) {
        const share = this.duration_s ? data.heard_s / this.duration_s : 0;
        this.stage.wait(share);
        this.say(`Listening · ${clock(data.heard_s)} of ${clock(this.duration_s)}`, false);
      } else {
        this.stage.wait(data.to_draw ? data.drawn / data.to_draw : 1);
        this.say(`Drawing · ${data.drawn} of ${data.to_draw}`, false);
      }
    } else if (type === "scene") {
      this.place(data);
    } else if (type === "image") {
      const scene = this.scenes.find((one) => one.index === data.index) ?? this.place(data);
      const blob = pictureOf(data);
      scene.tint = await tintOf(blob);
      scene.type = blob.type;
      scene.alt = data.alt ? `: ${data.alt}` : "";
      scene.made = URL.createObjectURL(blob);
      scene.picture = !scene.maybe || scene.maybe <= Number(this.parts.maybe.value) ? scene.made : null;
      this.dress(scene);
      // Until somebody plays it, the newest picture is looked at.
      if (!this.touched) { this.show(scene); this.surface.draw(); } else this.draw();
    } else if (type === "done") {
      if (data.duration_s) this.measure(data.duration_s);
      this.job = data.url;
      this.finish();
      if (!this.pictures.length) return this.refuse(new Refusal("nothing_said"));
      if (!this.touched) { this.show(this.pictures[0]); this.parts.announce.textContent = `${this.count()}. Press play.`; }
    }
  }

  place(view) {
    const scene = { index: view.index, alt: "", start: view.start_s, end: view.end_s, tint: "", picture: null, made: null, maybe: view.maybe, why: view.reason, reason: view.status === "ok" || view.maybe ? "" : REASONS[view.reason] ?? "No picture" };
    if (scene.maybe) {
      const all = Number(this.parts.maybe.value) === Number(this.parts.maybe.max);
      this.parts.maybe.max = Math.max(Number(this.parts.maybe.max), scene.maybe);
      if (all) this.parts.maybe.value = this.parts.maybe.max;
      this.parts.maybes.hidden = false;
    }
    scene.tile = Object.assign(document.createElement("button"), { type: "button", className: "tile" });
    scene.frame = Object.assign(document.createElement("span"), { className: "frame" });
    scene.tile.append(scene.frame, clock(scene.start));
    scene.tile.addEventListener("click", () => this.go(scene.start));
    scene.item = document.createElement("li");
    scene.item.append(scene.tile);
    this.scenes.push(scene);
    this.scenes.sort((a, b) => a.start - b.start);
    const after = this.scenes[this.scenes.indexOf(scene) + 1];
    this.parts.scenes.insertBefore(scene.item, after?.item ?? null);
    this.dress(scene);
    this.surface.draw();
    return scene;
  }

  dress(scene) {
    scene.tile.classList.toggle("quiet", !!scene.reason);
    scene.tile.classList.toggle("maybe", !!scene.maybe && !scene.reason);
    scene.tile.classList.toggle("coming", !scene.reason && !scene.picture);
    const from = clock(scene.start);
    if (scene.picture) {
      scene.frame.replaceChildren(Object.assign(document.createElement("img"), { src: scene.picture, alt: "" }));
      scene.tile.setAttribute("aria-label", `${scene.maybe ? "Maybe: picture" : "Picture"} from ${from}${scene.alt}`);
    } else if (scene.reason) {
      scene.frame.replaceChildren(symbol(ICONS[scene.why] ?? "n-blank"), Object.assign(document.createElement("span"), { textContent: scene.reason }));
      scene.tile.setAttribute("aria-label", `${scene.reason}, ${from}`);
    } else {
      scene.frame.replaceChildren();
      scene.tile.setAttribute("aria-label", `Picture from ${from}, on its way`);
    }
  }

  at(seconds) {
    return this.scenes.findLast((scene) => scene.start <= seconds + TOLERANCE_S) ?? this.scenes[0];
  }

  show(scene) {
    if (!scene) return;
    const { parts, stage } = this;
    if (this.current !== scene) {
      this.current?.tile.removeAttribute("aria-current");
      scene.tile.setAttribute("aria-current", "true");
      parts.scenes.style.setProperty("--tint", scene.tint || colour("--accent"));
      parts.scenes.scrollTo({ left: scene.tile.offsetLeft - parts.scenes.offsetLeft - (parts.scenes.clientWidth - scene.tile.clientWidth) / 2, behavior: this.calm.matches ? "auto" : "smooth" });
    }
    this.current = scene;
    const number = this.pictures.indexOf(scene) + 1;
    parts.rest.hidden = !!scene.picture;
    parts.save.hidden = !scene.picture;
    if (scene.picture) {
      const progress = stage.progress.hidden;
      stage.show(scene.picture, `Picture ${number} of ${this.pictures.length}, for ${clock(scene.start)} to ${clock(scene.end)}${scene.alt}`);
      stage.progress.hidden = progress;
      parts.save.href = scene.picture;
      parts.save.download = `${this.name} ${clock(scene.start).replaceAll(":", ".")}.${scene.type.split("/")[1]}`;
    } else {
      stage.picture.hidden = stage.glow.hidden = true;
      parts.restIcon.setAttribute("href", `#${scene.reason ? ICONS[scene.why] ?? "n-blank" : "n-busy"}`);
      parts.reason.textContent = scene.reason || "On its way";
    }
    stage.frame.classList.toggle("maybe", !!scene.picture && !!scene.maybe);
    const which = scene.picture ? `${scene.maybe ? "Maybe · " : ""}Picture ${number} of ${this.pictures.length}` : parts.reason.textContent;
    const strong = Object.assign(document.createElement("b"), { textContent: which });
    parts.caption.replaceChildren(strong, Object.assign(document.createElement("span"), { className: "muted", textContent: `${clock(scene.start)} – ${clock(scene.end)}` }));
  }

  draw() {
    const seconds = this.wanted ?? this.audio.currentTime;
    this.parts.seek.value = seconds;
    this.parts.time.textContent = clock(seconds);
    if (this.touched) this.show(this.at(seconds));
    this.parts.seek.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(this.duration_s)}${this.current ? `, ${this.parts.caption.firstChild?.textContent ?? ""}` : ""}`);
    this.surface.draw();
  }

  followSound() {
    this.draw();
    if (!this.audio.paused) requestAnimationFrame(() => this.followSound());
  }

  go(seconds) {
    this.touched = true;
    this.wanted = Math.min(this.duration_s, Math.max(0, seconds));
    if (this.audio.readyState > 0) this.audio.currentTime = this.wanted;
    this.draw();
  }

  toggle() {
    this.touched = true;
    if (!this.audio.paused) return this.audio.pause();
    if (this.audio.ended) this.go(0);
    return this.audio.play().catch(() => { this.parts.play.disabled = true; });
  }

  turn(step) {
    const seconds = this.wanted ?? this.audio.currentTime;
    const here = this.at(seconds);
    if (step < 0 && here?.picture && seconds - here.start > 3) return this.go(here.start);
    const start = here?.start ?? 0;
    const to = step > 0 ? this.pictures.find((scene) => scene.start > start) : this.pictures.findLast((scene) => scene.start < start);
    if (to) this.go(to.start);
  }

  /** A key of the keyboard; whether it meant something here. */
  key(event) {
    const seconds = this.wanted ?? this.audio.currentTime;
    const actions = {
      " ": () => this.toggle(),
      k: () => this.toggle(),
      ArrowLeft: () => (event.shiftKey ? this.turn(-1) : this.go(seconds - STEP_S)),
      ArrowRight: () => (event.shiftKey ? this.turn(1) : this.go(seconds + STEP_S)),
      Home: () => this.go(0),
      End: () => this.go(this.duration_s),
    };
    actions[event.key]?.();
    return event.key in actions;
  }

  paint(context, width, height) {
    const count = this.surface.bars;
    const levels = this.levels.length ? resample(this.levels, count) : new Array(count).fill(this.over || this.duration_s ? FLAT : 0);
    const left = (width - (count - 1) * 6) / 2;
    const muted = colour("--muted"), line = colour("--line");
    const share = this.duration_s ? (this.wanted ?? this.audio.currentTime) / this.duration_s : 0;
    const x = (seconds) => (width * seconds) / (this.duration_s || 1);
    for (const scene of this.scenes) {
      if (scene.reason) this.hatch(context, x(scene.start), x(scene.end), height, muted);
      if (scene.start > 0) { context.globalAlpha = 1; context.fillStyle = line; context.fillRect(x(scene.start), 0, 1, height); }
    }
    levels.forEach((level, i) => {
      const middle = (i + 0.5) / count;
      const seconds = middle * this.duration_s;
      const scene = this.scenes.findLast((one) => one.start <= seconds);
      const inside = scene && seconds <= scene.end + 1;
      context.fillStyle = (inside && scene.tint) || muted;
      context.globalAlpha = middle <= share || (!this.touched && inside && scene.picture) ? 1 : 0.38;
      bar(context, left + i * 6, height, level);
    });
    context.globalAlpha = 1;
    context.fillStyle = colour("--ink");
    if (this.duration_s) context.fillRect(Math.min(width - 2, width * share), 0, 2, height);
  }

  hatch(context, from, to, height, tone) {
    context.save();
    context.beginPath();
    context.rect(from, 0, Math.max(0, to - from), height);
    context.clip();
    context.globalAlpha = 0.3;
    context.strokeStyle = tone;
    context.beginPath();
    for (let x = from - height; x < to; x += 9) { context.moveTo(x, height); context.lineTo(x + height, 0); }
    context.stroke();
    context.restore();
  }
}

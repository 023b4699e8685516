// Speaking: one press of the button, and what comes of it.
import { chosen } from "./memory.js";
import { canStream, openMicrophone, openRecorder, wav } from "./microphone.js";
import { Refusal, drawClip, openLive, pictureOf } from "./service.js";
import { tintOf } from "./tint.js";
import { loudness } from "./waveform.js";

const HOLD_MS = 400; // a press that is longer is held, and ends when it is let go
const PAUSE_MS = 1200; // after a tap, such a pause means: that was it
const PATIENCE_MS = 60_000; // for a picture, from the last word of the service
const MARGIN_S = 0.6; // of the voice that is kept around what was drawn
const SILENT_S = 4; // a microphone that gives nothing for so long is muted
const NOTHING = 4; // of 32,768: a room that is quiet gives more
const TICK_MS = 200;
const PIECE = 32_000; // bytes of a message, for a clip that is sent at once
const LEVEL_SAMPLES = 1024;
const MOST_SEED = 2 ** 53;
const CHOICES = 3; // where it is not sure what was said
const MOST_REFUSALS = 5; // of a clip that nobody waits for any more
const MOST_REFUSED = 16; // that the service takes

/**
 * One clip on its way to its pictures. `tell(type, detail)` is told:
 * listening, heard, quiet, level, silent (whether), gone, preview {url, share}, picture {…}, done {best}, doubt {offered}, refused (a Refusal).
 */
class Take {
  constructor(style, tell) {
    Object.assign(this, { style, tell, chunks: [], rate_hz: 16000, pictures: new Map(), notMeant: [], over: false, ended: false, live: null, microphone: null, recorder: null, longest_s: 58 });
    this.abort = new AbortController();
  }

  get duration_s() {
    return this.recorder ? (performance.now() - this.began) / 1000 : this.chunks.reduce((sum, chunk) => sum + chunk.length, 0) / this.rate_hz;
  }

  async listen() {
    if (!canStream()) {
      this.recorder = await openRecorder();
      if (this.over) return this.recorder.close();
      this.began = performance.now();
      return this.tell("listening");
    }
    let first = true;
    const microphone = await openMicrophone((samples) => {
      if (this.over || this.ended) return;
      if (first) { first = false; this.tell("listening"); }
      this.chunks.push(samples);
      this.live?.send(samples);
      this.tell("level", loudness(samples));
      this.mind(samples);
    }, () => this.tell("gone"));
    if (this.over) return microphone.close();
    this.microphone = microphone;
    this.rate_hz = microphone.rate_hz;
    this.connect();
    for (const chunk of this.chunks) this.live.send(chunk);
  }

  /** Notice a microphone that gives nothing, and when it does. */
  mind(samples) {
    if (this.sounds) return;
    this.sounds = samples.some((one) => Math.abs(one) >= NOTHING);
    if (this.silent !== undefined && this.sounds) this.tell("silent", this.silent = false);
    else if (this.silent === undefined && !this.sounds && this.duration_s > SILENT_S) this.tell("silent", this.silent = true);
  }

  /** Something else of a clip that was recorded before: other things than were not meant, with other noise. */
  async again(clip, notMeant) {
    this.seed = Math.floor(Math.random() * MOST_SEED);
    this.notMeant = notMeant.slice(-MOST_REFUSED);
    this.ended = true;
    if (clip.type !== "audio/wav" || !canStream()) {
      this.whole = clip;
      return this.post(clip);
    }
    const bytes = await clip.arrayBuffer();
    this.rate_hz = new DataView(bytes).getUint32(24, true);
    this.chunks = [new Int16Array(bytes, 44)];
    this.connect();
    for (let from = 44; from < bytes.byteLength; from += PIECE) this.live.send(bytes.slice(from, from + PIECE));
    this.live.end();
    this.watch();
  }

  connect() {
    const start = { rate_hz: this.rate_hz, style: this.style, seed: this.seed, choices: CHOICES, not_meant: this.notMeant, chosen: chosen() };
    this.live = openLive(start, (event) => { if (!this.over) this.hear(event); });
  }

  hear(event) {
    if (this.ended) this.watch();
    const kinds = {
      ready: () => { this.longest_s = Math.min(this.longest_s, event.max_clip_s - 1); },
      speech_start: () => this.tell("heard"),
      speech_end: () => this.tell("quiet"),
      preview: () => this.tell("preview", { url: URL.createObjectURL(pictureOf(event)), share: event.step / event.steps }),
      image: () => this.picture(event, event.utterance),
      choices: () => this.offer(event, event.pictures, event.utterance),
      done: () => this.finish(this.pictures.get(event.best) ?? [...this.pictures.values()].pop()),
      // Silence is an answer; for all else there is a second way, which has an answer of its own.
      error: () => { if (event.error.code === "no_speech") this.wordless = true; else this.disconnect(); },
      closed: () => this.disconnect(),
    };
    kinds[event.type]?.();
  }

  disconnect() {
    this.live?.close();
    this.live = null;
    if (this.ended && this.chunks.length) this.post(wav(this.chunks, this.rate_hz));
  }

  async picture(told, utterance) {
    const made = this.made(told, told);
    this.pictures.set(utterance, made);
    const picture = await made;
    if (!this.over) this.tell("picture", picture);
  }

  /** Several pictures of different things: which was meant is known when one is tapped. */
  offer(told, files, utterance) {
    const making = Promise.all(files.map((file) => this.made(told, file)));
    this.pictures.set(utterance, making.then((pictures) => ({ pictures })));
  }

  /** A picture, from what was told of the words and of the file. */
  async made(told, file) {
    const image = pictureOf(file);
    const { style, vector } = told;
    const { alt, thing } = file;
    return {
      id: crypto.randomUUID(), at: Date.now(), image, url: URL.createObjectURL(image), tint: await tintOf(image), kept: false,
      style, vector, alt, thing, things: file.things ?? (thing ? [thing] : told.things ?? []), notMeant: this.notMeant, ...this.clip(told),
    };
  }

  /** The voice of an utterance, and its loudness. */
  clip({ start_s, end_s }) {
    if (this.whole) return { clip: this.whole, levels: [] };
    const samples = new Int16Array(this.chunks.reduce((sum, chunk) => sum + chunk.length, 0));
    this.chunks.reduce((at, chunk) => { samples.set(chunk, at); return at + chunk.length; }, 0);
    const some = this.seed === undefined ? samples.slice(Math.max(0, (start_s - MARGIN_S) * this.rate_hz), (end_s + MARGIN_S) * this.rate_hz) : samples;
    const levels = [];
    for (let at = 0; at < some.length; at += LEVEL_SAMPLES) levels.push(loudness(some.subarray(at, at + LEVEL_SAMPLES)));
    return { clip: wav([some], this.rate_hz), levels };
  }

  /** Nothing more will be said. */
  async end() {
    if (this.ended) return;
    this.ended = true;
    if (this.recorder) {
      this.whole = await this.recorder.stop();
      return this.post(this.whole);
    }
    this.microphone?.close();
    if (this.live) { this.live.end(); this.watch(); } else this.disconnect();
  }

  watch() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.disconnect(), PATIENCE_MS);
  }

  async post(clip) {
    clearTimeout(this.watchdog);
    this.posted = clip;
    try {
      const answer = await drawClip(clip, { style: this.style, seed: this.seed, choices: CHOICES, not_meant: this.notMeant }, this.abort.signal);
      if (this.over) return;
      if (answer.images.length > 1) this.offer(answer, answer.images, 0);
      else this.picture({ ...answer, ...answer.images[0] }, 0);
      await this.finish(this.pictures.get(0));
    } catch (error) {
      if (this.over) return;
      this.tell("refused", error instanceof Refusal ? error : new Refusal("internal"));
    }
  }

  /** After a refusal: the same words once more. */
  repeat() {
    return this.post(this.posted);
  }

  async finish(best) {
    clearTimeout(this.watchdog);
    const picture = await best;
    if (this.over) return;
    this.live?.close();
    if (picture?.pictures) this.tell("doubt", picture.pictures);
    else if (picture) this.tell("done", picture);
    else if (this.wordless || !this.chunks.length) this.tell("refused", new Refusal(this.gone ? "no_microphone" : this.silent ? "silent" : "no_speech"));
    else this.disconnect(); // there was speech, but no room to draw it: the other way says when there is
  }

  /** Forget it. */
  stop() {
    this.over = true;
    clearTimeout(this.watchdog);
    this.abort.abort();
    this.microphone?.close();
    this.recorder?.close();
    this.live?.close();
  }
}

/**
 * The big button. `tell(what, detail)` hears of all that the page shows: idle, opening, listening, tick, heard, level, silent,
 * drawing, preview, picture, done, doubt, refused; and of a take that is not the last: aside (a picture), missed.
 */
export class Speaking {
  constructor({ style, tell }) {
    Object.assign(this, { style, tell, take: null, state: "idle", held: false });
  }

  get duration_s() { return this.take?.duration_s ?? 0; }
  get longest_s() { return this.take?.longest_s ?? 1; }

  enter(state, detail) {
    this.state = state;
    this.tell(state, detail);
  }

  press() {
    if (this.state === "listening") return this.finish();
    if (this.state === "opening") return this.cancel();
    this.held = true;
    this.begin((take) => take.listen());
    this.enter("opening");
  }

  release() {
    this.held = false;
    if (this.state === "listening" && performance.now() - this.since > HOLD_MS && !this.tapped) this.finish();
    else this.tapped = true;
  }

  /** The same words, something else. */
  again(clip, notMeant) {
    this.begin((take) => take.again(clip, notMeant));
    this.enter("drawing");
  }

  repeat() {
    this.enter("drawing");
    this.take.repeat();
  }

  cancel() {
    this.stop();
    this.take = null;
    this.enter("idle");
  }

  stop() {
    this.take?.stop();
    this.unpress();
  }

  unpress() {
    clearTimeout(this.pause);
    clearInterval(this.clock);
  }

  /** What comes of a take while there is a newer one. */
  aside(take, type, detail) {
    if (type === "picture") this.tell("aside", detail);
    if (type === "doubt") this.tell("aside", detail[0]);
    if (type !== "refused") return;
    take.refusals = (take.refusals ?? 0) + 1;
    if (take.posted && detail.retryAfterS && take.refusals < MOST_REFUSALS) setTimeout(() => take.repeat(), 1000 * detail.retryAfterS);
    else if (detail.code !== "no_speech") this.tell("missed", detail);
  }

  begin(work) {
    // What is being drawn is not dropped by a press: it goes on, and comes to the shelf.
    if (this.state === "drawing") this.unpress(); else this.stop();
    this.tapped = false;
    const take = new Take(this.style(), (type, detail) => {
      if (take === this.take) this.hear(type, detail); else this.aside(take, type, detail);
    });
    this.take = take;
    work(take).catch((error) => {
      take.stop();
      if (take === this.take) this.enter("refused", error instanceof Refusal ? error : new Refusal("internal"));
    });
  }

  finish() {
    clearTimeout(this.pause);
    clearInterval(this.clock);
    this.take.end();
    this.enter("drawing");
  }

  tick() {
    if (this.duration_s >= this.longest_s) this.finish(); else this.tell("tick");
  }

  hear(type, detail) {
    if (type === "gone") {
      this.take.gone = true;
      if (this.state === "listening") this.finish(); // what was said until then is drawn
      return;
    }
    if (type === "listening") {
      this.since = performance.now();
      this.clock = setInterval(() => this.tick(), TICK_MS);
      return this.enter("listening");
    }
    if (type === "heard") clearTimeout(this.pause);
    if (type === "quiet" && this.state === "listening" && !this.held) {
      clearTimeout(this.pause);
      this.pause = setTimeout(() => this.finish(), PAUSE_MS);
      return;
    }
    if (type === "done" || type === "doubt" || type === "refused") this.state = type === "refused" ? type : "shown";
    this.tell(type, detail);
  }
}

// The page: what its buttons do, and what it shows of speaking and of a recording.
import { Aloud } from "./aloud.js";
import { Choices } from "./choices.js";
import { forgetAll, remember } from "./memory.js";
import { microphones, prefer, preferred } from "./microphone.js";
import { Notice } from "./notice.js";
import { keepPage, watchNetwork } from "./offline.js";
import { Recording, clock } from "./recording.js";
import { Refusal, address, getStyles, keepKey } from "./service.js";
import { Shelf, nameOf } from "./shelf.js";
import { Speaking } from "./speaking.js";
import { Stage } from "./stage.js";
import { keep, recall } from "./storage.js";
import { Wave } from "./waveform.js";

const $ = (id) => document.getElementById(id);
const { body } = document;
const STYLE = "s2i.style";
const TITLE = $("title").textContent;
const SUBTITLE = $("subtitle").textContent;
const HINT = $("hint").textContent;

const stage = new Stage({ frame: document.querySelector(".now"), picture: $("picture"), glow: $("glow"), progress: $("progress") });
const choices = new Choices({ box: $("choices") });
const aloud = new Aloud($("aloud"));
const wave = new Wave($("wave"));
const voice = new Audio();
let styles = [];
let style; // its name; none: as the service is set
let shown = null; // the picture on the stage, while speaking

const state = (name) => {
  body.dataset.state = name;
  if (name !== "choosing") choices.hide();
  if (name !== "listening") body.classList.remove("silent");
  for (const id of ["choose", "style"]) $(id).disabled = name === "opening" || name === "listening";
};
const say = (text) => { $("status").textContent = text; };

// ------------------------------------------------------------------------------------------------------ notices

const notice = new Notice({
  box: $("notice"), icon: $("notice-icon"), title: $("notice-title"), text: $("notice-text"),
  first: $("notice-first"), second: $("notice-second"), keyForm: $("key-form"), key: $("key"), alert: $("alert"),
});

const WITH_MICROPHONE = new Set(["silent", "no_speech", "no_microphone", "microphone_taken"]);

/** Where it may be the wrong one: a choice of microphones, if there are several. */
const offerMicrophones = async (wanted) => {
  $("microphones").hidden = true;
  const found = wanted ? await microphones() : [];
  $("microphone").replaceChildren(...found.map(({ deviceId, label }) => new Option(label, deviceId)));
  if (found.some(({ deviceId }) => deviceId === preferred())) $("microphone").value = preferred();
  $("microphones").hidden = found.length < 2;
};
$("microphone").addEventListener("change", () => prefer($("microphone").value));

const refuse = (refusal, retry) => {
  stage.clear();
  say("");
  state("notice");
  const again = () => {
    const here = $("notice").contains(document.activeElement);
    notice.hide();
    if (here) $(body.dataset.view === "speak" ? "speak" : "back").focus();
    retry();
  };
  offerMicrophones(WITH_MICROPHONE.has(refusal.code));
  notice.show(refusal, {
    retry: again,
    speak: () => {
      const speaks = body.dataset.view === "speak";
      toSpeaking();
      $("speak").focus();
      if (speaks) $("speak").click();
    },
    choose: () => $("file").click(),
    open: (key) => { keepKey(key); getReady(); again(); },
  });
  aloud.say($("alert").textContent);
};

// ------------------------------------------------------------------------------------------------------ speaking

const MISSED = "One picture could not be drawn.";
const LOSES = "This browser keeps pictures only while the page is open.";
let lost = ""; // what is said once with the next picture
const shelf = new Shelf({ section: $("shelf"), list: $("made"), onRefused: () => { lost = LOSES; }, onPick: (picture) => { speaking.stop(); notice.hide(); look(picture); say(nameOf(picture)); scrollTo({ top: 0, behavior: "auto" }); } });

const altOf = (picture) => {
  const label = styles.find((one) => one.name === picture.style)?.label;
  return `${picture.alt || "Picture of what you said."}${label ? ` In the style ${label}.` : ""}`;
};

/** Show a finished picture, and what can be done with it. */
const look = (picture) => {
  shown = picture;
  state("shown");
  stage.show(picture.url, altOf(picture));
  wave.whole(picture.levels, 1, picture.tint);
  shelf.current(picture);
  $("keep").setAttribute("aria-pressed", picture.kept);
  $("keep").lastElementChild.textContent = picture.kept ? "Kept" : "Keep";
  $("download").href = picture.url;
  $("download").download = `picture-${new Date(picture.at).toISOString().slice(0, 19).replaceAll(":", ".")}.${picture.image.type.split("/")[1]}`;
  button("i-mic", "Speak", HINT);
};

const button = (icon, name, hint) => {
  $("speak-icon").setAttribute("href", `#${icon}`);
  $("speak-name").textContent = name;
  $("hint").textContent = hint;
};

let levels = [];
let from = null;
const tick = () => {
  const { duration_s, longest_s } = speaking;
  $("left").style.strokeDashoffset = 1 - Math.min(1, duration_s / longest_s);
  const hint = speaking.tapped ? "tap when you are done" : "let go when you are done";
  $("hint").textContent = `${clock(duration_s)} · ${hint}`;
};

/** The picture is what one looks at, also on a page that is enlarged. */
const intoView = () => document.querySelector(".now").scrollIntoView({ block: "nearest" });

const scenes = {
  idle: () => { state("idle"); stage.clear(); wave.still(); say(""); button("i-mic", "Speak", HINT); },
  opening: () => {
    voice.pause();
    aloud.hush();
    notice.hide();
    stage.clear();
    shelf.current(null);
    shown = null;
    levels = [];
    state("opening");
    wave.still();
    say("");
    button("i-mic", "Stop", "One moment");
  },
  listening: () => { state("listening"); wave.listen(); say("I am listening"); button("i-stop", "Stop", ""); tick(); },
  tick,
  heard: () => { body.classList.add("heard"); if (body.dataset.state === "listening") say("I hear you"); },
  silent: (silent) => {
    body.classList.toggle("silent", silent);
    say(silent ? "I hear nothing. Is the microphone muted?" : "I am listening");
  },
  level: (level) => {
    levels.push(level);
    wave.push(level);
    body.style.setProperty("--level", level.toFixed(3));
  },
  drawing: () => {
    notice.hide();
    voice.pause();
    // The actions go while it draws; whoever stood on one comes back to it.
    from = $("actions").contains(document.activeElement) ? document.activeElement : null;
    from?.blur();
    state("drawing");
    body.classList.remove("heard");
    wave.whole(levels, 0);
    stage.wait(0);
    say("Drawing what you said");
    button("i-mic", "Speak", HINT);
  },
  preview: ({ url, share }) => {
    stage.preview(url, share);
    body.classList.add("preview");
    if (body.dataset.state === "drawing") wave.whole(levels, share);
  },
  picture: (picture) => {
    shelf.add(picture);
    stage.show(picture.url, altOf(picture));
    shelf.current(picture);
  },
  aside: (picture) => shelf.add(picture),
  missed: () => { lost = MISSED; if (body.dataset.state === "shown" || body.dataset.state === "idle") say(MISSED); },
  done: (picture) => {
    look(picture);
    intoView();
    say(lost ? `Here is your picture. ${lost}` : "Here is your picture");
    aloud.say(picture.alt || "Here is your picture.");
    lost = "";
    if (document.activeElement === body) from?.focus();
  },
  doubt: (pictures) => {
    const standing = document.activeElement === body;
    stage.clear();
    choices.show(pictures, {
      pick: (picture) => {
        remember(picture.vector, picture.thing);
        scenes.picture(picture);
        scenes.done(picture);
        if (document.activeElement === body) $("again").focus({ preventScroll: true });
      },
      none: () => {
        const [{ clip, levels: said, notMeant }] = pictures;
        levels = said;
        speaking.again(clip, [...notMeant, ...pictures.map((one) => one.thing)]);
      },
    });
    state("choosing");
    intoView();
    wave.whole(pictures[0].levels, 1, pictures[0].tint);
    say("Which one did you mean?");
    aloud.say(`Which one did you mean? ${pictures.map((one, i) => `${i + 1}: ${one.alt || one.thing}`).join(" ")}`);
    button("i-mic", "Speak", HINT);
    if (standing) choices.focus();
  },
  refused: (refusal) => {
    wave.still();
    button("i-mic", "Speak", HINT);
    // A microphone is asked for again; words that are here already are sent again.
    refuse(refusal, () => (speaking.take.posted ? speaking.repeat() : $("speak").click()));
  },
};

const speaking = new Speaking({ style: () => style, tell: (what, detail) => {
  if (what === "opening" || what === "drawing") body.classList.remove("preview", "heard");
  scenes[what]?.(detail);
} });

const again = () => {
  const { clip, levels: said, notMeant = [], things = [] } = shown;
  levels = said;
  speaking.again(clip, [...notMeant, ...things]);
};

/** The big button, by pointer, by key and by whatever else can press a button. */
const pressable = (element) => {
  let byHand = false;
  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    byHand = true;
    element.setPointerCapture(event.pointerId);
    speaking.press();
  });
  element.addEventListener("pointerup", () => speaking.release());
  element.addEventListener("pointercancel", () => { byHand = false; speaking.release(); });
  element.addEventListener("click", () => {
    if (byHand) { byHand = false; return; }
    speaking.press();
    speaking.release();
  });
  element.addEventListener("contextmenu", (event) => event.preventDefault());
};
pressable($("speak"));
addEventListener("blur", () => { if (speaking.held) speaking.release(); });

const listen = () => {
  if (!voice.paused) return voice.pause();
  voice.src = URL.createObjectURL(shown.clip);
  return voice.play();
};
$("again").addEventListener("click", again);
$("listen").addEventListener("click", listen);
// A shortcut for the hand; the buttons are there for everybody.
$("picture").addEventListener("click", () => {
  if (body.dataset.view === "recording") recording.toggle();
  else if (body.dataset.state === "shown") listen();
});
for (const event of ["play", "pause", "ended"]) {
  voice.addEventListener(event, () => {
    $("listen").setAttribute("aria-pressed", !voice.paused);
    if (event !== "play") return;
    const follow = () => {
      if (body.dataset.state !== "shown") return;
      if (!voice.paused) requestAnimationFrame(follow);
      wave.whole(shown.levels, voice.paused ? 1 : voice.currentTime / (voice.duration || 1), shown.tint);
    };
    follow();
  });
}
$("keep").addEventListener("click", async () => {
  const picture = shown;
  const lasts = await shelf.keep(picture, !picture.kept);
  if (picture === shown) look(picture);
  say(!picture.kept ? "No longer kept" : lasts ? "Kept on this device" : "Kept until this page is closed");
});

$("delete").addEventListener("click", () => {
  const gone = shown;
  shown = null;
  voice.pause();
  shelf.delete(gone);
  speaking.cancel();
  say("Deleted");
  $("speak").focus({ preventScroll: true });
});

const DELETE_ALL = $("delete-all").textContent;
const ASK_MS = 5000; // in which a second press means it
let asking = 0;
const unask = () => { clearTimeout(asking); asking = 0; $("delete-all").textContent = DELETE_ALL; };
$("delete-all").addEventListener("click", () => {
  if (!asking) {
    asking = setTimeout(unask, ASK_MS);
    $("delete-all").textContent = "Really all?";
    return;
  }
  unask();
  shown = null;
  voice.pause();
  shelf.deleteAll();
  forgetAll();
  speaking.cancel();
  say("All deleted from this device");
  $("speak").focus({ preventScroll: true });
});

// ------------------------------------------------------------------------------------------------------ recordings

const recording = new Recording({
  stage,
  refuse: (refusal) => refuse(refusal, () => openFile(lastFile)),
  parts: { ...Object.fromEntries(["title", "subtitle", "play", "previous", "next", "cancel", "save", "seek", "time", "length", "bars", "audio", "scenes", "rest", "reason", "maybe", "maybes"].map((id) => [id, $(id)])), restIcon: $("rest-icon"), caption: $("caption"), announce: $("status") },
});
let lastFile = null;

const openFile = (file) => {
  if (!file) return;
  lastFile = file;
  speaking.cancel();
  // So that the browser's Back leaves the recording, and not the site.
  if (history.state?.view !== "recording") history.pushState({ view: "recording" }, "");
  voice.pause();
  notice.hide();
  body.dataset.view = "recording";
  state("recording");
  $("speaking").hidden = true;
  $("playing").hidden = $("back").hidden = $("caption").hidden = false;
  $("status").classList.add("unseen");
  $("caption").replaceChildren();
  recording.open(file, style);
  $("back").focus();
};

const toSpeaking = () => {
  if (history.state?.view === "recording") history.back();
  if (body.dataset.view === "speak") { notice.hide(); scenes.idle(); return; }
  notice.hide();
  recording.close();
  body.dataset.view = "speak";
  $("speaking").hidden = false;
  $("playing").hidden = $("back").hidden = $("caption").hidden = true;
  $("status").classList.remove("unseen");
  $("title").textContent = TITLE;
  $("subtitle").textContent = SUBTITLE;
  scenes.idle();
  if (shown) look(shown);
};

$("back").addEventListener("click", () => { toSpeaking(); $("choose").focus(); });
addEventListener("popstate", () => {
  if (body.dataset.view === "recording") $("back").click();
  else if (history.state?.view === "recording") openFile(lastFile);
});
// A reload ends a recording: what was heard of it is with the service, and the file is not.
if (history.state?.view === "recording") history.replaceState(null, "");
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => { openFile($("file").files[0]); $("file").value = ""; });

let over = 0; // drag events come in pairs, for every element that is crossed
addEventListener("dragenter", (event) => { if (event.dataTransfer?.types.includes("Files")) { over += 1; body.classList.add("dragging"); } });
addEventListener("dragleave", () => { over = Math.max(0, over - 1); if (!over) body.classList.remove("dragging"); });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  body.classList.remove("dragging");
  openFile(event.dataTransfer.files[0]);
});

// ------------------------------------------------------------------------------------------------------ styles

const choose = (name) => {
  style = name;
  const chosen = styles.find((one) => one.name === name);
  $("style-face").src = address(chosen.image_url);
  $("style-name").textContent = `: ${chosen.label}`;
  keep(STYLE, name);
};

const getReady = async () => {
  try {
    const answer = await getStyles();
    styles = answer.styles;
    body.dataset.styles = styles.length;
    if (styles.length < 2) return;
    const wanted = recall(STYLE);
    $("styles-list").replaceChildren(...styles.map((one) => {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), { type: "radio", name: "style", value: one.name, className: "unseen" });
      input.addEventListener("change", () => choose(one.name));
      label.append(input, Object.assign(document.createElement("img"), { src: address(one.image_url), alt: "" }), Object.assign(document.createElement("span"), { textContent: one.label }));
      // A choice by hand closes the dialog; with the keyboard the arrows only move through it.
      label.addEventListener("pointerup", () => setTimeout(() => $("styles").close()));
      return label;
    }));
    choose(styles.some((one) => one.name === wanted) ? wanted : answer.default);
    $("style").hidden = false;
  } catch (error) {
    if (error instanceof Refusal && error.code === "unauthorized" && body.dataset.state === "idle") refuse(error, () => scenes.idle());
    if (error instanceof Refusal && error.code === "lost") cutOff(true);
    // Without styles the page speaks all the same; a service that is away says so when it is asked to draw.
  }
};

$("style").addEventListener("click", () => {
  const chosen = [...$("styles-list").querySelectorAll("input")].find((input) => input.value === style);
  chosen.checked = true;
  $("styles").showModal();
  chosen.focus();
});
$("styles-close").addEventListener("click", () => $("styles").close());
$("styles").addEventListener("click", (event) => { if (event.target === $("styles")) $("styles").close(); });
$("styles").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); $("styles").close(); } });

// ------------------------------------------------------------------------------------------------------ keys

const busyElsewhere = (event) => event.ctrlKey || event.metaKey || event.altKey || $("styles").open;
const isControl = (target) => target.closest?.("button, a, input, summary, dialog") && target.id !== "speak";

addEventListener("keydown", (event) => {
  if (busyElsewhere(event)) return;
  if (body.dataset.view === "recording") {
    if (event.key === "Escape") { $("back").click(); return; }
    if (event.target.id === "maybe") return; // its arrows are its own
    if (isControl(event.target) && (event.key === " " && event.target.type !== "range" || event.target.type === "password")) return;
    if (recording.key(event)) event.preventDefault();
    return;
  }
  if (event.key === "Escape") speaking.cancel();
  if (choices.shown && /^[1-5]$/.test(event.key)) return choices.press(Number(event.key));
  const onButton = event.target.id === "speak";
  if (event.key === " " && !isControl(event.target) || event.key === "Enter" && onButton) {
    event.preventDefault();
    if (!event.repeat) speaking.press();
  }
});
addEventListener("keyup", (event) => {
  if (busyElsewhere(event) || body.dataset.view !== "speak") return;
  const onButton = event.target.id === "speak";
  if (event.key === " " && !isControl(event.target) || event.key === "Enter" && onButton) {
    event.preventDefault();
    speaking.release();
  }
});

// ------------------------------------------------------------------------------------------------------ the network

const CUT_OFF = "There is no connection. Your pictures are here; new ones come when it is back.";
const cutOff = (offline) => {
  body.classList.toggle("offline", offline);
  if (body.dataset.state === "idle") say(offline ? CUT_OFF : "");
  if (!offline && !styles.length) getReady();
};
watchNetwork(cutOff);

wave.still();
shelf.load();
getReady();
document.documentElement.dataset.ready = "yes";
if (document.documentElement.dataset.pressed) $("speak").click();
addEventListener("load", () => setTimeout(keepPage, 1000));
if (document.readyState === "complete") setTimeout(keepPage, 1000);

"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const root = document.documentElement;
  const audio = $("audio");
  const seek = $("seek");
  const strip = $("strip");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const STEP_S = 5;
  // A seek may land a little before the time asked for, for a codec's frames do not start where a scene does.
  const TOLERANCE_S = 0.06;
  const RATES = [1, 1.25, 1.5, 2, 0.75];

  const moments = [...strip.querySelectorAll(".tile")].map((tile, index) => ({
    tile, index,
    start: Number(tile.dataset.start),
    end: Number(tile.dataset.end),
    picture: tile.querySelector("img"),
  }));
  const pictures = moments.filter((moment) => moment.picture);
  const duration = Number(seek.max);
  let current = null;
  let wanted = null;
  // Before it is played, the best of its pictures stands for it.
  let poster = pictures[Number(strip.dataset.poster)];

  const begun = () => {
    poster = null;
    $("begin").hidden = true;
  };

  const clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds + 0.001));
    const parts = [Math.floor(whole / 60) % 60, whole % 60];
    const hours = Math.floor(whole / 3600);
    return hours ? `${hours}:${parts.map((part) => String(part).padStart(2, "0")).join(":")}`
                 : `${parts[0]}:${String(parts[1]).padStart(2, "0")}`;
  };

  // The last moment that has begun; the first one before that.
  const at = (seconds) => {
    let low = 0, high = moments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (moments[middle].start <= seconds + TOLERANCE_S) low = middle; else high = middle - 1;
    }
    return moments[low];
  };

  const around = (seconds, step) => {
    const here = at(seconds);
    return step > 0 ? pictures.find((one) => one.index > here.index) : pictures.findLast((one) => one.index < here.index);
  };

  const beside = (button, moment) => {
    button.classList.toggle("none", !moment);
    if (moment) button.firstElementChild.src = moment.picture.src;
  };

  // What the lock screen of a phone and the keys of a keyboard know of it.
  const tell = (moment) => {
    if (!navigator.mediaSession) return;
    navigator.mediaSession.metadata = new MediaMetadata({
      title: moment.picture && moment.tile.dataset.caption || strip.dataset.title,
      artist: strip.dataset.title,
      // Browsers refuse files of the disk here.
      artwork: moment.picture && !moment.picture.src.startsWith("file:") ? [{ src: moment.picture.src }] : [],
    });
  };

  const show = (moment) => {
    if (!moment || moment === current) return;
    if (current) current.tile.removeAttribute("aria-current");
    moment.tile.setAttribute("aria-current", "true");
    const picture = $("picture");
    if (current && current.picture && !picture.hidden && !calm.matches) {
      const leaving = picture.cloneNode();
      leaving.removeAttribute("id");
      leaving.alt = "";
      leaving.className = "leaving";
      leaving.addEventListener("animationend", () => leaving.remove());
      for (const old of picture.parentNode.querySelectorAll(".leaving")) old.remove();
      picture.after(leaving);
    }
    current = moment;
    const { tile } = moment;
    picture.hidden = !moment.picture;
    $("rest").hidden = !!moment.picture;
    $("glow").hidden = !moment.picture;
    tell(moment);
    if (moment.picture) {
      picture.src = $("glow").src = moment.picture.src;
      picture.alt = moment.picture.alt;
      strip.style.setProperty("--tint", tile.dataset.tint);
      $("which").textContent = `Picture ${pictures.indexOf(moment) + 1} of ${pictures.length}`;
      $("shows").textContent = tile.dataset.caption;
    } else {
      $("reason").textContent = tile.dataset.reason;
      $("which").textContent = tile.dataset.reason;
      $("shows").textContent = "";
    }
    $("span").textContent = `${clock(moment.start)} – ${clock(moment.end)}`;
    beside($("before"), pictures.findLast((one) => one.index < moment.index));
    beside($("after"), pictures.find((one) => one.index > moment.index));
    // Not scrollIntoView: that would move the page as well.
    strip.scrollTo({
      left: tile.offsetLeft - strip.offsetLeft - (strip.clientWidth - tile.clientWidth) / 2,
      behavior: calm.matches ? "auto" : "smooth",
    });
  };

  const draw = () => {
    const seconds = wanted ?? audio.currentTime;
    if (poster && seconds > 0) begun();
    const share = `${(100 * Math.min(1, seconds / duration)).toFixed(3)}%`;
    seek.value = seconds;
    $("played").setAttribute("width", share);
    for (const edge of ["x1", "x2"]) $("head").setAttribute(edge, share);
    $("time").textContent = clock(seconds);
    show(poster && seconds === 0 ? poster : at(seconds));
    seek.setAttribute("aria-valuetext", `${clock(seconds)} of ${clock(duration)}, ${$("which").textContent}`);
  };

  const follow = () => {
    draw();
    if (!audio.paused) requestAnimationFrame(follow);
  };

  const go = (seconds) => {
    begun();
    wanted = Math.min(duration, Math.max(0, seconds));
    // Until the file is open the position cannot be set: it is kept in `wanted` and set then.
    if (audio.readyState > 0) audio.currentTime = wanted;
    draw();
  };

  const toggle = () => {
    if (!audio.paused) return audio.pause();
    if (audio.ended) go(0);
    return audio.play().catch(complain);
  };

  const turn = (step) => {
    const seconds = wanted ?? audio.currentTime;
    const here = at(seconds);
    // As in any player: back goes to the start of this picture first, if it has been up for a while.
    if (step < 0 && here.picture && seconds - here.start > 3) return go(here.start);
    const moment = around(seconds, step);
    if (moment) go(moment.start);
  };

  const complain = () => {
    $("fault").hidden = false;
    $("fault").textContent = "This browser cannot play the sound. The pictures can still be looked through.";
  };

  audio.addEventListener("loadedmetadata", () => { if (wanted !== null) audio.currentTime = wanted; });
  audio.addEventListener("seeked", () => { wanted = null; draw(); });
  audio.addEventListener("timeupdate", draw);
  audio.addEventListener("error", complain);
  for (const event of ["play", "pause", "ended"]) {
    audio.addEventListener(event, () => {
      root.classList.toggle("playing", !audio.paused);
      $("play").classList.toggle("playing", !audio.paused);
      $("play").setAttribute("aria-label", audio.paused ? "Play" : "Pause");
      if (event === "play") { begun(); follow(); }
    });
  }

  $("play").addEventListener("click", toggle);
  $("begin").addEventListener("click", () => { toggle(); $("play").focus(); });
  $("picture").addEventListener("click", toggle);
  for (const [id, step] of [["previous", -1], ["next", 1], ["before", -1], ["after", 1]]) {
    $(id).addEventListener("click", () => turn(step));
  }
  seek.addEventListener("input", () => go(Number(seek.value)));
  for (const moment of moments) moment.tile.addEventListener("click", () => go(moment.start));
  $("rate").addEventListener("click", () => {
    audio.playbackRate = RATES[(RATES.indexOf(audio.playbackRate) + 1) % RATES.length];
    $("rate").firstElementChild.textContent = `${audio.playbackRate}×`;
  });
  if (document.fullscreenEnabled) {
    $("full").addEventListener("click", () => {
      if (document.fullscreenElement) document.exitFullscreen(); else $("stage").requestFullscreen().catch(() => {});
    });
  } else {
    $("full").hidden = true;
  }

  const links = () => {
    const seconds = Math.floor(wanted ?? audio.currentTime);
    const page = $("sharing").dataset.public || location.href.split(/[?#]/)[0];
    const time = $("from-here").checked && seconds ? `#t=${seconds}` : "";
    $("here").textContent = clock(seconds);
    $("link").value = page + time;
    $("copied").textContent = "";
    const box = document.createElement("iframe");
    for (const [name, value] of Object.entries({
      src: `${page}?embed${time}`, title: strip.dataset.title, width: "480", height: "640", loading: "lazy", allow: "autoplay; fullscreen",
    })) box.setAttribute(name, value);
    $("embed").value = box.outerHTML;
  };

  $("share").addEventListener("click", () => { links(); $("sharing").showModal(); });
  $("shut").addEventListener("click", () => $("sharing").close());
  $("sharing").addEventListener("click", (event) => { if (event.target === $("sharing")) $("sharing").close(); });
  $("from-here").addEventListener("change", links);
  $("send").hidden = !navigator.share;
  $("send").addEventListener("click", () =>
    navigator.share({ title: strip.dataset.title, url: $("link").value }).catch(() => {}));
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", async () => {
      const field = $(button.dataset.copies);
      field.select();
      // From disk there may be no clipboard; the older way works there.
      try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
      $("copied").textContent = "Copied.";
    });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("sharing").open) return;
    const onButton = event.target.closest("button, a, summary");
    const keys = {
      " ": () => onButton ? null : toggle,
      k: () => toggle,
      ArrowLeft: () => () => event.shiftKey ? turn(-1) : go((wanted ?? audio.currentTime) - STEP_S),
      ArrowRight: () => () => event.shiftKey ? turn(1) : go((wanted ?? audio.currentTime) + STEP_S),
      Home: () => () => go(0),
      End: () => () => go(duration),
      f: () => () => $("full").click(),
      s: () => () => $("share").click(),
    };
    const action = keys[event.key]?.();
    if (!action) return;
    event.preventDefault();
    action();
  });

  const timeline = $("timeline");
  const peek = $("peek");
  timeline.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const box = timeline.getBoundingClientRect();
    const x = Math.min(box.width, Math.max(0, event.clientX - box.left));
    const moment = at(duration * x / box.width);
    peek.hidden = false;
    peek.style.left = `${Math.min(box.width - 56, Math.max(56, x))}px`;
    peek.firstElementChild.hidden = !moment.picture;
    if (moment.picture) peek.firstElementChild.src = moment.picture.src;
    const time = clock(duration * x / box.width);
    peek.lastElementChild.textContent = moment.picture ? time : `${time} · ${moment.tile.dataset.reason}`;
  });
  timeline.addEventListener("pointerleave", () => { peek.hidden = true; });

  const [source] = audio.children;
  source.addEventListener("error", complain);
  audio.controls = false;
  if (source.src.startsWith("data:")) {
    // A blob can be sought in every browser; a data address cannot.
    const bytes = Uint8Array.from(atob(source.src.slice(source.src.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
    const { type } = source;
    source.remove();
    audio.src = URL.createObjectURL(new Blob([bytes], { type }));
  }

  const start = () => {
    const seconds = Number(/^#t=([\d.]+)$/.exec(location.hash)?.[1] ?? NaN);
    if (Number.isFinite(seconds)) go(seconds);
  };
  addEventListener("hashchange", start);
  root.classList.add("script");
  root.classList.toggle("embedded", new URLSearchParams(location.search).has("embed"));
  $("begin").hidden = !poster;
  start();
  draw();
})();

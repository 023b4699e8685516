"""Self-contained pages: a recording that plays with its pictures in time, and an index of recordings.

A page is one HTML file without any external address: pictures and sound are data URIs, and its Content-Security-Policy
(CSP level 3) admits nothing but them and the one script and style of the page, by their SHA-256. It works from disk.
The page of a pack may point to files that lie beside it instead.
"""

from __future__ import annotations

import base64
import colorsys
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from s2i_core.publish.audio import levels
from s2i_core.publish.credits import credits_of
from s2i_core.records import Shown, Skip

#: What people read where there is no picture, by the reason in the table.
REASONS = {
    Skip.SILENCE.value: "Silence",
    Skip.NO_SPEECH.value: "Music or noise",
    Skip.BELOW_CONFIDENCE.value: "Nothing to draw",
    Skip.DUPLICATE.value: "Same as another recording",
    Skip.REJECTED.value: "Left out",
}

# Bars of the waveform: as many as a wide screen can show apart.
_BARS = 200


@dataclass(frozen=True)
class Frame:
    """A picture and when it is shown.

    Attributes:
        image: bytes of an image file of type `image_type`, such as `image/webp`.
        similarity: cosine of the picture to the things that it is to show, or else to its speech.
        confidence: cosine of the speech to the nearest thing that can be drawn.
        alt: what it shows in one sentence, where that is known; people read it instead of the two figures.
        shows: the things in it, whose drawings are credited.
        address: of the file, relative to the page, if the page is to point to it; otherwise it holds the picture.
        tint: as `tint_of` gives it; by default measured from the image.
    """

    start_s: float
    end_s: float
    image: bytes
    image_type: str
    similarity: float | None = None
    confidence: float | None = None
    alt: str | None = None
    shows: Sequence[Shown] = ()
    address: str = ""
    tint: str = ""


@dataclass(frozen=True)
class Stretch:
    """A stretch without a picture, and why: a value of `records.Skip`, or words of its own."""

    start_s: float
    end_s: float
    reason: str


@dataclass(frozen=True)
class Card:
    """A recording on the index page.

    Attributes:
        page: address of its page, relative to the index; None where it has none.
        pictures: how many there are in all; `previews` are the first of them.
        note: what to know besides, or instead of pictures, such as why it was skipped.
    """

    title: str
    page: str | None
    duration_s: float | None
    pictures: int
    previews: Sequence[Frame] = field(default=())
    note: str = ""


@dataclass(frozen=True)
class Exhibit:
    """A picture of the gallery.

    Attributes:
        file: its address, relative to the page.
        start_s: when it begins.
        text: what it shows.
    """

    file: str
    start_s: float
    text: str


@dataclass(frozen=True)
class Exhibited:
    """A recording of the gallery: the address of its page, relative to the gallery's, and its pictures."""

    title: str
    page: str
    duration_s: float
    pictures: Sequence[Exhibit]


@dataclass(frozen=True)
class Fault:
    """A recording or a scene that failed, on the index page."""

    subject: str
    reason: str
    remedy: str


def recording_page(
    title: str,
    audio: bytes | str,
    audio_type: str,
    frames: Sequence[Frame],
    duration_s: float,
    *,
    skipped: Sequence[Stretch] = (),
    loudness: Sequence[float] | None = None,
    home: str | None = None,
    damage: str | None = None,
    public: str = "",
    cover: str = "",
) -> str:
    """The page of one recording, as HTML.

    Args:
        title: of the recording; any text.
        audio: a file that browsers play, as `publish.audio.web_audio` makes it; or its address, relative to the page.
        audio_type: its MIME type.
        frames: pictures with their times in seconds.
        duration_s: length of the recording.
        skipped: stretches without a picture, which the page shows with their reason.
        loudness: bars of the waveform, 0 to 1; measured from `audio` if not given, which must be a file then.
        home: address of the index, relative to the page, if there is one.
        damage: what was wrong with the recording, which could be used all the same.
        public: address at which the page can be reached, for those who share it; by default the one it is seen at.
        cover: address of the picture that stands for the recording, relative to the page.

    Raises:
        ValueError: there is nothing to show, or the duration is not positive.
        DecodeError: `audio` can't be decoded (only if `loudness` isn't given).
    """
    if not frames and not skipped:
        raise ValueError("a page needs a frame or a skipped stretch")
    if duration_s <= 0:
        raise ValueError(f"duration_s must be positive, not {duration_s}")
    if loudness is None and isinstance(audio, str):
        raise ValueError("of a sound by its address, the loudness must be given")
    bars = levels(audio, _BARS) if loudness is None and isinstance(audio, bytes) else list(loudness or ())
    moments = [_moment(one, number, len(frames)) for number, one in enumerate(_by_time(frames), 1)]
    moments = sorted([*moments, *(_quiet(one) for one in skipped)], key=lambda moment: moment["start_s"])
    ends = [*(moment["start_s"] for moment in moments[1:]), duration_s]
    for moment, until_s in zip(moments, ends, strict=True):
        left = 100 * min(moment["start_s"], duration_s) / duration_s
        right = 100 * min(moment["end_s"], duration_s) / duration_s
        moment |= {"left": f"{left:.3f}", "width": f"{max(0, right - left):.3f}"}
        first = moment is moments[0]
        moment["bars"] = _bars(bars, 0.0 if first else moment["start_s"] / duration_s, until_s / duration_s)
    lengths: dict[str, float] = {}
    for one in skipped:
        lengths[_reason(one.reason)] = lengths.get(_reason(one.reason), 0.0) + one.end_s - one.start_s
    return _render(
        "recording",
        script=_read("recording.js"),
        title=title,
        home=home,
        damage=damage,
        icon=moments[0].get("image") or next((moment["image"] for moment in moments if moment.get("image")), None),
        beside=isinstance(audio, str) or any(frame.address for frame in frames),
        audio=_data_uri(audio, audio_type) if isinstance(audio, bytes) else audio,
        audio_type=audio_type,
        moments=moments,
        pictures=len(frames),
        duration_s=duration_s,
        bars_width=len(bars) * 10,
        skipped=list(lengths.items()),
        credits=credits_of(shown for frame in _by_time(frames) for shown in frame.shows),
        poster=_poster(frames),
        public=public,
        cover=public.rpartition("/")[0] + "/" + cover if public and cover else "",
    )


def _poster(frames: Sequence[Frame]) -> int:
    """Number of the picture that is seen before the sound is played, in order of time from 0: the best one."""
    ordered = _by_time(frames)
    return max(range(len(ordered)), key=lambda number: (ordered[number].similarity or 0.0, -number), default=0)


def gallery_page(episodes: Sequence[Exhibited], *, title: str = "Illustrated recordings", more: int = 0) -> str:
    """A page of the pictures of many recordings, with a search by what they show.

    Args:
        episodes: in the order shown.
        title: heading.
        more: how many pictures there are besides, which are not on the page.
    """
    return _render(
        "gallery",
        script=_read("gallery.js"),
        title=title,
        beside=True,
        episodes=episodes,
        pictures=sum(len(episode.pictures) for episode in episodes),
        more=more,
        words=_words(episodes),
    )


def _words(episodes: Sequence[Exhibited]) -> list[str]:
    """What is shown most often, to choose from."""
    counted = Counter(
        word.strip().capitalize()
        for episode in episodes
        for picture in episode.pictures
        for word in re.split(r",| and ", picture.text)
        if word.strip()
    )
    return [word for word, _ in counted.most_common(_SUGGESTED)]


_SUGGESTED = 12


def index_page(
    cards: Sequence[Card],
    faults: Sequence[Fault] = (),
    *,
    title: str = "Illustrated recordings",
    note: str = "",
) -> str:
    """The index of a run, as HTML: a card a recording, then what failed, why, and what to do about it.

    Args:
        cards: recordings, in the order shown.
        faults: failures, in the order shown.
        title: heading.
        note: a line under the heading, such as where the files are.
    """
    shown = [
        {
            "title": card.title,
            "page": card.page,
            "duration_s": card.duration_s,
            "pictures": card.pictures,
            "note": card.note,
            "previews": [
                {"image": _data_uri(one.image, one.image_type), "start_s": one.start_s}
                for one in _by_time(card.previews)[:_PREVIEWS]
            ],
        }
        for card in cards
    ]
    return _render(
        "index",
        title=title,
        note=note,
        cards=shown,
        faults=faults,
        pictures=sum(card.pictures for card in cards),
        duration_s=sum(card.duration_s or 0.0 for card in cards),
    )


# Pictures on a card.
_PREVIEWS = 5


def _moment(frame: Frame, number: int, count: int) -> dict[str, Any]:
    when = f"Picture {number} of {count}, from {_clock(frame.start_s)} to {_clock(frame.end_s)}"
    measures = []
    if frame.similarity is not None:
        measures.append(f"match {frame.similarity:.2f}")
    if frame.confidence is not None:
        measures.append(f"confidence {frame.confidence:.2f}")
    return {
        "start_s": round(frame.start_s, 3),
        "end_s": round(frame.end_s, 3),
        "image": quote(frame.address) if frame.address else _data_uri(frame.image, frame.image_type),
        "tint": frame.tint or tint_of(frame.image),
        "title": (frame.alt or "").removesuffix("."),
        "caption": frame.alt or " · ".join(measures),
        "similarity": None if frame.alt else frame.similarity,
        "alt": f"{when}: {frame.alt}" if frame.alt else when,
    }


def _quiet(stretch: Stretch) -> dict[str, Any]:
    return {
        "start_s": round(stretch.start_s, 3),
        "end_s": round(stretch.end_s, 3),
        "image": None,
        "reason": _reason(stretch.reason),
    }


def _reason(reason: str) -> str:
    return REASONS.get(reason, reason)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _by_time(frames: Iterable[Frame]) -> list[Frame]:
    return sorted(frames, key=lambda frame: frame.start_s)


def _bars(loudness: Sequence[float], start: float, end: float) -> str:
    """SVG path of the bars whose middle lies in `[start, end)` of the recording; 10 units a bar, 100 high."""
    count = len(loudness)
    inside = (index for index in range(count) if start <= (index + 0.5) / count < end)
    return "".join(
        f"M{10 * index + 5} {50 - 46 * loudness[index]:.1f}v{max(0.1, 92 * loudness[index]):.1f}" for index in inside
    )


def tint_of(image: bytes) -> str:
    """The colour that a picture is remembered by, as CSS: its strongest hue, in a tone that shows on light and dark."""
    with Image.open(io.BytesIO(image)) as opened:
        small = opened.convert("RGB").resize((24, 24))
    weights = [0.0] * 24
    for red, green, blue in zip(*[iter(small.tobytes())] * 3, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
        weights[int(hue * 24) % 24] += saturation**2 * value
    strongest = max(range(24), key=weights.__getitem__)
    if weights[strongest] < 4:
        return "hsl(30 8% 52%)"
    return f"hsl({strongest * 15 + 7} 52% 52%)"


def _data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _clock(seconds: float) -> str:
    whole = max(0, int(seconds + 0.001))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@cache
def _read(name: str) -> str:
    return files("s2i_core.publish").joinpath("player", name).read_text("utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"clock": _clock, "counted": _counted, "sentence": _sentence}
    return environment


def _sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _render(name: str, script: str = "", beside: bool = False, **values: Any) -> str:
    """A page; `beside`: it may load pictures and sound from where it lies itself."""
    own = "'self' " if beside else ""
    style = _read("base.css") + _read(f"{name}.css")
    policy = [
        "default-src 'none'",
        f"style-src {_sha256(style)}",
        f"img-src {own}data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    if script:
        policy += [f"script-src {_sha256(script)}", f"media-src {own}data: blob:"]
    template = _environment().from_string(_read(f"{name}.html"))
    whole = {"policy": "; ".join(policy), "style": Markup(style), "script": Markup(script), "beside": beside}
    return template.render(**whole, **values)

"""The nouns of a pack: an episode, its pictures, and what people are told about each."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s2i_core.records import Shown, Status

MAX_TITLE = 120
"""Letters of a title at most: what players show in a line or two."""
NAME = "s2i"


@dataclass(frozen=True)
class Picture:
    """A picture of an episode.

    Attributes:
        image_id: of the row of `images`.
        start_s, end_s: its scene, in seconds from the start of the recording.
        title: what it shows, in a few words; empty where that is not known.
        alt: what it shows, for who doesn't see it.
        file: a JPEG or PNG on this disk.
        name: address of that file, relative to the pack.
        width_px, height_px: of the file.
        score: how well it illustrates: of two, the higher is chosen.
        shows: the things in it, whose drawings are credited.
    """

    image_id: str
    start_s: float
    end_s: float
    title: str
    alt: str
    file: Path
    name: str
    width_px: int
    height_px: int
    score: float = 0.0
    shows: Sequence[Shown] = ()

    @property
    def media_type(self) -> str:
        """MIME type of the file."""
        return "image/png" if self.file.suffix == ".png" else "image/jpeg"


@dataclass(frozen=True)
class Gap:
    """A stretch without a picture, and the reason: a value of `records.Skip`, or words."""

    start_s: float
    end_s: float
    reason: str


@dataclass(frozen=True)
class Episode:
    """A recording with its pictures in order of time, and the stretches that have none."""

    recording_id: str
    title: str
    duration_s: float
    pictures: Sequence[Picture]
    gaps: Sequence[Gap] = ()
    damage: str | None = None


@dataclass(frozen=True)
class Chapter:
    """A stretch of an episode as players take it.

    Attributes:
        start_s, end_s: seconds from the start.
        title: what a list of chapters shows; empty for a silent change of the picture, which no list shows.
        picture: what is seen meanwhile; None for the episode's own artwork.
    """

    start_s: float
    end_s: float
    title: str
    picture: Picture | None = None

    @property
    def silent(self) -> bool:
        """Whether only the picture changes."""
        return not self.title


@dataclass(frozen=True)
class Rows:
    """What the tables say of one recording, with one model and one set of settings.

    Attributes:
        recording: its row of `recordings`.
        scenes: its rows of `scenes`, without vectors.
        images: its rows of `images`, of one decoder and one set of image settings.
    """

    recording: Mapping[str, Any]
    scenes: Sequence[Mapping[str, Any]]
    images: Sequence[Mapping[str, Any]] = field(default=())

    @property
    def gaps(self) -> list[Gap]:
        """Stretches without a picture."""
        drawn = {image["scene_id"] for image in self.images}
        missing = [scene for scene in self.scenes if scene["scene_id"] not in drawn]
        reasons = ((one, one["reason"] if one["status"] == Status.SKIPPED.value else None) for one in missing)
        return [Gap(one["start_s"], one["end_s"], why or "No picture yet") for one, why in reasons]


def plain(text: str, limit: int = MAX_TITLE) -> str:
    """A text on one line, without control characters and with at most `limit` letters; of any script.

    What turns the direction of the text around it (the embeddings and overrides of Unicode) is taken out as well.
    """
    kept = "".join(each if _harmless(each) else " " for each in text)
    words = " ".join(kept.split())
    if len(words) <= limit:
        return words
    end = limit - 1
    while end > 1 and unicodedata.combining(words[end]):
        end -= 1
    return words[:end].rstrip() + "…"


def _harmless(letter: str) -> bool:
    category = unicodedata.category(letter)
    if category == "Cf":  # joiners make letters and emoji; the others turn what follows around
        return letter in "\u200c\u200d\u200e\u200f"
    return category not in {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}


def title_of(image: Mapping[str, Any], scene: Mapping[str, Any]) -> str:
    """What a picture shows, as a title: "A cow and two pigs on a farm"; empty where that is not known.

    Args:
        image: its row of `images`, which may say it.
        scene: its row of `scenes`, which otherwise has the names of what was to be shown: "Cow, barn and tree".
    """
    if image.get("alt"):
        return plain(str(image["alt"]).removesuffix("."))
    things = [plain(str(thing)) for thing in scene.get("things") or ()]
    unique = list(dict.fromkeys(filter(None, things)))
    if not unique:
        return ""
    said = " and ".join(filter(None, [", ".join(unique[:-1]), unique[-1]]))
    return plain(said[0].upper() + said[1:])


def clock(seconds: float) -> str:
    """`H:MM:SS`, or `MM:SS` within the first hour."""
    whole = max(0, int(seconds + 0.0005))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"

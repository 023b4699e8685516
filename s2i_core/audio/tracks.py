"""Which audio tracks of a file are used, if there are several.

All of them are listened to first, because neither their order nor their flags tell which holds speech: the first may be
silent, each speaker may have one, and one may be a commentary or another language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LEAST_SPEECH_S = 0.5
NEW_SHARE = 0.3
"""A track is mixed in if the others are silent during this share of its speech: it is another speaker's. One that says
the same, in another codec or language, mostly speaks when they do."""
_UNKNOWN = {"", "und", "mis", "mul", "zxx"}
_BESIDE = re.compile(r"comment|descri|karaoke|clean.effects|music.and.effects", re.IGNORECASE)


@dataclass(frozen=True)
class Track:
    """An audio track, and how much speech was heard in it.

    Attributes:
        number: its number among the audio tracks, from 1.
        index: its index among all streams of the container.
        language: as the container names it; empty if it does not.
        title: likewise.
        default: whether the container says that it is to be played.
        beside: whether it is a commentary, a description for the blind or the like.
    """

    number: int
    index: int
    language: str
    title: str
    default: bool
    beside: bool
    speech_s: float
    spoken: NDArray[np.bool_] = field(compare=False)
    """Whether somebody speaks, for each half second."""


def is_beside(title: str, flags: Sequence[str]) -> bool:
    """Whether the title or the container's flags name something other than the recording itself."""
    beside = {"comment", "visual_impaired", "descriptions", "karaoke", "clean_effects", "dub"}
    return bool(_BESIDE.search(title)) or any(flag in beside for flag in flags)


def chosen(tracks: Sequence[Track], setting: Literal["auto", "one", "all"]) -> list[Track]:
    """The tracks to mix, in their order; if none holds speech, the first that a player would take.

    Args:
        tracks: all of them, in their order.
        setting: `auto`: the first with speech that a player would take, and those of the same language in which
            others speak; `one`: the one with the most speech; `all`: all with speech.
    """
    spoken = [track for track in tracks if track.speech_s >= LEAST_SPEECH_S]
    usual = sorted(spoken or tracks, key=lambda track: (track.beside, not track.default, track.number))
    if not spoken:
        return usual[:1]
    if setting == "all":
        return spoken
    if setting == "one":
        return [max(spoken, key=lambda track: (track.speech_s, -track.number))]
    first, *others = usual
    taken, spoken_in = [first], first.spoken
    for track in others:
        if track.beside or first.beside or not _may_be_same(track.language, first.language):
            continue
        both = np.zeros(max(len(spoken_in), len(track.spoken)), np.bool_)
        both[: len(spoken_in)] = spoken_in
        new = track.spoken & ~both[: len(track.spoken)]
        if new.sum() >= NEW_SHARE * track.spoken.sum():
            taken.append(track)
            both[: len(track.spoken)] |= track.spoken
            spoken_in = both
    return sorted(taken, key=lambda track: track.number)


def note(tracks: Sequence[Track], taken: Sequence[Track]) -> str:
    """What each track holds, and which were used, for the row of the recording."""
    return "; ".join(
        f"{track.number}{_named(track)}: {track.speech_s:.0f} s of speech, {'taken' if track in taken else 'left out'}"
        for track in tracks
    )


def _named(track: Track) -> str:
    names = [track.language] if track.language not in _UNKNOWN else []
    names += [track.title] if track.title else []
    return f" ({', '.join(names)})" if names else ""


def _may_be_same(language: str, other: str) -> bool:
    return language == other or language in _UNKNOWN or other in _UNKNOWN


def facts(metadata: Mapping[str, str]) -> tuple[str, str]:
    """Language and title of a stream, short enough for a row."""
    return metadata.get("language", "").strip().lower()[:16], " ".join(metadata.get("title", "").split())[:80]

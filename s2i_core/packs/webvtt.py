"""A WebVTT thumbnail track: which picture a player shows while one drags along its timeline."""

from __future__ import annotations

from collections.abc import Sequence

from s2i_core.packs.episode import Picture


def thumbnails(pictures: Sequence[Picture]) -> bytes:
    """A cue for each picture, with its address relative to the track; https://www.w3.org/TR/webvtt1/."""
    cues = [f"{_time(each.start_s)} --> {_time(each.end_s)}\n{each.name}\n" for each in pictures]
    return "\n".join(["WEBVTT\n", *cues]).encode()


def _time(seconds: float) -> str:
    milliseconds = round(seconds * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"

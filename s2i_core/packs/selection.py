"""Which pictures become chapters: rules of players, under their names.

A player has its own idea of chapters. `all` shows everything that was drawn, with silent changes where there is nothing
to put into a list; `apple` and `spotify` keep to what those accept: fewer chapters, each with its picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from s2i_core.packs.episode import MAX_TITLE, Chapter, Episode, Picture, plain

Selection = Literal["all", "apple", "spotify"]

_SAME_S = 0.5
"""Changes nearer than this are one."""
_GAP_S = 1.0
"""A shorter gap keeps the picture before it."""


@dataclass(frozen=True)
class Rules:
    """What a player accepts.

    Attributes:
        least: chapters that there must be, or it shows none.
        per_hour: most chapters per hour of episode; None for any number. `least` are always allowed.
        shortest_s: shortest chapter.
        title_letters: longest title.
        square: pictures must be squares; others are cut to their middle.
        least_px, most_px: shortest and longest side of a picture; smaller and larger ones are scaled.
        silent: pictures may change without a chapter.
        from_start: the first chapter must begin at 0.
    """

    least: int = 1
    per_hour: float | None = None
    shortest_s: float = 0.0
    title_letters: int = MAX_TITLE
    square: bool = False
    least_px: int = 0
    most_px: int = 1400
    silent: bool = True
    from_start: bool = False


RULES: dict[str, Rules] = {
    "all": Rules(),
    "apple": Rules(
        least=3, per_hour=6, shortest_s=10, square=True, least_px=600, most_px=3000, silent=False, from_start=True
    ),
    "spotify": Rules(
        least=3, shortest_s=30, title_letters=39, square=True, least_px=600, silent=False, from_start=True
    ),
}


def chapters(episode: Episode, rules: Rules, own: Sequence[tuple[float, str]] = ()) -> list[Chapter]:
    """The chapters of an episode, in order of time; none where the player would show none.

    Args:
        episode: with its pictures.
        rules: of the player.
        own: start in seconds and title of the chapters that the recording brings along. They are an editor's, and so
            stay as they are, whatever the rules say; the pictures change within them.
    """
    if own:
        chosen = _with_own(episode, sorted(own), rules)
    elif rules.silent:
        chosen = _all(episode, rules)
    else:
        chosen = _few(episode, rules)
    if not chosen:
        return []
    ends = [*(mark.start_s for mark in chosen[1:]), episode.duration_s]
    made = [Chapter(mark.start_s, end_s, mark.title, mark.picture) for mark, end_s in zip(chosen, ends, strict=True)]
    made = [chapter for chapter in made if chapter.end_s > chapter.start_s]
    return made if sum(not chapter.silent for chapter in made) >= (0 if rules.silent else rules.least) else []


@dataclass(frozen=True)
class _Mark:
    start_s: float
    title: str
    picture: Picture | None


def _name(picture: Picture, rules: Rules) -> str:
    return plain(picture.title, rules.title_letters)


def _all(episode: Episode, rules: Rules) -> list[_Mark]:
    """Every change: one that would repeat the title before it is silent, as is one without a title."""
    marks: list[_Mark] = []
    said = ""
    for change in _changes(episode):
        title = _name(change.picture, rules) if change.picture else ""
        marks.append(_Mark(change.start_s, "" if title == said else title, change.picture))
        said = title or said
    return marks


def _changes(episode: Episode) -> list[_Mark]:
    """Where another picture begins, or one ends and none follows."""
    marks: list[_Mark] = []
    for picture, following in itertools.zip_longest(episode.pictures, episode.pictures[1:]):
        marks.append(_Mark(picture.start_s, "", picture))
        until = episode.duration_s if following is None else following.start_s
        if until - picture.end_s > _GAP_S:
            marks.append(_Mark(picture.end_s, "", None))
    return marks


def _few(episode: Episode, rules: Rules) -> list[_Mark]:
    """The best picture of each of as many equal stretches as there may be chapters."""
    titled = [picture for picture in episode.pictures if picture.title]
    if not titled:
        return []
    hours = episode.duration_s / 3600
    room = len(titled) if rules.per_hour is None else max(rules.least, int(rules.per_hour * hours))
    if rules.shortest_s:
        room = min(room, int(episode.duration_s / rules.shortest_s))
    if room < rules.least:
        return []
    stretch_s = episode.duration_s / room
    groups = itertools.groupby(titled, key=lambda picture: int(picture.start_s / stretch_s))
    marks: list[_Mark] = []
    for _, group in groups:
        best = max(group, key=lambda picture: (picture.score, -picture.start_s))
        start_s = 0.0 if rules.from_start and not marks else best.start_s
        near = marks and start_s - marks[-1].start_s < rules.shortest_s
        if near or episode.duration_s - start_s < rules.shortest_s:
            continue
        if not marks or _name(best, rules) != marks[-1].title:
            marks.append(_Mark(start_s, _name(best, rules), best))
    return marks


def _with_own(episode: Episode, own: Sequence[tuple[float, str]], rules: Rules) -> list[_Mark]:
    """The recording's own chapters, each with the picture of its moment, and silent changes between them."""
    marks = [
        _Mark(max(0.0, start_s), plain(title, rules.title_letters) or f"Chapter {number}", _at(episode, start_s))
        for number, (start_s, title) in enumerate(own, 1)
        if start_s < episode.duration_s
    ]
    if rules.silent:
        starts = [mark.start_s for mark in marks]
        marks += [
            change for change in _changes(episode) if all(abs(change.start_s - start_s) > _SAME_S for start_s in starts)
        ]
    return sorted(marks, key=lambda mark: mark.start_s)


def _at(episode: Episode, seconds: float) -> Picture | None:
    """The picture of a moment, or the next if it begins within the second after."""
    shown = (each for each in episode.pictures if each.start_s - _SAME_S <= seconds < each.end_s)
    return max(shown, key=lambda picture: picture.start_s, default=None)

"""What pictures show, from the drawings that were laid in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from s2i_core.models.decoders.native.reference import Slot, SpritePainter
from s2i_core.records import NAMED, SHOWN_THINGS, Box, Shown, SpeechEmbedding


def shown(
    painter: SpritePainter, slots: Sequence[Slot], frame_px: tuple[int, int], said: Said | None
) -> tuple[Shown, ...]:
    """What lies in a picture: drawings of one thing in one colour are one entry, the surest first.

    Args:
        painter: what paints it.
        slots: its drawings.
        frame_px: its height and width.
        said: the things that it was to show; None where nobody knows.
    """
    kinds: dict[tuple[str, str, str | None], list[Slot]] = {}
    for slot in slots:
        info = painter.library.infos[slot.sprite]
        colour = slot.colour if painter.paint_of(slot.sprite) else None  # one of several hues keeps them
        kinds.setdefault((info.concept, info.title, colour), []).append(slot)
    found = []
    for (_, _, colour), members in kinds.items():
        info = painter.library.infos[members[0].sprite]
        confidence, start_s = (None, None) if said is None else said.of(painter.library.vectors, members[0].sprite)
        found.append(
            Shown(
                thing=info.concept,
                title=info.title,
                count=len(members),
                colour=colour,
                box=_around([painter.extent(slot, *frame_px) for slot in members]),
                source=info.source,
                author=info.author or None,
                licence=info.licence,
                url=info.url or None,
                confidence=confidence,
                start_s=start_s,
            )
        )
    return tuple(sorted(found, key=lambda each: -(each.confidence or 0.0)))


class Said:
    """What a picture was to show: vectors `(M, E)`, and how surely and when each was named `(M, 2)`."""

    def __init__(self, vectors: NDArray[np.float32], named: NDArray[np.float32]) -> None:
        self._vectors = vectors
        self._named = named

    @classmethod
    def each(cls, speech: SpeechEmbedding) -> Iterator[Said | None]:
        """Of each row."""
        vectors, named = speech.extras.get(SHOWN_THINGS), speech.extras.get(NAMED)
        for row in range(len(speech)):
            if vectors is None or named is None or not (there := vectors[row].norm(dim=1) > 0).any():
                yield None
            else:
                yield cls(vectors[row][there].float().cpu().numpy(), named[row][there].float().cpu().numpy())

    def of(self, library: NDArray[np.float32] | None, sprite: int) -> tuple[float | None, float | None]:
        """Confidence and time of the thing that a drawing stands for: the one that it was the nearest to."""
        if library is None:
            return None, None
        confidence, start_s = self._named[(self._vectors @ library[sprite]).argmax()].tolist()
        return (round(confidence, 4), round(start_s, 3)) if confidence > 0 else (None, None)


def _around(extents: Sequence[tuple[float, float, float, float]]) -> Box:
    """The box around some, as far as they lie in the picture."""
    left, top, right, bottom = zip(*extents, strict=True)
    x, y = max(0.0, min(left)), max(0.0, min(top))
    return Box(round(x, 4), round(y, 4), round(min(1.0, max(right)) - x, 4), round(min(1.0, max(bottom)) - y, 4))

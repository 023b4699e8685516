"""JSON chapters of Podcasting 2.0, which apps fetch beside the audio: `application/json+chapters`, version 1.2.

https://github.com/Podcastindex-org/podcast-namespace/blob/main/docs/examples/chapters/jsonChapters.md
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from s2i_core.packs.episode import Chapter

MEDIA_TYPE = "application/json+chapters"


def json_chapters(chapters: Sequence[Chapter], base: str = "") -> bytes:
    """The chapters; those that only change the picture have `toc: false`.

    Args:
        chapters: in order of time.
        base: public address of the pack, ending with a slash; without one, pictures have addresses relative to this
            file, which only players that resolve them show.
    """
    document = {"version": "1.2.0", "chapters": [_entry(each, base) for each in chapters]}
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


def _entry(chapter: Chapter, base: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"startTime": round(chapter.start_s, 3), "endTime": round(chapter.end_s, 3)}
    if chapter.title:
        entry["title"] = chapter.title
    else:
        entry["toc"] = False
    if chapter.picture:
        entry["img"] = base + chapter.picture.name
    return entry


def timestamps(chapters: Sequence[Chapter]) -> bytes:
    """Lines such as `(02:05) Cow, barn and tree` for an episode's description, from which Spotify makes chapters."""
    from s2i_core.packs.episode import clock

    return "".join(f"({clock(each.start_s)}) {each.title}\n" for each in chapters if each.title).encode()

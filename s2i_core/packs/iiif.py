"""A manifest of IIIF Presentation 3, with which libraries and museums show recordings.

One canvas as long as the recording: its sound over all of it, each picture over its scene, the chapters as ranges.
https://iiif.io/api/presentation/3.0/
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from s2i_core.packs.episode import Chapter, Episode, Picture

MEDIA_TYPE = 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json"'


def manifest(
    episode: Episode, chapters: Sequence[Chapter], audio: str, audio_type: str, base: str, name: str = "iiif.json"
) -> bytes:
    """The manifest.

    Args:
        episode: with its pictures.
        chapters: of which those with a title become ranges.
        audio: address of the sound, relative to the pack; empty for none.
        audio_type: its MIME type.
        base: public address of the pack, ending with a slash: every id of IIIF is an address.
        name: of this file in the pack.
    """
    canvas = f"{base}canvas"
    duration = round(episode.duration_s, 3)
    size = {
        "width": max((each.width_px for each in episode.pictures), default=1),
        "height": max((each.height_px for each in episode.pictures), default=1),
    }
    painted = [_painting(number, each, canvas, base) for number, each in enumerate(episode.pictures, 1)]
    if audio:
        sound = {"id": base + audio, "type": "Sound", "format": audio_type, "duration": duration}
        painted.insert(0, _annotation(f"{canvas}/sound", sound, canvas))
    whole: dict[str, Any] = {
        "id": canvas,
        "type": "Canvas",
        "duration": duration,
        **(size if episode.pictures else {}),
        "items": [{"id": f"{canvas}/page", "type": "AnnotationPage", "items": painted}],
    }
    document: dict[str, Any] = {
        "@context": "http://iiif.io/api/presentation/3/context.json",
        "id": base + name,
        "type": "Manifest",
        "label": {"none": [episode.title]},
        "summary": {"en": ["Pictures drawn by a model from the sound of this recording."]},
        "items": [whole],
    }
    if episode.pictures:
        document["thumbnail"] = [_image(max(episode.pictures, key=lambda each: each.score), base)]
    titled = [each for each in chapters if each.title]
    if titled:
        document["structures"] = [
            {
                "id": f"{base}range",
                "type": "Range",
                "label": {"en": ["Chapters"]},
                "items": [_range(number, each, canvas, base) for number, each in enumerate(titled, 1)],
            }
        ]
    return json.dumps(document, ensure_ascii=False, indent=1).encode()


def _image(picture: Picture, base: str) -> dict[str, Any]:
    return {
        "id": base + picture.name,
        "type": "Image",
        "format": picture.media_type,
        "width": picture.width_px,
        "height": picture.height_px,
    }


def _painting(number: int, picture: Picture, canvas: str, base: str) -> dict[str, Any]:
    made = _annotation(
        f"{canvas}/picture/{number}", _image(picture, base), canvas + _time(picture.start_s, picture.end_s)
    )
    return made | {"label": {"en": [picture.alt]}} if picture.alt else made


def _annotation(address: str, body: dict[str, Any], target: str) -> dict[str, Any]:
    return {"id": address, "type": "Annotation", "motivation": "painting", "body": body, "target": target}


def _range(number: int, chapter: Chapter, canvas: str, base: str) -> dict[str, Any]:
    part = {"id": canvas + _time(chapter.start_s, chapter.end_s), "type": "Canvas"}
    return {"id": f"{base}range/{number}", "type": "Range", "label": {"none": [chapter.title]}, "items": [part]}


def _time(start_s: float, end_s: float) -> str:
    return f"#t={start_s:.3f},{end_s:.3f}"

"""Keys of what a run writes: pure functions of the content, so that writing again overwrites the same object."""

from __future__ import annotations

import posixpath

_EXTENSIONS = {"webp": "webp", "png": "png", "jpeg": "jpg"}


def join(prefix: str, *parts: str) -> str:
    """A key below the prefix of a destination; the prefix may be empty or end with a slash."""
    return posixpath.join(prefix.strip("/"), *parts)


def images_folder(prefix: str, recording_id: str) -> str:
    """Prefix of the keys of a recording's images."""
    return join(prefix, "images", recording_id) + "/"


def image_key(prefix: str, recording_id: str, start_ms: int, image_id: str, format: str) -> str:
    """Key of an image; the keys of a recording sort by time. `format` is `webp`, `png` or `jpeg`."""
    return f"{images_folder(prefix, recording_id)}{start_ms:09d}-{image_id}.{_EXTENSIONS[format]}"


def page_key(prefix: str, recording_id: str) -> str:
    """Key of the self-contained page of a recording."""
    return join(prefix, "pages", f"{recording_id}.html")


def index_key(prefix: str) -> str:
    """Key of the page that lists the recordings."""
    return join(prefix, "pages", "index.html")


def run_key(run_id: str, name: str) -> str:
    """Key, relative to the destination's prefix (`join`), of a file about a run: its request, its summary."""
    return posixpath.join("runs", run_id, name)

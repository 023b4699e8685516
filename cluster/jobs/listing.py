"""Which objects of an archive are recordings, by their names alone."""

from __future__ import annotations

from pathlib import PurePosixPath

#: Objects with other names are no recordings and are left alone.
SUFFIXES = frozenset(
    {".aac", ".ac3", ".aif", ".aiff", ".amr", ".ape", ".asf", ".au", ".avi", ".caf", ".dsf", ".eac3", ".flac", ".flv"}
    | {".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3", ".mp4", ".mpeg", ".mpg", ".mpga", ".oga"}
    | {".ogg", ".ogv", ".opus", ".snd", ".ts", ".tta", ".voc", ".w64", ".wav", ".wave", ".weba", ".webm", ".wma"}
    | {".wmv", ".wv"}
)


def is_recording(key: str) -> bool:
    """Whether an object's name is that of audio, or of video that may have a sound track."""
    return PurePosixPath(key).suffix.lower() in SUFFIXES

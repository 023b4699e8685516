"""A pack: everything that players need of one episode, in one folder.

Each format is made by a module of its own; one that cannot be made is left out with the reason, and the others stand.
What the pack consists of is in its `manifest.json`, which is written last: a pack without one is not there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

from s2i_core import identity
from s2i_core.config import AudioConfig, PackConfig, ProvenanceConfig
from s2i_core.errors import DecodeError, S2IError
from s2i_core.packs import film, id3, iiif, json_chapters, m4a, selection, webvtt
from s2i_core.packs.episode import NAME, Chapter, Episode, Picture, Rows
from s2i_core.packs.pictures import pack_picture
from s2i_core.provenance.stamp import stamp_of
from s2i_core.publish.audio import web_audio
from s2i_core.publish.page import Frame, Stretch, recording_page, tint_of

MANIFEST = "manifest.json"
PAGE = "index.html"
_BARS = 200
_NOT_IN_PACKS = {"write", "memory_bytes"}
"""Settings that change nothing of a pack."""
_UNSIGNED = ProvenanceConfig(sign=False)
_MP4S = {"mov,mp4,m4a,3gp,3g2,mj2"}
_TYPES = {
    ".json": "application/json",
    ".jpg": "image/jpeg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".webm": "audio/webm",
    ".mp4": "video/mp4",
    ".vtt": "text/vtt; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}

ReadImage = Callable[[Any], bytes]
"""The file of a row of `images`."""


@dataclass(frozen=True)
class LeftOut:
    """A file that a pack lacks, why, and what would bring it."""

    name: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class File:
    """A file of a pack, by its address relative to the pack."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Pack:
    """What a pack consists of: the contents of its manifest.

    Attributes:
        made_from: digest of all that it was made from; while it stays the same, the pack is up to date.
        chapters, pictures: how many there are.
        shown: start, title and file of each picture, for the gallery.
        files: all but the manifest.
        left_out: what could not be made.
        signed_by: whose credentials the pictures have; empty for nobody's.
        settings: of the packs, with which it was made; none in manifests of before.
    """

    recording_id: str
    title: str
    source_uri: str
    made_from: str
    selection: str
    duration_s: float
    chapters: int
    pictures: int
    cover: str
    shown: list[dict[str, Any]]
    files: list[File]
    left_out: list[LeftOut]
    signed_by: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The manifest."""
        return json.dumps({"made_by": NAME, **asdict(self)}, ensure_ascii=False, indent=1).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Pack:
        """From a manifest.

        Raises:
            ValueError: it isn't one of this version.
        """
        try:
            facts = json.loads(data)
            facts.pop("made_by", None)
            facts["files"] = [File(**each) for each in facts["files"]]
            facts["left_out"] = [LeftOut(**each) for each in facts["left_out"]]
            return cls(**facts)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"it is no manifest of this version: {error}") from error


def made_from(rows: Rows, title: str, config: PackConfig, provenance: ProvenanceConfig) -> str:
    """Digest of what a pack is made from: the program's own formats, the settings, and all that the tables say."""
    shown = sorted((image["start_s"], image["image_id"], image["sha256"]) for image in rows.images)
    told = sorted((scene["scene_id"], scene["status"], scene["reason"], scene["things"]) for scene in rows.scenes)
    settings = [config.model_dump(exclude=_NOT_IN_PACKS), provenance.model_dump()]
    facts = json.dumps([settings, shown, told], default=str)
    return identity.digest(
        "pack", _design(), title, rows.recording["etag"] or "", rows.recording["recording_id"], facts
    )


@cache
def _design() -> str:
    folder = Path(str(resources.files("s2i_core")))
    return identity.files_digest(
        [*(folder / "packs").glob("*.py"), folder / "publish" / "page.py", *(folder / "publish" / "player").iterdir()],
        folder,
    )


def write_pack(
    folder: Path,
    rows: Rows,
    title: str,
    source: BinaryIO,
    read_image: ReadImage,
    config: PackConfig,
    audio: AudioConfig | None = None,
    provenance: ProvenanceConfig = _UNSIGNED,
) -> Pack:
    """Write the pack of a recording into an empty folder, its manifest last.

    Args:
        folder: on this disk.
        rows: what the tables say of the recording.
        title: of the episode.
        source: the recording; seekable.
        read_image: reads the file of a row of `images`.
        config: which selection, and where the pack can be reached.
        audio: limits on the recording.
        provenance: whether its pictures are marked and signed, and by whom; by default they are not.

    Raises:
        ConfigError: the keys can't be used.
        S2IError: the pictures can't be read from their store. What the recording itself stands in the way of is left
            out of the pack, and named in the result.
    """
    rules = selection.RULES[config.selection]
    stamp = stamp_of(provenance)
    scenes = {scene["scene_id"]: scene for scene in rows.scenes}
    left_out: list[LeftOut] = []
    pictures: list[Picture] = []
    for image in sorted(rows.images, key=lambda image: image["start_s"]):
        try:
            pictures.append(
                pack_picture(image, scenes.get(image["scene_id"], {}), read_image(image), folder, rules, stamp)
            )
        except DecodeError as error:
            left_out.append(LeftOut(str(image["key"]), error.reason, error.remedy))
    writer = _Writer(folder, rows, title, pictures, source, config, audio or AudioConfig(), left_out)
    writer.write()
    episode = writer.episode
    pack = Pack(
        recording_id=episode.recording_id,
        title=title,
        source_uri=str(rows.recording["source_uri"]),
        made_from=made_from(rows, title, config, provenance),
        selection=config.selection,
        duration_s=episode.duration_s,
        chapters=sum(not chapter.silent for chapter in writer.chapters),
        pictures=len(pictures),
        cover=writer.cover.name if writer.cover else "",
        shown=[
            {"start_s": round(each.start_s, 3), "title": each.title, "file": each.name, "alt": each.alt}
            for each in pictures
        ],
        files=list(_files(folder)),
        left_out=left_out,
        signed_by=stamp.signed_by,
        settings=config.model_dump(exclude=_NOT_IN_PACKS),
    )
    (folder / MANIFEST).write_bytes(pack.to_json())
    return pack


def address(config: PackConfig, recording_id: str) -> str:
    """Public address of a pack, ending with a slash; empty where the settings name none."""
    return f"{config.base_url.rstrip('/')}/packs/{recording_id}/" if config.base_url else ""


class _Writer:
    """Writes the formats of one pack, one after the other."""

    def __init__(
        self,
        folder: Path,
        rows: Rows,
        title: str,
        pictures: list[Picture],
        source: BinaryIO,
        config: PackConfig,
        audio: AudioConfig,
        left_out: list[LeftOut],
    ) -> None:
        row = rows.recording
        longest_s = max([float(row["duration_s"] or 0.0), *(each.end_s for each in pictures)])
        self.episode = Episode(str(row["recording_id"]), title, longest_s, pictures, rows.gaps, row["damage"])
        self.rules = selection.RULES[config.selection]
        self.chapters: list[Chapter] = []
        self.cover = max(pictures, key=lambda each: (each.score, -each.start_s), default=None)
        self._folder, self._source, self._config, self._audio = folder, source, config, audio
        self._base = address(config, self.episode.recording_id)
        self._left_out = left_out
        self._name = str(row["source_uri"])
        self._sound = ""

    def write(self) -> None:
        """Every format, each by itself."""
        self.chapters = selection.chapters(self.episode, self.rules, own_chapters(self._source))
        steps: dict[str, Callable[[], None]] = {
            "chapters.json": self._json_chapters,
            "description.txt": self._description,
            "the sound": self._write_sound,
            "thumbnails.vtt": self._thumbnails,
            "iiif.json": self._iiif,
            "film.mp4": self._film,
            PAGE: self._page,
        }
        for name, step in steps.items():
            try:
                step()
            except S2IError as error:
                if error.transient:
                    raise
                self._left_out.append(LeftOut(name, error.reason, error.remedy))

    def _put(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)

    def _needs_chapters(self, name: str) -> None:
        if not self.chapters:
            least = self.rules.least
            raise DecodeError(
                name,
                f"it has too few pictures with a title: {self._config.selection} shows {least} chapters or more",
                "Take the selection all, or shorter scenes.",
            )

    def _json_chapters(self) -> None:
        self._needs_chapters(self._name)
        self._put("chapters.json", json_chapters.json_chapters(self.chapters, self._base))

    def _description(self) -> None:
        self._needs_chapters(self._name)
        self._put("description.txt", json_chapters.timestamps(self.chapters))

    def _write_sound(self) -> None:
        kind = container(self._source)
        if kind == "mp3":
            self._sound = "episode.mp3"
            with (self._folder / self._sound).open("w+b") as out:
                id3.illustrate_mp3(self._source, out, self.chapters)
        elif kind == "mp4":
            self._sound = "episode.m4a"
            m4a.illustrate_m4a(self._source, self._folder / self._sound, self.chapters, self._name)
        else:
            # No container of this sound shows chapters with pictures in players: the page has them, and the film.
            sound, _ = web_audio(self._source, self._name, self._audio)
            self._sound = "episode.webm"
            self._put(self._sound, sound)

    def _thumbnails(self) -> None:
        self._put("thumbnails.vtt", webvtt.thumbnails(self.episode.pictures))

    def _iiif(self) -> None:
        if not self._base:
            raise DecodeError(
                self._name,
                "the ids of IIIF are public addresses, and none is set",
                "Give --base-url, or set packs.base_url.",
            )
        kind = _TYPES.get(Path(self._sound).suffix, "")
        self._put("iiif.json", iiif.manifest(self.episode, self.chapters, self._sound, kind, self._base))

    def _film(self) -> None:
        if self._config.film:
            film.film(
                self._source, self._folder / "film.mp4", self.episode.pictures, self.episode.duration_s, name=self._name
            )

    def _page(self) -> None:
        if not self._sound:
            raise DecodeError(self._name, "the page needs the sound, which is left out", "See what the sound lacks.")
        frames = [
            Frame(
                each.start_s,
                each.end_s,
                b"",
                each.media_type,
                similarity=each.score,
                alt=each.alt or None,
                shows=each.shows,
                address=each.name,
                tint=tint_of(each.file.read_bytes()),
            )
            for each in self.episode.pictures
        ]
        gaps = [Stretch(each.start_s, each.end_s, each.reason) for each in self.episode.gaps]
        if not frames and not gaps:
            gaps = [Stretch(0.0, self.episode.duration_s, "No picture")]
        page = recording_page(
            self.episode.title,
            self._sound,
            _TYPES[Path(self._sound).suffix],
            frames,
            self.episode.duration_s,
            skipped=gaps,
            loudness=loudness(self._source, self.episode.duration_s),
            home="../index.html",
            damage=self.episode.damage,
            public=self._base + PAGE if self._base else "",
            cover=self.cover.name if self.cover else "",
        )
        self._put(PAGE, page.encode())


def container(file: BinaryIO) -> str:
    """What a recording is in: `mp3`, `mp4` (with a sound that an M4A can have), or `other`.

    Raises:
        DecodeError: it can't be opened.
    """
    file.seek(0)
    try:
        with av.open(file, "r", metadata_errors="replace") as opened:
            sound = opened.streams.audio[0]
            if opened.format.name == "mp3":
                return "mp3"
            usual = sound.codec_context.name in {"aac", "alac"}
            return "mp4" if opened.format.name in _MP4S and usual else "other"
    except (av.FFmpegError, IndexError) as error:
        raise DecodeError("the recording", f"it cannot be opened: {error}", "Check that it can be played.") from error


def own_chapters(file: BinaryIO) -> list[tuple[float, str]]:
    """Start in seconds and title of the chapters that a recording brings along; none if it can't be opened."""
    file.seek(0)
    try:
        with av.open(file, "r", metadata_errors="replace") as opened:
            return [
                (float(each["start"] * (each["time_base"] or 1)), each["metadata"].get("title", ""))
                for each in opened.chapters()
                if each["metadata"].get("title")
            ]
    except (av.FFmpegError, IndexError, ValueError):
        return []


def loudness(file: BinaryIO, duration_s: float, bars: int = _BARS) -> list[float]:
    """Loudness over a recording, heard at one moment a bar: 0 for silence, 1 for its loudest parts.

    A long recording is not decoded for it; what can't be heard counts as silence.
    """
    file.seek(0)
    found = [0.0] * bars
    try:
        with av.open(file, "r", metadata_errors="replace") as opened:
            sound = opened.streams.audio[0]
            for bar in range(bars):
                opened.seek(int((bar + 0.5) / bars * duration_s * av.time_base))
                heard = [np.square(frame).mean() for frame in _some(opened, sound)]
                found[bar] = float(np.mean(heard)) if heard else 0.0
    except (av.FFmpegError, IndexError, ValueError):
        return found
    loud = np.power(np.asarray(found), 0.25)
    top = float(np.percentile(loud, 98))
    return [round(min(1.0, float(value) / top), 3) if top > 1e-3 else 0.0 for value in loud]


def _some(opened: Any, sound: Any, frames: int = 4) -> Iterator[np.ndarray]:
    """The next frames as float, -1 to 1."""
    with closing(opened.decode(sound)) as decoded:
        for _, frame in zip(range(frames), decoded, strict=False):
            data = frame.to_ndarray()
            scale = float(np.iinfo(data.dtype).max) if np.issubdtype(data.dtype, np.integer) else 1.0
            yield data.astype(np.float32) / scale


def _files(folder: Path) -> Iterator[File]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            sha, size = hashlib.sha256(), 0
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    sha.update(chunk)
                    size += len(chunk)
            name = path.relative_to(folder).as_posix()
            yield File(name, media_type(name), size, sha.hexdigest())


def media_type(name: str) -> str:
    """MIME type of a file of a pack."""
    special = {"chapters.json": json_chapters.MEDIA_TYPE, "iiif.json": iiif.MEDIA_TYPE}
    return special.get(name) or _TYPES.get(Path(name).suffix, "application/octet-stream")

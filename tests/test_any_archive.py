"""What holds of the listing of every archive, tried on a thousand that were drawn at random: keys, files, faults.

What holds of the real jobs and tables is tried on a few dozen, in tests/cluster/jobs/test_random_folders.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from audio.audio_files import encoded, tone, wav

from s2i_core.audio.sniff import format_of
from s2i_core.config import SourceConfig
from s2i_core.errors import ObjectGone, StorageError
from s2i_core.listing import Listing
from s2i_core.records import AudioObject
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import Place

ARCHIVES = 1000
SOURCES = ["talks", "talks/", "talks//", "a/b", "ep.mp3", "ünïcode 🎙", "what?", "x%20y", ""]
#: What stands beside a source and begins with the same letters.
BESIDE = ["2/x.mp3", "-private/board.mp3", ".mp3", "%2Fx.mp3", " /x.wav", "\n/x.wav", "?/x.mp3"]
FOLDERS = ["", "", "", "sub/", "a b/", "__MACOSX/", ".Trashes/501/", "what?/", "语/", "R&B/", "@eaDir/"]
STEMS = ["ep1", "EP 2", "._ep1", "ünï", "a.b.c", "100%", "new\nline", "C#", "Q&A", "Thumbs", ".hidden", "x" * 60]
ENDS = [".mp3", ".MP3", ".wav", ".flac", ".ogg", ".m4a", ".mp3?id=5", ".mp3?u=https://x/y.html", "%2Emp3", ".mp3%3Fa=1"]
ENDS += ["", "", ".dat", ".bin", ".txt", ".jpg", ".mp3.part", ".db", ".mp3_old", "/", ".mp3/", " "]


def names(chance: random.Random, source: str) -> set[str]:
    """Keys in and beside a source, in no order."""
    folder = source.rstrip("/")
    keys = {f"{folder}{beside}" for beside in chance.sample(BESIDE, 3)} if folder else set()
    for _ in range(chance.randrange(12)):
        key = chance.choice(FOLDERS) + chance.choice(STEMS) + chance.choice(ENDS)
        keys.add(f"{folder}/{key}" if folder else key)
    if folder and chance.random() < 0.3:
        keys.add(folder)
    return keys


class Remembering(ObjectStore):
    """Objects in memory, listed as S3 does; remembers the keys that were read."""

    def __init__(self, objects: dict[str, bytes], ill: set[str]) -> None:
        super().__init__(S3Settings(endpoint_url="http://127.0.0.1:9"))
        self.objects = objects
        self.ill = ill
        self.read: set[str] = set()

    def list(self, bucket: str, prefix: str = "") -> Iterator[AudioObject]:
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield AudioObject(bucket, key, "etag", len(self.objects[key]))

    def _named(self, place: Place) -> AudioObject | None:
        data = self.objects.get(place.name)
        return None if data is None else AudioObject(place.bucket, place.name, "etag", len(data))

    def read_range(self, source: AudioObject, start: int, length: int) -> bytes:
        self.read.add(source.key)
        if source.key in self.ill:
            raise random.choice([ObjectGone, StorageError])(source.uri, "it is not to be had", "Nothing.")
        return self.objects[source.key][start : start + length]


@pytest.fixture(scope="module")
def contents() -> list[bytes]:
    """Files of several kinds, whole and broken."""
    whole = [
        wav(tone(0.2, 16_000), 16_000),
        encoded(tone(0.3, 44_100), 44_100, "mp3", "libmp3lame"),
        encoded(tone(0.3, 48_000), 48_000, "ogg", "libopus"),
        encoded(tone(0.3, 48_000), 48_000, "mp4", "aac"),
        encoded(tone(0.3, 16_000), 16_000, "flac", "flac"),
    ]
    cut = [data[: len(data) // 2] for data in whole]
    return [*whole, *cut, b"", b"x", b"just words", random.Random(1).randbytes(5000), bytes(3000)]


def test_every_object_of_a_source_is_a_recording_or_left_out_and_nothing_beside_it_is_read(
    contents: list[bytes],
) -> None:
    looked_into = 0
    for seed in range(ARCHIVES):
        chance = random.Random(seed)
        source = chance.choice(SOURCES)
        objects = {key: chance.choice(contents) for key in names(chance, source)}
        ill = {key for key in objects if chance.random() < 0.05}
        store = Remembering(objects, ill)
        place = Place.of(f"s3://bucket/{source}")
        most = chance.choice([0, 2, 1000, 1000])
        listing = Listing(store, place, SourceConfig(look_into=most))
        recordings = [item.key for item in listing]

        folder = source.rstrip("/")
        within = {key for key in objects if not folder or key.startswith(f"{folder}/")}
        within |= {folder} & objects.keys() if folder and not source.endswith("/") else set()
        left = listing.left_out
        assert len(set(recordings)) == len(recordings) == listing.recordings, seed
        assert listing.listed == len(within) == listing.recordings + left.count, seed
        assert sum(left.kinds.values()) == left.count, seed
        assert set(recordings) | set(left.examples) | store.read <= within, seed
        assert len(left.examples) == min(3, left.count), seed
        assert set(left.examples).isdisjoint(recordings), seed
        assert len(store.read) <= most, seed
        for key in store.read:
            assert (key in recordings) == (format_of(objects[key]) is not None and key not in ill), (seed, key)
        looked_into += len(store.read)
    assert looked_into > ARCHIVES / 2

"""Which objects of a source are recordings: by name, and by their first bytes where the name tells nothing."""

from __future__ import annotations

import wave
from io import BytesIO

import pytest
from fronts import archived, front, refusal

from flows.overview import Found
from s2i_core.config import SourceConfig
from s2i_core.listing import (
    FOLDER_MARKER,
    NO_SUFFIX,
    SYSTEM_FILE,
    LeftOut,
    Listed,
    Listing,
    NameHint,
    judge,
    suffix_in,
    title_of,
)
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.places import Place

RECORDINGS = [
    "ep1.mp3",
    "EP1.MP3",
    "a/b/Ep 1.Flac",
    "ep1.mp3?dest-id=12345",
    "ep1.mp3?from=https://example.com/feed.xml",
    "ep1.m4a?a=1&b=x.y",
    "ep1.mp3%3Fdest-id%3D5",
    "ep%201%2Emp3",
    "ep1.mp3#t=10",
    "ep1.mp3;jsessionid=0F",
    "ep1.mp3&token=abc",
    "what?/ep1.mp3",
    "R&B/ep1.ogg",
    "C# for all.opus",
    "Questions & answers v1.5.wav",
    "new\nline.mp3",
    "ünïcode 語 🎙.WEBM",
    "ep1.mp3 ",
    "/leading.mp3",
    "a//b.mp3",
    "ep1.mp3/",
    ".hidden.mp3",
    "trashes/ep1.mp3",
    "_ep1.mp3",
]
OTHERS = {
    "notes.txt": ".txt",
    "notes.TXT?x=ep1.mp3": ".txt",
    "cover.jpg": ".jpg",
    "ep1.mp3.part": ".part",
    "ep1.srt": ".srt",
    "ep1.mp3.md5": ".md5",
    "._ep1.mp3": SYSTEM_FILE,
    "a/._ep1.mp3": SYSTEM_FILE,
    "a/%2E_ep1.mp3": SYSTEM_FILE,
    "__MACOSX/ep1.mp3": SYSTEM_FILE,
    "a/__MACOSX/b/ep1.mp3": SYSTEM_FILE,
    ".Trashes/501/ep1.mp3": SYSTEM_FILE,
    ".Trash-1000/files/ep1.mp3": SYSTEM_FILE,
    "$RECYCLE.BIN/S-1-5/ep1.mp3": SYSTEM_FILE,
    "System Volume Information/ep1.wav": SYSTEM_FILE,
    "a/@eaDir/ep1.mp3": SYSTEM_FILE,
    ".Spotlight-V100/Store-V2/x": SYSTEM_FILE,
    ".DS_Store": SYSTEM_FILE,
    "a/Thumbs.db": SYSTEM_FILE,
    "desktop.ini": SYSTEM_FILE,
    "talks_$folder$": SYSTEM_FILE,
    ".profile": NO_SUFFIX,
}
UNKNOWN = ["ep1", "ep1.dat", "a/b.bin", "ep1.mp3.1", "Dr. Smith", "ep1.mp3_old", "recording 5"]


@pytest.mark.parametrize("path", RECORDINGS, ids=ascii)
def test_names_of_recordings(path: str) -> None:
    assert judge(path, 1000)[0] is NameHint.RECORDING
    assert judge(path.rstrip("/"), 0)[0] is NameHint.RECORDING  # an empty one is a recording that fails


@pytest.mark.parametrize(("path", "kind"), OTHERS.items(), ids=ascii)
def test_names_of_others(path: str, kind: str) -> None:
    assert judge(path, 1000) == (NameHint.OTHER, kind)


@pytest.mark.parametrize("path", UNKNOWN, ids=ascii)
def test_names_that_tell_nothing(path: str) -> None:
    assert judge(path, 1000)[0] is NameHint.UNKNOWN
    assert judge(path, 0)[0] is NameHint.OTHER  # there is nothing to look at


def test_folder_markers() -> None:
    for path in ("a/", "a/b.mp3/", "a//"):
        assert judge(path, 0) == (NameHint.OTHER, FOLDER_MARKER)


def wav() -> bytes:
    buffer = BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(3200))
    return buffer.getvalue()


def filled(objects: ObjectStore, bucket: str) -> None:
    for key, data in {
        "talks/a.mp3": b"whatever",
        "talks/b": wav(),
        "talks/c.dat": wav(),
        "talks/d.dat": b"a table",
        "talks/e": b"words",
        "talks/f.txt": wav(),
        "talks/empty": b"",
        "talks/__MACOSX/._a.mp3": b"resource",
        "talks/sub/": b"",
        "talks2/x": wav(),
        "talks-private/y.mp3": b"x",
    }.items():
        objects.put(bucket, key, data)


def test_objects_whose_names_tell_nothing_are_looked_into(objects: ObjectStore, bucket: str) -> None:
    filled(objects, bucket)
    listing = Listing(objects, Place.of(f"s3://{bucket}/talks"), SourceConfig())
    assert sorted(item.key for item in listing) == ["talks/a.mp3", "talks/b", "talks/c.dat"]
    left = listing.left_out
    assert (listing.listed, listing.recordings, left.count, left.not_looked_into) == (9, 3, 6, 0)
    assert dict(left.kinds) == {".dat": 1, NO_SUFFIX: 2, ".txt": 1, SYSTEM_FILE: 1, FOLDER_MARKER: 1}
    assert len(left.examples) == 3


@pytest.mark.parametrize("most", [0, 3])
def test_where_there_are_too_many_none_is_looked_into(objects: ObjectStore, bucket: str, most: int) -> None:
    filled(objects, bucket)
    listing = Listing(objects, Place.of(f"s3://{bucket}/talks"), SourceConfig(look_into=most))
    assert [item.key for item in listing] == ["talks/a.mp3"]
    assert (listing.listed, listing.left_out.count, listing.left_out.not_looked_into) == (9, 8, 4)


def test_a_listing_travels_as_a_file(objects: ObjectStore, bucket: str) -> None:
    filled(objects, bucket)
    place = Place.of(f"s3://{bucket}/talks")
    listed = Listing(objects, place, SourceConfig()).complete()
    found = Listed.from_parquet(listed.to_parquet())
    assert found == listed
    assert list(found) == list(Listing(objects, place, SourceConfig()))
    assert (found.listed, len(found), found.left_out.count) == (9, 3, 6)
    empty = Listing(objects, Place.of(f"s3://{bucket}/nothing"), SourceConfig()).complete()
    assert list(Listed.from_parquet(empty.to_parquet())) == []


def test_what_the_source_itself_is_called_does_not_count(objects: ObjectStore, bucket: str) -> None:
    objects.put(bucket, ".Trashes/501/ep1.mp3", b"x")
    objects.put(bucket, "alone", wav())
    objects.put(bucket, "__MACOSX/ep2.mp3?from=a/b.jpg", b"x")
    for address in (".Trashes/501", ".Trashes/501/ep1.mp3", "alone", "__MACOSX/ep2.mp3?from=a/b.jpg"):
        listing = Listing(objects, Place.of(f"s3://{bucket}/{address}"), SourceConfig())
        assert len(list(listing)) == listing.recordings == listing.listed == 1


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("talks/sea animals.mp3", "sea animals"),
        ("ep1.mp3?dest=1.5", "ep1"),
        ("ep1.mp3?from=https://example.com/feed.xml", "ep1"),
        ("Episode%201%2Emp3", "Episode 1"),
        ("a/b-c_d.MP3 ", "b c d"),
        ("a/b", "b"),
        ("a/Dr. Smith", "Dr. Smith"),
        ("R&B/ep1.ogg", "ep1"),
    ],
)
def test_titles(key: str, title: str) -> None:
    assert title_of(key) == title


def test_examples_are_of_different_kinds_where_there_are() -> None:
    left = LeftOut()
    for key in ("._a", "._b", "._c", "._d", "notes.txt", "other.txt", "cover.jpg", "more.jpg"):
        left.add(key, judge(key, 1)[1])
    assert sorted(left.examples) == ["._a", "cover.jpg", "notes.txt"]
    few = LeftOut()
    for key in ("a.txt", "b.txt", "c.txt"):
        few.add(key, ".txt")
    assert few.examples == ["a.txt", "b.txt", "c.txt"]


def test_what_lies_in_an_archive_is_told_from_what_is_refused(
    objects: ObjectStore, store: StoreInfo, bucket: str
) -> None:
    filled(objects, bucket)
    archived_one, denied = refusal(403, "InvalidObjectState", "not valid"), refusal(403, "AccessDenied", "no")
    with front(store.endpoint) as made:
        made.listing = archived("DEEP_ARCHIVE", "talks/b")
        made.answer = lambda method, path: (
            archived_one if path.endswith("talks/b") else denied if path.endswith("c.dat") else None
        )
        asked = ObjectStore(S3Settings(endpoint_url=made.url))
        listing = Listing(asked, Place.of(f"s3://{bucket}/talks"), SourceConfig())
        assert [item.key for item in listing] == ["talks/a.mp3"]
        left = listing.left_out
        assert (left.not_looked_into, left.archived, left.unreadable) == (2, 1, 1)
        told = dict(Found.untouched(listing).described())["source"]
        assert "1 in an archive (restore them)" in told and "1 refused by the store" in told


@pytest.mark.parametrize(
    ("key", "suffix"),
    [("a/EP 1.MP3?id=5&x=a/b.jpg", ".mp3"), ("ep%2Emp3", ".mp3"), ("a.v2", ".v2"), ("a/b", ""), ("b.WAV", ".wav")],
)
def test_the_format_of_a_plan_is_the_suffix_that_makes_a_recording(key: str, suffix: str) -> None:
    assert suffix_in(key) == suffix

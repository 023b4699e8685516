"""Pages are made when their images change, and only then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rows_for_tests import CONFIG, DIGESTS, image, recording, scene
from small_archive import clip, keys

from s2i_core.identity import digest
from s2i_core.pages import Pages
from s2i_core.publish.images import encode_image
from s2i_core.publish.page import Fault
from s2i_core.records import Status, row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.places import Place
from s2i_core.storage.tables import Lake


@pytest.fixture
def pages(objects: ObjectStore, bucket: str) -> Pages:
    """A destination with two illustrated recordings, one of which is gone by now, and a silent one."""
    picture = encode_image(np.full((64, 64, 3), 200, np.uint8), CONFIG.image)
    lake = Lake(objects.settings, f"s3://{bucket}")
    objects.put(bucket, "in/a.wav", clip("sea-animals.opus", 0, 3))
    (there,) = objects.list(bucket, "in/")
    lake.recordings.merge(
        [
            row(recording("a", source_uri=there.uri, etag=there.etag, size_bytes=there.size_bytes, duration_s=30.0)),
            row(recording("gone", source_uri=f"s3://{bucket}/in/gone.wav", duration_s=20.0)),
            row(recording("quiet", status=Status.SKIPPED.value, reason="silence")),
        ]
    )
    scenes = [scene("a", 0), scene("a", 1, status=Status.SKIPPED.value, reason="silence"), scene("gone", 0)]
    lake.scenes.merge([row(each) for each in scenes])
    for drawn in (image(scenes[0]), image(scenes[2])):
        objects.put(bucket, drawn.key, picture)
        lake.images.merge([row(drawn)])
    return Pages(objects, lake, CONFIG, DIGESTS, Place.of(f"s3://{bucket}/in"))


def test_pages_are_written_once_and_again_when_an_image_is_added(
    pages: Pages, objects: ObjectStore, bucket: str
) -> None:
    assert [one.title for one in pages.pending()] == ["A", "Gone"]
    counts: list[tuple[int, int]] = []
    made = pages.publish(pages.pending(), [Fault("x.mp3", "no audio in it", "Upload it again.")], _append(counts))
    assert made.pages == 1
    assert made.unpublished == [f"s3://{bucket}/in/gone.wav"]
    assert counts[-1] == (2, 2)
    assert keys(objects, f"s3://{bucket}", "pages/") == [
        f"pages/{name}" for name in ("faults.json", "id-a.html", "index.html", "manifest.json")
    ]
    index = objects.get(bucket, "pages/index.html").decode()
    assert 'href="id-a.html"' in index
    assert "id-gone.html" not in index
    assert "No audio in it" in index
    page = objects.get(bucket, "pages/id-a.html").decode()
    assert "data:audio/webm" in page
    assert "Silence" in page

    assert pages.pending() == []

    added = image(scene("a", 2))
    objects.put(bucket, added.key, objects.get(bucket, image(scene("a", 0)).key))
    lake = Lake(objects.settings, f"s3://{bucket}")
    lake.scenes.merge([row(scene("a", 2))])
    lake.images.merge([row(added)])
    assert [one.recording_id for one in pages.pending()] == ["id-a"]


def test_other_settings_have_other_pages(pages: Pages, objects: ObjectStore, bucket: str) -> None:
    source = Place.of(f"s3://{bucket}/in")
    names = replace(DIGESTS, encoder=digest("another model"))
    other = Pages(objects, Lake(objects.settings, f"s3://{bucket}"), CONFIG, names, source)
    assert other.pending() == []


def _append(counts: list[tuple[int, int]]):
    return lambda done, total: counts.append((done, total))


def test_recordings_outside_the_source_are_not_read_for_pages(pages: Pages, objects: ObjectStore, bucket: str) -> None:
    lake = Lake(objects.settings, f"s3://{bucket}")
    for source, wanted in (("i", []), ("in/a", []), ("in/a.wav", ["id-a"]), ("in/", ["id-a", "id-gone"])):
        some = Pages(objects, lake, CONFIG, DIGESTS, Place.of(f"s3://{bucket}/{source}"))
        assert [one.recording_id for one in some.pending()] == wanted


def test_the_same_bytes_elsewhere_are_read_where_the_source_has_them(
    pages: Pages, objects: ObjectStore, bucket: str
) -> None:
    lake = Lake(objects.settings, f"s3://{bucket}")
    lake.recordings.merge([row(recording("a", source_uri=f"s3://{bucket}/apart/a.wav", reason="duplicate"))])
    (one,) = (each for each in pages.pending() if each.recording_id == "id-a")
    assert one.recording["source_uri"] == f"s3://{bucket}/apart/a.wav"
    assert one.readable is not None
    assert one.readable["source_uri"] == f"s3://{bucket}/in/a.wav"

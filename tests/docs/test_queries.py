"""Every query of the documentation runs on real tables, and finds something."""

import dataclasses
import io
import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s2i_core.records import Box, Failure, HeardThing, ImageSample, Recording, Scene, Shown, Stage, now, row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

TEXT = (Path(__file__).parents[2] / "docs" / "queries.md").read_text("utf-8")
QUERIES = re.findall(r"^```sql\n(.*?)^```", TEXT, re.M | re.S)

OWLS = Shown("owl", "owl", 2, None, Box(0.1, 0.2, 0.5, 0.4), "Twemoji", "Twitter", "CC-BY-4.0", None, 0.9, 1.0)
RUN = {"model_digest": "m", "run_id": "r", "created_at": now()}


def recording(name, status="ok", reason=None):
    return Recording(
        source_uri=f"s3://archive/{name}",
        etag="e",
        size_bytes=1000,
        recording_id=None if status == "failed" else name,
        status=status,
        reason=reason,
        codec="mp3",
        channels=1,
        sampling_rate_hz=16000,
        duration_s=60.0,
        speech_s=50.0,
        tracks=None,
        damage=None,
        scenes=2,
        retryable=False,
        plan_digest="p",
        **RUN,
    )


def scene(name, index, status="ok", reason=None):
    vector = np.eye(4)[index % 4] + 0.1
    return Scene(
        scene_id=f"{name}-{index}",
        recording_id=name,
        index=index,
        start_s=10.0 * index,
        end_s=10.0 * (index + 1),
        focus_start_s=10.0 * index,
        focus_end_s=10.0 * index + 4,
        status=status,
        reason=reason,
        confidence=0.5,
        speech_share=0.9,
        pooled=(vector / np.linalg.norm(vector)).tolist(),
        focus_pooled=b"",
        focus_tokens=b"",
        focus_extras=b"",
        things=None,
        plan_digest="p",
        **RUN,
    )


def thing(of, title):
    return HeardThing(
        thing_id=f"{of.scene_id}-{title}",
        recording_id=of.recording_id,
        scene_id=of.scene_id,
        start_s=of.start_s,
        end_s=of.start_s + 0.6,
        thing=title,
        confidence=0.9,
        shown=True,
        plan_digest="p",
        **RUN,
    )


def image(of, similarity):
    return ImageSample(
        image_id=f"image-{of.scene_id}",
        scene_id=of.scene_id,
        recording_id=of.recording_id,
        start_s=of.start_s,
        end_s=of.end_s,
        key=f"images/{of.recording_id}/{of.scene_id}.webp",
        sha256="0",
        size_bytes=3000,
        format="webp",
        width_px=128,
        height_px=128,
        seed=1,
        variant=0,
        style="3d",
        steps=8,
        guidance=2.0,
        similarity=similarity,
        shows=[OWLS],
        alt="Two owls in a forest at night.",
        setting="forest",
        time_of_day="night",
        compute_ms=120.0,
        device="cpu",
        image_digest="i",
        **RUN,
    )


def failure(subject, scene_id=None, later_s=0):
    error = ValueError("broken")
    failed = Failure.of(error, subject=subject, stage=Stage.DECODE, run_id=f"r{later_s}", scene_id=scene_id)
    return dataclasses.replace(failed, created_at=now() + timedelta(seconds=later_s))


@pytest.fixture(scope="module")
def bucket(store):
    ObjectStore(store.settings()).create_bucket("queries")
    return "queries"


@pytest.fixture(scope="module")
def db(store, bucket):
    """The connection that the example of the page makes, on tables in a real store."""
    lake = Lake(store.settings(), f"s3://{bucket}")
    scenes = [scene(name, index) for name in ("a", "b") for index in range(3)]
    lake.scenes.merge([row(each) for each in [*scenes, scene("a", 3, "skipped", "silence")]])
    lake.images.merge([row(image(each, 0.1 * index)) for index, each in enumerate(scenes[:-1])])
    lake.things.merge([row(thing(each, title)) for each in scenes[:2] for title in ("owl", "ship")])
    rows = [recording("a"), recording("b"), recording("c", "failed", "broken"), recording("d", "skipped", "silence")]
    lake.recordings.merge([row(each) for each in rows])
    subjects = [("s3://archive/c", None), ("s3://archive/a", None), ("b-0", "b-0"), ("b-2", "b-2")]
    failures = [failure(*each) for each in subjects] + [failure("b-2", "b-2", later_s=60)]
    lake.failures.merge([row(each) for each in failures])
    return examples(bucket, {}, 0)["db"]


def examples(bucket, names, number):
    """What an example of the page in Python leaves behind."""
    example = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)[number]
    exec(example.replace("s3://illustrated", f"s3://{bucket}"), names)
    return names


def test_the_file_of_a_row_is_opened(db, store, bucket):
    (key,) = db.sql("SELECT key FROM images ORDER BY similarity LIMIT 1").fetchone()
    file = io.BytesIO()
    Image.new("RGB", (7, 5), "navy").save(file, "PNG")
    ObjectStore(store.settings()).put(bucket, key, file.getvalue(), "image/png")
    assert examples(bucket, {"db": db}, 1)["worst"].size == (7, 5)


def test_pandas_has_the_rows(db, bucket):
    weakest = examples(bucket, examples(bucket, {}, 0), 2)["weakest"]
    assert len(weakest) >= 4 and weakest["similarity"].is_monotonic_increasing


def test_examples_for_other_engines_are_python():
    others = re.findall(r"^```py\n(.*?)^```", TEXT, re.M | re.S)
    assert len(others) == 2
    for each in others:
        compile(each, "docs/queries.md", "exec")


def test_the_page_has_its_queries():
    assert len(QUERIES) >= 7


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_it_runs_and_finds_something(db, query):
    assert len(db.sql(query).fetchall()) > 0


def find(db, words):
    (query,) = (query for query in QUERIES if words in query)
    return db.sql(query).fetchall()


def test_what_still_stands_is_what_has_failed_and_not_succeeded_since(db):
    assert sorted(found[0] for found in find(db, "FROM failures")) == ["b-2", "s3://archive/c"]


def test_what_speaks_of_the_same_comes_first(db):
    found = find(db, "list_cosine_similarity")
    assert {(recording, start) for recording, start, *_ in found[:2]} == {("a", 0.0), ("b", 0.0)}
    assert found[0][3] == pytest.approx(1, abs=1e-6)


def test_shares_add_up(db):
    found = dict((what, percent) for what, _, percent in find(db, "OVER ()"))
    assert found["silence"] == pytest.approx(100 / 7, abs=0.1)
    assert sum(found.values()) == pytest.approx(100, abs=0.2)

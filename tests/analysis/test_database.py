"""Views say what is true now; lakes that are old, empty or broken give one clear line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import rows_for_tests as rows
from deltalake import write_deltalake
from fronts import front, refusal

from s2i_core.analysis.database import Database
from s2i_core.analysis.views import COLUMNS, MEANINGS, VIEWS
from s2i_core.errors import StorageError
from s2i_core.records import row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

LATER = rows.DAY + timedelta(days=1)


def asked(lake: Lake, sql: str) -> list[dict[str, Any]]:
    with Database(lake) as database, database.ask(sql) as answer:
        return list(answer.table().to_pylist())


@pytest.fixture
def lake(objects: ObjectStore, bucket: str) -> Lake:
    """A recording planned twice, its newer plan half drawn in two styles; one that is a duplicate; one that failed."""
    lake = Lake(objects.settings, f"s3://{bucket}/out")
    old, new = rows.recording("talk.mp3"), rows.recording("talk.mp3", plan_digest="new", created_at=LATER)
    copy = rows.recording("copy.mp3", recording_id=new.recording_id, status="skipped", reason="duplicate")
    failed = rows.recording("bad.mp3", recording_id=None, status="failed", reason="broken", duration_s=None)
    lake.recordings.merge([row(each) for each in (old, new, copy, failed)])
    stale = rows.scene("talk.mp3", 0, scene_id="stale")
    scenes = [rows.scene("talk.mp3", index, plan_digest="new") for index in range(3)]
    quiet = rows.scene("talk.mp3", 3, plan_digest="new", status="skipped", reason="silence", end_s=61.0)
    lake.scenes.merge([row(each) for each in (stale, *scenes, quiet)])
    first = rows.image(scenes[0])
    again = rows.image(scenes[0], image_id="again", style="sketch", created_at=LATER, similarity=0.7)
    lake.images.merge([row(each) for each in (rows.image(stale), first, again, rows.image(scenes[1], run="two"))])
    lake.things.merge([row(rows.thing(scenes[0], "owl")), row(rows.thing(stale, "ship"))])
    return lake


def test_views_tell_what_is_true_now(lake: Lake) -> None:
    moments = asked(lake, 'SELECT what, style, seconds FROM moments ORDER BY "index"')
    assert [(each["what"], each["style"], each["seconds"]) for each in moments] == [
        ("illustrated", "sketch", 10.0),  # the newest picture
        ("illustrated", "3d", 10.0),
        ("to draw", None, 10.0),
        ("silence", None, 31.0),
    ]
    episodes = {each["name"]: each for each in asked(lake, "SELECT * FROM episodes")}
    assert {name: (each["status"], each["pictures"]) for name, each in episodes.items()} == {
        "talk": ("ok", 2),
        "copy": ("skipped", 0),
        "bad": ("failed", 0),
    }
    assert episodes["talk"]["coverage"] == pytest.approx(20 / 61, abs=1e-4)
    assert episodes["talk"]["similarity"] == pytest.approx(0.6)
    assert episodes["bad"]["coverage"] is None
    assert [each["thing"] for each in asked(lake, "SELECT * FROM mentions")] == ["owl"]
    shares = asked(lake, "SELECT what, seconds, share FROM coverage")
    assert sum(each["share"] for each in shares) == pytest.approx(1, abs=1e-3)
    costs = asked(lake, "SELECT run_id, sum(pictures) AS n FROM costs GROUP BY run_id ORDER BY run_id")
    assert [(each["run_id"], each["n"]) for each in costs] == [("one", 3), ("two", 1)]


def test_every_view_is_explained(lake: Lake) -> None:
    with Database(lake) as database:
        assert MEANINGS.keys() == VIEWS.keys()
        of_tables = {column for table in lake.tables.values() for column in table.schema.names}
        of_views = {column for view in VIEWS for column in database.columns[view]}
        assert of_views - of_tables <= COLUMNS.keys()
        assert COLUMNS.keys() <= of_views


def test_a_lake_of_an_older_version_has_nulls_where_it_had_no_column(objects: ObjectStore, bucket: str) -> None:
    lake = Lake(objects.settings, f"s3://{bucket}/old")
    folder = Path(__file__).parents[1] / "storage" / "lake_0_1"
    for name, table in lake.tables.items():
        if (path := folder / f"{name}.parquet").exists():
            write_deltalake(table.uri, pq.read_table(path), storage_options=table._storage_options())
    assert asked(lake, "SELECT count(*) AS n, count(things) AS m FROM scenes") == [{"n": 3, "m": 0}]
    assert asked(lake, "SELECT pictures FROM episodes") == [{"pictures": 2}]
    assert asked(lake, "SELECT * FROM mentions") == []


def test_an_empty_lake_says_so(objects: ObjectStore, bucket: str) -> None:
    with pytest.raises(StorageError, match="there are no tables of s2i"):
        Database(Lake(objects.settings, f"s3://{bucket}/nothing"))
    with pytest.raises(StorageError, match="there is no such bucket"):
        Database(Lake(objects.settings, "s3://not-there-at-all"))


@pytest.fixture
def files(objects: ObjectStore, lake: Lake, bucket: str) -> Iterator[list[str]]:
    """The data files of `images`."""
    yield [item.key for item in objects.list(bucket, "out/tables/images/") if item.key.endswith(".parquet")]


def test_a_corrupt_or_missing_file_gives_one_clear_line(
    objects: ObjectStore, lake: Lake, bucket: str, files: list[str]
) -> None:
    objects.put(bucket, files[0], b"PAR1 this is no Parquet file PAR1")
    for _ in range(2):
        with pytest.raises(StorageError) as told:
            asked(lake, "SELECT sum(size_bytes) FROM images")
        assert "cannot be read" in told.value.reason and "\n" not in str(told.value) and "tables/" in str(told.value)
        objects.delete(bucket, files[0])
    assert asked(lake, "SELECT count(*) AS n FROM scenes") == [{"n": 5}]


def test_a_commit_in_the_middle_is_not_seen(objects: ObjectStore, lake: Lake, bucket: str) -> None:
    """A data file without its entry in the log, and a log that grows while it is read."""
    item = next(each for each in objects.list(bucket, "out/tables/images/") if each.key.endswith(".parquet"))
    objects.put(bucket, item.key.replace("part-", "part-unfinished-"), objects.get(bucket, item.key))
    with Database(lake) as database:
        lake.images.merge([row(rows.image(rows.scene("talk.mp3", 2), image_id="later"))])
        with database.ask("SELECT count(*) AS n FROM images") as answer:
            assert answer.table().to_pylist() == [{"n": 4}]
    assert asked(lake, "SELECT count(*) AS n FROM images") == [{"n": 5}]


def test_a_login_that_may_list_and_not_read_gives_one_clear_line(lake: Lake, objects: ObjectStore) -> None:
    with front(objects.settings.endpoint_url or "") as store:
        settings = objects.settings.model_copy(update={"endpoint_url": store.url})
        store.answer = lambda method, path: (
            refusal(403, "AccessDenied", "Access Denied") if method == "GET" and ".parquet" in path else None
        )
        with pytest.raises(StorageError) as told:
            asked(Lake(settings, lake.uri), "SELECT sum(size_bytes) FROM images")
        assert "may read" in told.value.remedy and "\n" not in str(told.value)
        store.answer = lambda method, path: (
            refusal(403, "AccessDenied", "Access Denied") if method == "GET" and "_delta_log/0" in path else None
        )
        with pytest.raises(StorageError, match="refused"):
            Database(Lake(settings, lake.uri))

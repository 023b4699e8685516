"""The lake tables, on a real S3 server."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from authorities import authority, server
from fronts import front, refusal

from s2i_core.errors import ConfigError, StorageError, StorageUnavailable
from s2i_core.identity import Digests, digest, image_id
from s2i_core.records import EDITS, FAILURES, IMAGES, RECORDINGS, SCENES, THINGS, AudioObject
from s2i_core.storage.embedded import StoreInfo
from s2i_core.storage.objects import ObjectStore, S3Settings
from s2i_core.storage.objects import archived as archived_error
from s2i_core.storage.tables import Lake, LakeTable

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SAMPLES: dict[pa.DataType, Any] = {
    pa.string(): "text",
    pa.int64(): 2**62,
    pa.int32(): 7,
    pa.float64(): 0.1,
    pa.float32(): 0.5,
    pa.bool_(): False,
    pa.binary(): b"\x00\xff\x80",
    pa.timestamp("us", tz="UTC"): AT,
}


def sample(kind: pa.DataType) -> Any:
    """A value of an Arrow type, of lists and structs whatever they hold."""
    if pa.types.is_list(kind):
        return [sample(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: sample(field.type) for field in kind}
    return SAMPLES[kind]


DIGESTS = Digests("model", "plan", "model", "picture")


def row(schema: pa.Schema, **values: Any) -> dict[str, Any]:
    """A full row of the schema: sample values, and those given."""
    return {field.name: sample(field.type) for field in schema} | values


def scene(name: str, **values: Any) -> dict[str, Any]:
    facts = {"scene_id": name, "status": "ok", "plan_digest": "plan", "model_digest": "model"}
    return row(SCENES, **facts | values)


def image(scene_id: str, **values: Any) -> dict[str, Any]:
    facts = {"scene_id": scene_id, "model_digest": "model", "image_digest": "picture"} | values
    return row(IMAGES, image_id=digest(scene_id, facts["model_digest"], facts["image_digest"]), **facts)


def recording(item: AudioObject, **values: Any) -> dict[str, Any]:
    facts = {"status": "ok", "retryable": False, "plan_digest": "plan", "model_digest": "model", "etag": item.etag}
    return row(RECORDINGS, source_uri=item.uri, **facts | values)


@pytest.fixture
def lake(store: StoreInfo, bucket: str) -> Lake:
    return Lake(store.settings(), f"s3://{bucket}/out put")


def test_nothing_is_there_before_the_first_write(lake: Lake) -> None:
    for table in lake.tables.values():
        assert not table.exists()
        assert table.count() == 0
        assert table.read().schema == table.schema
        assert table.dataset() is None
    assert lake.unillustrated(DIGESTS).num_rows == 0
    assert lake.unplanned([AudioObject("b", "k", "e", 1)], DIGESTS) == [AudioObject("b", "k", "e", 1)]


@pytest.mark.parametrize(
    "schema",
    [RECORDINGS, SCENES, THINGS, IMAGES, EDITS, FAILURES],
    ids=["recordings", "scenes", "things", "images", "edits", "failures"],
)
def test_every_type_round_trips(store: StoreInfo, bucket: str, schema: pa.Schema) -> None:
    table = LakeTable(store.settings(), f"s3://{bucket}/t", schema, (schema.names[0],))
    rows = [
        row(schema, **{schema.names[0]: "full"}),
        {name: "sparse" if name == schema.names[0] else None for name in schema.names},
    ]
    assert table.merge(rows) == 2
    back = table.read()
    assert back.schema == schema
    assert sorted(back.to_pylist(), key=lambda found: found[schema.names[0]]) == rows
    # The same, rewritten by a replacement instead of appended.
    assert table.upsert(rows) == 2
    assert table.read().schema == schema
    assert sorted(table.read().to_pylist(), key=lambda found: found[schema.names[0]]) == rows


def test_merging_twice_changes_nothing(lake: Lake) -> None:
    rows = [scene(f"s{number}") for number in range(20)]
    assert lake.scenes.merge(rows) == 20
    assert lake.scenes.merge(rows) == 0
    assert Lake(lake.settings, lake.uri).scenes.merge(pa.Table.from_pylist(rows, schema=SCENES)) == 0
    assert lake.scenes.merge([scene("s19", index=99), scene("new", index=1), scene("new", index=2)]) == 1
    back = {found["scene_id"]: found["index"] for found in lake.scenes.read(["scene_id", "index"]).to_pylist()}
    assert lake.scenes.count() == len(back) == 21
    assert (back["s19"], back["new"]) == (7, 1)
    assert lake.scenes.merge([]) == 0


def test_upsert_replaces(lake: Lake) -> None:
    item = AudioObject("b", 'talk\'s "best".mp3', "etag", 1)
    assert lake.recordings.upsert([recording(item, status="failed", retryable=True)]) == 1
    assert lake.recordings.merge([recording(item, status="ok")]) == 0
    other = AudioObject("b", "other.mp3", "etag", 1)
    rows = [recording(item, status="skipped"), recording(other), recording(item, status="ok")]
    assert lake.recordings.upsert(rows) == 2
    found = {each["source_uri"]: each["status"] for each in lake.recordings.read().to_pylist()}
    assert found == {item.uri: "ok", other.uri: "ok"}
    assert lake.recordings.count() == 2


def test_rows_deleted_by_hand_can_be_written_again(lake: Lake) -> None:
    lake.scenes.merge([scene("kept"), scene("deleted")])
    table = lake.scenes._open()
    assert table is not None
    table.delete("scene_id = 'deleted'")
    assert lake.scenes.merge([scene("kept"), scene("deleted")]) == 1
    assert sorted(lake.scenes.read(["scene_id"])["scene_id"].to_pylist()) == ["deleted", "kept"]


def test_a_key_must_not_be_null(lake: Lake) -> None:
    with pytest.raises(ValueError, match="scene_id"):
        lake.scenes.merge([scene("s") | {"scene_id": None}])


def test_read_takes_columns_and_filters(lake: Lake) -> None:
    lake.scenes.merge([scene(f"s{number}", index=number) for number in range(10)])
    found = lake.scenes.read(["index", "scene_id"], pc.field("index") >= 8)
    assert found.column_names == ["index", "scene_id"]
    assert sorted(found["index"].to_pylist()) == [8, 9]
    assert lake.scenes.read(["scene_id"], pc.field("index") == 3).to_pylist() == [{"scene_id": "s3"}]


def write(settings: S3Settings, uri: str, writer: int, replace: bool) -> int:
    """One of several concurrent writers; all want the same 60 rows, and each has 20 of its own."""
    table = Lake(settings, uri).scenes
    put = table.upsert if replace else table.merge
    total = 0
    for start in range(0, 60, 10):
        shared = [scene(f"shared{number:03d}", index=writer) for number in range(start, start + 10)]
        own = [scene(f"own{writer}-{number:03d}", index=writer) for number in range(start // 3, start // 3 + 4)]
        total += put(shared + own)
    return total


@pytest.mark.parametrize("replace", [False, True], ids=["merge", "upsert"])
def test_threads_lose_and_double_nothing(lake: Lake, replace: bool) -> None:
    with ThreadPoolExecutor(4) as pool:
        inserted = list(pool.map(lambda writer: write(lake.settings, lake.uri, writer, replace), range(4)))
    ids = lake.scenes.read(["scene_id"])["scene_id"].to_pylist()
    expected = {f"shared{number:03d}" for number in range(60)}
    expected |= {
        f"own{writer}-{number:03d}"
        for writer in range(4)
        for start in range(0, 60, 10)
        for number in range(start // 3, start // 3 + 4)
    }
    assert set(ids) == expected
    assert len(ids) == len(expected)
    if not replace:
        assert sum(inserted) == len(expected)


def test_processes_lose_and_double_nothing(lake: Lake) -> None:
    """Also the race for creating the table."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write, args=(lake.settings, lake.uri, writer, False)) for writer in range(2)]
    for process in processes:
        process.start()
    write(lake.settings, lake.uri, 9, False)
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    ids = lake.scenes.read(["scene_id"])["scene_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert {name.split("-")[0] for name in ids if name.startswith("own")} == {"own0", "own1", "own9"}
    assert sum(name.startswith("shared") for name in ids) == 60


def test_compacting_keeps_every_row_while_others_write(lake: Lake) -> None:
    for number in range(12):
        lake.scenes.merge([scene(f"s{number}")])
    other = Lake(lake.settings, lake.uri)
    assert other.scenes.merge([scene("s0")]) == 0
    lake.scenes.compact()
    dataset = lake.scenes.dataset()
    assert dataset is not None
    assert len(list(dataset.get_fragments())) == 1
    assert other.scenes.merge([scene("s0"), scene("s11"), scene("new")]) == 1
    assert lake.scenes.count() == 13
    Lake(lake.settings, lake.uri + "/nothing").scenes.compact()


def test_unplanned(lake: Lake) -> None:
    def item(name: str, etag: str = "e1") -> AudioObject:
        return AudioObject("archive", name, etag, 1)

    lake.recordings.upsert(
        [
            recording(item("ok")),
            recording(item("skipped"), status="skipped", reason="silence"),
            recording(item("broken"), status="failed", retryable=False),
            recording(item("unlucky"), status="failed", retryable=True),
            recording(item("changed")),
            recording(item("broken and changed"), status="failed", retryable=False),
            recording(item("other plan"), plan_digest="another"),
            recording(item("other model"), model_digest="another"),
        ]
    )
    listed = [item(name) for name in ("new", "ok", "skipped", "broken", "unlucky", "other plan", "other model")]
    listed += [item("changed", "e2"), item("broken and changed", "e2"), AudioObject("other-bucket", "ok", "e1", 1)]
    pending = lake.unplanned(iter(listed), DIGESTS)
    assert [found.key for found in pending] == [
        "new", "other plan", "other model", "changed", "broken and changed", "ok", "unlucky",
    ]  # fmt: skip
    lake.recordings.upsert([recording(found) for found in pending])
    assert lake.unplanned(listed, DIGESTS) == []
    assert lake.unplanned(listed, dataclasses.replace(DIGESTS, plan="a third plan")) == listed


def test_unillustrated(lake: Lake) -> None:
    lake.scenes.merge(
        [
            scene("done"),
            scene("pending"),
            scene("other style"),
            scene("older model's image"),
            scene("skipped", status="skipped"),
            scene("other plan", plan_digest="another"),
            scene("other model", model_digest="another"),
        ]
    )
    everything = lake.unillustrated(DIGESTS)
    assert everything.num_rows == 4
    assert everything.schema == SCENES
    lake.images.merge(
        [image("done"), image("other style", image_digest="b"), image("older model's image", model_digest="old")]
    )
    pending = lake.unillustrated(DIGESTS)
    assert sorted(pending["scene_id"].to_pylist()) == ["older model's image", "other style", "pending"]
    assert pending.schema == SCENES
    assert lake.unillustrated(DIGESTS, ["scene_id"]).column_names == ["scene_id"]
    lake.images.merge([image(name) for name in pending["scene_id"].to_pylist()])
    assert lake.unillustrated(DIGESTS).num_rows == 0


def test_a_large_table_is_quick(lake: Lake) -> None:
    """100,000 scenes, 99,000 of them illustrated; a commit of 64 rows and both anti-joins."""
    rows = 100_000
    ids = pa.array([f"{number:032x}" for number in range(rows)])

    def constant(schema: pa.Schema, count: int, **columns: Any) -> pa.Table:
        arrays = [
            columns[field.name]
            if field.name in columns
            else pa.repeat(pa.scalar(sample(field.type), field.type), count)
            for field in schema
        ]
        return pa.table(arrays, schema=schema)

    def fixed(text: str, count: int) -> pa.Array:
        return pa.repeat(pa.scalar(text), count)

    lake.scenes.merge(
        constant(SCENES, rows, scene_id=ids, status=fixed("ok", rows), plan_digest=fixed("plan", rows),
                 model_digest=fixed("model", rows))
    )  # fmt: skip
    done = ids.slice(0, 99_000)
    lake.images.merge(
        constant(IMAGES, len(done), image_id=done, scene_id=done, image_digest=fixed("picture", len(done)),
                 model_digest=fixed("model", len(done)))
    )  # fmt: skip
    uris = pa.array([f"s3://archive/{number}" for number in range(rows)])
    lake.recordings.upsert(
        constant(RECORDINGS, rows, source_uri=uris, etag=fixed("e", rows), plan_digest=fixed("plan", rows),
                 model_digest=fixed("model", rows), status=fixed("ok", rows))
    )  # fmt: skip
    objects = [AudioObject("archive", str(number), "e", 1) for number in range(rows + 10)]

    other = Lake(lake.settings, lake.uri)  # nothing cached
    timings: dict[str, float] = {}

    def timed(name: str, call: Any) -> Any:
        started = time.monotonic()
        result = call()
        timings[name] = time.monotonic() - started
        return result

    pending = timed("unillustrated", lambda: other.unillustrated(DIGESTS))
    assert pending.num_rows == 1000
    assert len(timed("unplanned", lambda: other.unplanned(objects, DIGESTS))) == 10
    assert timed("first commit", lambda: other.scenes.merge([scene(f"a{number}") for number in range(64)])) == 64
    assert timed("next commit", lambda: other.scenes.merge([scene(f"b{number}") for number in range(64)])) == 64
    print(json.dumps(timings))  # noqa: T201
    assert max(timings.values()) < 15


def test_an_analyst_reads_images_with_sql(lake: Lake) -> None:
    lake.images.merge(
        [image(f"s{number}", style="3d" if number % 2 else "flat", similarity=0.5) for number in range(10)]
    )
    images = lake.images.dataset()
    assert images is not None
    found = duckdb.sql(
        "select style, count(*), avg(similarity), min(created_at) from images group by style order by style"
    )
    rows = found.fetchall()
    assert [each[:3] for each in rows] == [("3d", 5, 0.5), ("flat", 5, 0.5)]
    assert rows[0][3].astimezone(UTC) == AT


def test_an_analyst_filters_rows_that_were_replaced(lake: Lake) -> None:
    item = AudioObject("b", "talk.mp3", "etag", 1)
    lake.recordings.upsert([recording(item, status="failed", retryable=True)])
    lake.recordings.upsert([recording(item)])
    recordings = lake.recordings.dataset()
    assert recordings is not None
    assert duckdb.sql("select source_uri from recordings where status = 'ok'").fetchall() == [(item.uri,)]


def test_embeddings_come_back_bit_by_bit(lake: Lake) -> None:
    pooled = np.random.default_rng(0).standard_normal(64).astype(np.float32)
    tokens = np.random.default_rng(1).standard_normal((4, 8)).astype("<f2")
    lake.scenes.merge([scene("s", pooled=pooled.tolist(), focus_tokens=tokens.tobytes())])
    [back] = lake.scenes.read(["pooled", "focus_tokens"]).to_pylist()
    assert np.array_equal(np.array(back["pooled"], np.float32), pooled)
    assert np.array_equal(np.frombuffer(back["focus_tokens"], "<f2").reshape(4, 8), tokens)


def test_a_table_of_another_version_is_refused(store: StoreInfo, bucket: str) -> None:
    old = LakeTable(
        store.settings(), f"s3://{bucket}/t", pa.schema([("id", pa.string()), ("old", pa.int32())]), ("id",)
    )
    old.merge([{"id": "a", "old": 1}])
    new = LakeTable(
        store.settings(), f"s3://{bucket}/t", pa.schema([("id", pa.string()), ("new", pa.int32())]), ("id",)
    )
    for call in (new.read, lambda: new.merge([{"id": "a", "new": 1}])):
        with pytest.raises(StorageError, match="differ in old"):
            call()


def test_bad_places_are_named(store: StoreInfo, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="s3://bucket"):
        Lake(store.settings(), "not a uri")
    missing = Lake(store.settings(), "s3://no-such-bucket/x")
    for call in (missing.scenes.count, lambda: missing.scenes.merge([scene("s")])):
        with pytest.raises(StorageError, match="no such bucket"):
            call()
    with pytest.raises(StorageUnavailable, match="does not answer"):
        Lake(S3Settings(endpoint_url="http://127.0.0.1:9"), f"s3://{bucket}").scenes.count()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(StorageError, match="refused the login") as caught:
        Lake(store.settings(), f"s3://{bucket}").scenes.count()
    assert "not-the-secret" not in str(caught.value)


def test_a_damaged_table_is_an_error_and_not_an_empty_one(lake: Lake, objects: ObjectStore, bucket: str) -> None:
    lake.scenes.merge([scene("s")])
    [data] = [found for found in objects.list(bucket) if found.key.endswith(".parquet")]
    objects.delete(bucket, data.key)
    with pytest.raises(StorageUnavailable, match="tables/scenes"):
        lake.scenes.read()


def test_a_pickle_holds_no_secret(lake: Lake, store: StoreInfo) -> None:
    lake.scenes.merge([scene("s")])
    text = pickle.dumps(lake)
    assert store.secret_key.encode() not in text
    assert pickle.loads(text).scenes.count() == 1


def test_pending_scenes_by_file_and_what_failed_for_good(lake: Lake) -> None:
    lake.scenes.merge([scene("a"), scene("b"), scene("drawn")])
    lake.scenes.merge([scene("c"), scene("d")])
    lake.images.merge([image("drawn")])
    of_b, of_c = (image_id(name, "model", "picture") for name in "bc")
    failure = {"stage": "generate", "run_id": "run"}
    lake.failures.merge(
        [
            row(FAILURES, subject=of_b, scene_id="b", retryable=False, **failure),
            row(FAILURES, subject=of_c, scene_id="c", retryable=True, **failure),
            # With other image settings `d` failed for good, which says nothing of these.
            row(FAILURES, subject=image_id("d", "model", "b"), scene_id="d", retryable=False, **failure),
        ]
    )

    def found(**options: bool) -> list[list[str]]:
        files = lake.unillustrated_files(DIGESTS, **options)
        there = [
            [
                each
                for batch in lake.scenes.file_batches(path, ["scene_id"], pc.field("scene_id").isin(scenes["scene_id"]))
                for each in batch["scene_id"].to_pylist()
            ]
            for path, scenes in files
        ]
        assert [sorted(each) for each in there] == [sorted(scenes["scene_id"].to_pylist()) for _, scenes in files]
        return sorted(sorted(each) for each in there)

    assert found() == [["a"], ["c", "d"]]
    assert found(retry_failed=True) == [["a", "b"], ["c", "d"]]
    assert sorted(lake.unillustrated(DIGESTS)["scene_id"].to_pylist()) == ["a", "c", "d"]
    # A file that was joined into another since it was found can still be read.
    files = lake.unillustrated_files(DIGESTS)
    lake.scenes.compact()
    assert [pa.Table.from_batches(lake.scenes.file_batches(path, ["scene_id"])).num_rows for path, _ in files]
    assert found() == [["a", "c", "d"]]
    assert lake.failed_runs() == {of_b: 1, of_c: 1, image_id("d", "model", "b"): 1}


def test_many_small_files_are_joined(lake: Lake) -> None:
    for number in range(4):
        lake.scenes.merge([scene(str(number))])
    assert not lake.scenes.tidy(5)
    assert lake.scenes.tidy(4)
    assert not lake.scenes.tidy(4)
    dataset = lake.scenes.dataset()
    assert dataset is not None
    assert len(list(dataset.get_fragments())) == 1
    assert sorted(lake.scenes.read(["scene_id"])["scene_id"].to_pylist()) == list("0123")
    assert not lake.images.tidy(1)


def test_a_table_from_before_a_column_was_added(store: StoreInfo, bucket: str) -> None:
    def table(schema: pa.Schema) -> LakeTable:
        return LakeTable(store.settings(), f"s3://{bucket}/t", schema, ("source_uri",))

    old = pa.schema([field for field in RECORDINGS if field.name not in {"damage", "tracks"}])
    for name in ("a", "b"):
        table(old).merge([row(old, source_uri=name)])
    new = table(RECORDINGS)
    # A reader may have no right to write: the old table is read as it is, filtered by its new columns too.
    assert new.read(["source_uri", "damage"]).sort_by("source_uri").to_pylist() == [
        {"source_uri": name, "damage": None} for name in ("a", "b")
    ]
    assert new.read(filter=pc.field("damage").is_null()).schema == RECORDINGS
    assert new.located(["damage"])["damage"].null_count == 2
    assert new.upsert([row(RECORDINGS, source_uri="b", damage="cut off"), row(RECORDINGS, source_uri="c")]) == 2
    assert new.merge([row(RECORDINGS, source_uri="a", damage="too late"), row(RECORDINGS, source_uri="d")]) == 1
    new.compact()
    found = {each["source_uri"]: each["damage"] for each in table(RECORDINGS).read().to_pylist()}
    assert found == {"a": None, "b": "cut off", "c": "text", "d": "text"}
    # A process with the older version says so, and does not drop the column.
    with pytest.raises(StorageError, match="differ in damage, tracks"):
        table(old).read()


def test_two_writers_add_the_new_columns_at_once(store: StoreInfo, bucket: str) -> None:
    old = pa.schema([field for field in IMAGES if field.name != "device"])
    LakeTable(store.settings(), f"s3://{bucket}/t", old, ("image_id",)).merge([row(old, image_id="a")])
    writers = [LakeTable(store.settings(), f"s3://{bucket}/t", IMAGES, ("image_id",)) for _ in range(4)]
    for writer in writers:
        writer.count()  # each has the table open as it was
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: writers[n].merge([row(IMAGES, image_id=str(n))]), range(4)))
    assert sorted(writers[0].read(["image_id"])["image_id"].to_pylist()) == ["0", "1", "2", "3", "a"]


def test_what_keeps_the_tables_client_off_is_said_as_it_is(
    store: StoreInfo, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is sent to look for deleted files where the way or the store is to blame."""
    schema = pa.schema([("key", pa.string())])

    def asks(url: str) -> StorageError:
        table = LakeTable(S3Settings(endpoint_url=url, max_attempts=1), f"s3://{bucket}/table", schema, ("key",))
        with pytest.raises(StorageError) as raised:
            table.merge([{"key": "a"}])
        assert "by hand" not in raised.value.remedy
        return raised.value

    with front(store.endpoint) as made:
        made.answer = lambda method, path: refusal(403, "AccessDenied", "by policy") if "_delta_log" in path else None
        assert "refused the tables' client (403 AccessDenied by policy)" in asks(made.url).reason
        made.answer = lambda method, path: refusal(503, "SlowDown", "too many") if "_delta_log" in path else None
        assert "overloaded or ill (503 SlowDown too many)" in asks(made.url).reason
    ca = authority(tmp_path / "authority")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "")
    # As it was: boto believes the authority, and nobody told the other client.
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca / "tls.crt"))
    monkeypatch.setattr("s2i_core.storage.objects.trust", lambda _: None)
    with front(store.endpoint, server(tmp_path, "localhost", ca=ca)) as made:
        found = asks(made.url.replace("127.0.0.1", "localhost"))
    assert "authority that is not known" in found.reason and "AWS_CA_BUNDLE" in found.remedy


def test_what_is_archived_waits_by_the_listing_of_aws(store: StoreInfo, bucket: str) -> None:
    def item(name: str, archived: str = "") -> AudioObject:
        return AudioObject("archive", name, "e1", 1, archived)

    reason = archived_error("s3://archive/known", "GLACIER").reason
    known = recording(item("known"), status="failed", retryable=True, reason=reason)
    other = recording(item("other"), status="failed", retryable=True, reason="the store was ill")
    Lake(store.settings(), f"s3://{bucket}/out").recordings.upsert([known, other])
    listed = [item("known", "GLACIER"), item("other", "GLACIER"), item("new", "GLACIER")]

    def pending(settings: S3Settings, listed: list[AudioObject]) -> list[str]:
        lake = Lake(settings, f"s3://{bucket}/out")
        lake.recordings.settings = store.settings()
        lake.recordings._objects = ObjectStore(store.settings())
        return [found.key for found in lake.unplanned(listed, DIGESTS)]

    assert pending(store.settings(), listed) == ["new", "known", "other"]  # others than AWS do not tell what came back
    aws = S3Settings(region="us-east-1")
    assert pending(aws, listed) == ["new", "other"]
    assert pending(aws, [item("known")]) == ["known"]  # restored
    assert pending(aws, [item("known", "GLACIER")]) == []

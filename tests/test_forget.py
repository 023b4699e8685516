"""A recording that was forgotten is nowhere: in no row, file, log or old version of the destination."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
import rows_for_tests as rows
from typer.testing import CliRunner

from s2i_core import cli
from s2i_core.forget import Forgetting, Receipt, trace
from s2i_core.records import Failure, Stage, row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

GONE, STAYS = "a" * 32, "b" * 32
URIS = {GONE: "s3://in/board meeting's “talk”.mp3", STAYS: "s3://in/board meeting's “talk”.mp3.bak"}


def fill(objects: ObjectStore, bucket: str) -> Lake:
    """Two recordings with all that runs leave of them, in several commits and versions."""
    lake = Lake(objects.settings, f"s3://{bucket}/out")
    for one in (GONE, STAYS):
        for index in range(3):
            scene = rows.scene(one, index, recording_id=one, scene_id=f"{one[:30]}{index:02}")
            image = rows.image(scene, image_id=f"{one[:29]}9{index:02}", key=f"out/images/{one}/{index:09}.webp")
            lake.scenes.merge([row(scene)])
            lake.images.merge([row(image)])
            lake.things.merge([row(rows.thing(scene, "owl"))])
            lake.edits.merge([row(rows.edit(scene, image_id=image.image_id))])
            objects.put(bucket, image.key, b"picture")
        error = ValueError("broken")
        failed = Failure.of(error, subject=URIS[one], stage=Stage.DECODE, run_id="one", recording_id=one)
        lake.failures.merge([row(failed)])
        first = rows.recording("x", source_uri=URIS[one], recording_id=None, status="failed", retryable=True)
        lake.recordings.upsert([row(first)])
        lake.recordings.upsert([row(dataclasses.replace(first, recording_id=one, status="ok"))])
        objects.put(bucket, f"out/pages/{one}.html", f"<p>{URIS[one]}</p>".encode())
        objects.put(bucket, f"out/packs/{one}/chapters.json", b"{}")
    told = {"failed": [{"subject": uri, "message": f"{uri}: broken"} for uri in URIS.values()], "totals": {"images": 6}}
    objects.put(bucket, "out/runs/one/summary.json", json.dumps(told).encode())
    objects.put(bucket, "out/pages/manifest.json", json.dumps({one: ["d", True] for one in (GONE, STAYS)}).encode())
    objects.put(bucket, "out/pages/index.html", f"<a href='{GONE}.html'>talk</a>".encode())
    objects.put(bucket, "out/feed.xml", b"<rss>board meeting&#x27;s</rss>")
    lake.compact()
    return lake


def held(objects: ObjectStore, bucket: str) -> dict[str, bytes]:
    return {item.key: objects.get(bucket, item.key) for item in objects.list(bucket)}


@pytest.fixture
def lake(objects: ObjectStore, bucket: str) -> Lake:
    return fill(objects, bucket)


def s2i(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, ["forget", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_a_dry_run_says_what_would_go_and_changes_nothing(lake: Lake, objects: ObjectStore, bucket: str) -> None:
    before = held(objects, bucket)
    told = s2i(URIS[GONE], "-d", lake.uri)
    assert "1 recordings, 3 scenes, 3 things, 3 images, 3 edits, 1 failures" in told
    assert "3 in images/" in told and "nothing was changed: --yes does it" in told and "delete it there" in told
    assert held(objects, bucket) == before


def test_it_is_gone_from_every_byte_and_the_other_is_whole(
    lake: Lake, objects: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    tables = {name: table.read().to_pylist() for name, table in lake.tables.items()}
    others = {name: [each for each in found if GONE not in str(each)] for name, found in tables.items()}
    receipt = tmp_path / "receipt.json"
    assert f"out/images/{GONE}" in str(held(objects, bucket).keys())
    assert Forgetting(lake, trace(lake, GONE)).leftovers(), "the search finds it while it is there"
    s2i(URIS[GONE], "-d", lake.uri, "--yes", "--receipt", str(receipt))
    assert s2i("--verify", str(receipt)).strip().endswith("nothing is left of it")
    made = Receipt.read(receipt)
    assert made.done and made.rows == {
        "recordings": 1,
        "scenes": 3,
        "things": 3,
        "images": 3,
        "edits": 3,
        "failures": 1,
    }
    # By plain bytes too, and by what each table holds.
    everything = held(objects, bucket)
    for key, data in everything.items():
        assert GONE not in key and GONE.encode() not in data, key
        assert GONE[:29].encode() not in data, f"ids of scenes and pictures in {key}"
    fresh = Lake(objects.settings, lake.uri)
    for name, table in fresh.tables.items():
        assert sorted(map(str, table.read().to_pylist())) == sorted(map(str, others[name])), name
    # The other one's documents are as they were.
    assert json.loads(everything["out/runs/one/summary.json"]) == {
        "failed": [{"subject": URIS[STAYS], "message": f"{URIS[STAYS]}: broken"}],
        "totals": {"images": 6},
    }
    assert json.loads(everything["out/pages/manifest.json"]) == {STAYS: ["d", True]}
    assert f"out/pages/{STAYS}.html" in everything and "out/pages/index.html" not in everything
    assert {key for key in everything if "/images/" in key and "tables" not in key} == {
        f"out/images/{STAYS}/{index:09}.webp" for index in range(3)
    }
    # The tables are written on, and tidied, as before.
    fresh.images.merge([row(rows.image(rows.scene("new", 0)))])
    fresh.compact()
    assert Lake(objects.settings, lake.uri).images.count() == 4


def test_vacuum_alone_would_have_left_it(lake: Lake, objects: ObjectStore, bucket: str) -> None:
    """Why the log is cut off: what the search is for."""
    of_it = trace(lake, URIS[GONE])
    delta = lake.images.delta()
    assert delta is not None
    delta.delete(f"recording_id = '{GONE}'")
    delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    left = [each for each in Forgetting(lake, of_it).leftovers() if "tables/images/" in each]
    assert left and all("_delta_log" in each for each in left)


def test_a_bucket_with_versions_keeps_them_until_told(objects: ObjectStore, tmp_path: Path) -> None:
    bucket = "versioned"
    objects.create_bucket(bucket)
    client = boto3.client("s3", endpoint_url=objects.settings.endpoint_url, region_name="us-east-1")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    lake = fill(objects, bucket)
    receipt = tmp_path / "receipt.json"
    told = s2i(GONE, "-d", lake.uri, "--yes", "--receipt", str(receipt))
    assert "keeps old versions" in told and "--versions" in told
    left = s2i("--verify", str(receipt), code=1)
    assert "still tell of it" in left
    # Its rows are gone already; by the receipt the versions can be deleted all the same.
    s2i(str(receipt), "--versions", "--yes", "--receipt", str(receipt))
    assert Receipt.read(receipt).versions > 0
    assert "nothing is left of it" in s2i("--verify", str(receipt))
    assert sorted(lake.images.read(["recording_id"])["recording_id"].to_pylist()) == [STAYS] * 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["s3://in/nowhere.mp3"], "nothing is known of it"),
        ([], "name one, or a receipt"),
        (["--verify", "nothing.json"], "it is no receipt"),
    ],
)
def test_what_is_wrong_is_one_clear_line(lake: Lake, words: list[str], said: str) -> None:
    assert said in s2i(*words, "-d", lake.uri, code=2)


def test_names_that_go_on_are_others(lake: Lake) -> None:
    """s3://in/talk is not s3://in/talk2, nor s3://in/talk/b, in whatever form a document writes it."""
    from s2i_core.forget import _pattern, _redacted

    words = _pattern(["s3://in/a b/talk.mp3"])
    name = "s3://in/a b/talk.mp3"
    for text in (f'"{name}"', f"{name}: broken", "s3://in/a%20b/talk.mp3", f"x {name}."):
        assert words.search(text.encode()), text
    for text in (f"{name}.bak", f"{name}/x", f"{name}2", f"s{name}"):
        assert not words.search(text.encode()), text
    document = {"keep": [1, {"uri": name}, 2], name: 1, "one": name}
    assert _redacted(document, words) == {"keep": [1, 2], "one": None}


def test_it_can_be_done_again_where_it_broke_off(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    of_it = trace(lake, GONE)
    work = Forgetting(lake, of_it)

    def broken(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("s2i_core.forget.forget_history", broken)
        work.forget(versions=False)
    again = trace(lake, URIS[GONE])
    assert again.recording_ids == (GONE,)
    Forgetting(lake, again).forget(versions=False)
    assert Forgetting(lake, of_it).leftovers() == []
    assert isinstance(lake.images.read(), pa.Table)

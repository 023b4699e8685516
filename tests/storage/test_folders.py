"""Folders in a real object store do what folders on a disk do."""

import json
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from s2i_core.errors import ConfigError, StorageError, StorageUnavailable
from s2i_core.storage.folders import kept_copy, open_folder, read_files, s3_filesystem, written
from s2i_core.storage.objects import ObjectStore


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two drawings, a broken one, one that is too large, and what is none."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for name, colour in (("disc", "purple"), ("more/big disc+é", "navy")):
        disc = Image.new("RGBA", (90, 60))
        ImageDraw.Draw(disc).ellipse((20, 5, 70, 55), fill=colour)
        disc.save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "large.png").write_bytes(bytes((20 << 20) + 1))
    (folder / "notes.txt").write_text("not looked at")
    return folder


def upload(folder: Path, objects: ObjectStore, bucket: str, prefix: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            objects.put(bucket, f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes(), "x/y")


def test_a_library_is_built_from_and_into_the_store_as_on_disk(
    pictures: Path, objects: ObjectStore, bucket: str, tmp_path: Path
) -> None:
    from tiny import tiny_pipeline

    from s2i_core import cli

    tiny_pipeline().save_pretrained(tmp_path / "model")
    upload(pictures, objects, bucket, "my drawings")
    there, here = f"s3://{bucket}/house", tmp_path / "house"
    for source, out in ((str(pictures), str(here)), (f"s3://{bucket}/my drawings", there)):
        arguments = ["library", "build", source, "--out", out, "--json", "--checkpoint", str(tmp_path / "model")]
        result = CliRunner().invoke(cli.app, arguments)
        assert result.exit_code == 0, result.output
        facts = json.loads(result.stdout)
        assert facts["library"] == out and facts["sprites"] == 2
        assert [each["path"] for each in facts["refused"]] == [f"{source}/broken.png", f"{source}/large.png"]
        assert "20 MB" in facts["refused"][1]["reason"]
    for name in ("sprites.json", "sprites.safetensors"):
        assert objects.get(bucket, f"house/{name}") == (here / name).read_bytes()


def test_a_copy_is_gone_on_with(objects: ObjectStore, bucket: str, tmp_path: Path) -> None:
    for name in ("a.txt", "b/c.txt", "speech-x/d.txt"):
        objects.put(bucket, f"data/{name}", name.encode(), "text/plain")
    copy = kept_copy(f"s3://{bucket}/data/", tmp_path / "copy", "speech-")
    files = sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file())
    assert files == [".lock", "a.txt", "b/c.txt"]
    (copy / "a.txt").write_text("a.tx")  # cut off
    (copy / "b" / "c.txt").write_text("MINE.tx")  # as long as the object
    kept_copy(f"s3://{bucket}/data", copy)
    assert [(copy / name).read_text() for name in ("a.txt", "b/c.txt", "speech-x/d.txt")] == [
        "a.txt", "MINE.tx", "speech-x/d.txt"
    ]  # fmt: skip
    assert kept_copy(str(copy), tmp_path / "none") == copy and not (tmp_path / "none").exists()


def test_nothing_is_written_where_the_block_failed(objects: ObjectStore, bucket: str) -> None:
    with pytest.raises(ZeroDivisionError), written(f"s3://{bucket}/out") as folder:
        (folder / "half").write_text("x")
        raise ZeroDivisionError
    assert list(objects.list(bucket)) == []
    with written(f"s3://{bucket}/out/") as folder:
        (folder / "in").mkdir()
        (folder / "in" / "whole").write_text("x")
    assert [each.key for each in objects.list(bucket)] == ["out/in/whole"]


def test_what_is_wrong_is_said(
    objects: ObjectStore, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (f"s3://{bucket}/nothing", str(tmp_path / "nowhere")):
        with pytest.raises(ConfigError, match="no such folder"):
            open_folder(place)
    with pytest.raises(StorageError, match="no such bucket"):
        open_folder("s3://there-is-none/x")
    with pytest.raises(StorageError, match="no such bucket"), written("s3://there-is-none/x"):
        pytest.fail("began to write")
    system, root = open_folder(str(shutil.copytree(Path(__file__).parent, tmp_path / "here")))
    contents = read_files(system, [f"{root}/test_folders.py", f"{root}/none.py"])
    assert isinstance(contents[f"{root}/none.py"], FileNotFoundError)
    assert contents[f"{root}/test_folders.py"] == Path(__file__).read_bytes()
    monkeypatch.setenv("S2I_S3_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(StorageUnavailable, match="does not answer"):
        open_folder(f"s3://{bucket}/x")
    assert time.monotonic() - started < 20, "it waited as through an outage"


def test_it_is_a_file_system_for_others(objects: ObjectStore, bucket: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with s3_filesystem().open(f"s3://{bucket}/rows.parquet", "wb") as file:
        pq.write_table(pa.table({"n": [1, 2, 3]}), file)
    assert pq.read_table(f"{bucket}/rows.parquet", filesystem=s3_filesystem())["n"].to_pylist() == [1, 2, 3]

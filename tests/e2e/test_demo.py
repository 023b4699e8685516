"""The demo as a person runs it: once; and killed in the middle, run again, and once more when there is nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_archive import SETTINGS, clip
from tiny import tiny_pipeline

from s2i_core.storage.embedded import EmbeddedStore, StoreInfo
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

pytestmark = pytest.mark.timeout(1200)

#: Many small commits and slow pictures, so that there is a middle to be killed in.
_SLOWLY = {
    "image.steps": 60,
    "image.size_px": 128,
    "resources.generate.batch_size": 1,
    "resources.commit_rows": 2,
    "scenes.max_s": 10,
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a tiny model and a few samples, one of them broken; the demo's store is stopped after."""
    for name in ("S2I_S3_ENDPOINT", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "")  # `_reached` sets them; this puts them back after the test
    samples = tmp_path / "samples"
    samples.mkdir()
    for name in ("sea-animals.opus", "farm-morning.mp3"):
        (samples / f"{Path(name).stem}.wav").write_bytes(clip(name, 0, 40))
    (samples / "not-audio.mp3").write_bytes(b"a shopping list")
    tiny_pipeline().save_pretrained(tmp_path / "model")
    yield tmp_path
    EmbeddedStore(tmp_path / ".s2i" / "store").down()


def _demo(project: Path, chosen: dict[str, Any]) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S2I_", "PREFECT"))
    }
    settings = [word for name, value in (SETTINGS | chosen).items() for word in ("--set", f"{name}={value}")]
    return subprocess.Popen(
        [sys.executable, "-m", "s2i_core.cli", "demo", "--json", "--checkpoint", str(project / "model"), *settings],
        cwd=project,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=(project / "stderr.txt").open("a"),
        text=True,
        start_new_session=True,
    )


def _finish(process: subprocess.Popen[str], project: Path) -> dict[str, Any]:
    out, _ = process.communicate(timeout=500)
    assert process.returncode == 0, (project / "stderr.txt").read_text()[-3000:]
    (line,) = out.splitlines()
    return dict(json.loads(line))


def _processes_of(project: Path, ray: set[str]) -> list[str]:
    """Command lines of live processes of the project's runs: Prefect's server, and Ray's by their folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "weed server" not in line and (f"{project}/.s2i" in line or any(name in line for name in ray)):
            found.append(line)
    return found


def _ray_folders(pid: int) -> set[str]:
    """Folders of the Ray that a process started: its sessions are named after its process id."""
    return {folder.parents[1].name for folder in Path("/tmp").glob(f"s2i-ray-*/ray/session_*_{pid}")}


def test_it_makes_pages_and_leaves_no_process_but_the_store(project: Path) -> None:
    process = _demo(project, {})
    made = _finish(process, project)
    assert (made["recordings"], made["failures"]) == (3, 1) and made["images"] == made["scenes"] == made["new_images"]
    page = Path(made["page"].removeprefix("file://"))
    assert len(list(page.parent.glob("*.html"))) == 3
    _, lake = _store(project)
    assert lake.images.count() == made["images"] > 0
    deadline = time.monotonic() + 60
    while (left := _processes_of(project, set())) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left == []


@pytest.mark.slow
def test_killed_and_run_again_it_completes_and_draws_nothing_twice(project: Path) -> None:
    process = _demo(project, _SLOWLY)
    images, ray = _kill_in_the_middle(process, project)
    assert ray, "no Ray of its own was found"
    deadline = time.monotonic() + 60
    while (left := _processes_of(project, ray)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left == []

    made = _finish(_demo(project, _SLOWLY), project)
    store, lake = _store(project)
    rows = lake.images.read(["key", "scene_id", "run_id"]).to_pylist()
    files = {item.key: item.etag for item in store.list("illustrated", "images/")}
    assert len(rows) == len({row["scene_id"] for row in rows}) == made["images"] == made["scenes"]
    assert {row["key"] for row in rows} == files.keys()
    assert (made["recordings"], made["failures"]) == (3, 1)
    for key, written in images.items():
        assert files[key] == written[0]
        assert _written_at(store, key) == written[1], f"{key} was made again"
    assert lake.scenes.count() == len(set(lake.scenes.read(["scene_id"])["scene_id"].to_pylist()))

    page = Path(made["page"].removeprefix("file://"))
    assert page.is_file()
    assert len(list(page.parent.glob("*.html"))) == 3
    assert all(link.name in page.read_text() for link in page.parent.glob("*.html") if link != page)

    again = _finish(_demo(project, _SLOWLY), project)
    assert (again["new_images"], again["run_id"]) == (0, None)
    assert {name: again[name] for name in ("recordings", "scenes", "images", "skipped", "failures")} == {
        name: made[name] for name in ("recordings", "scenes", "images", "skipped", "failures")
    }


def _kill_in_the_middle(
    process: subprocess.Popen[str], project: Path
) -> tuple[dict[str, tuple[str, object]], set[str]]:
    """SIGKILL the run once some pictures are there; what it had written by then, and its Ray's folders."""
    deadline = time.monotonic() + 500
    while (running := EmbeddedStore(project / ".s2i" / "store").status()) is None:
        assert process.poll() is None and time.monotonic() < deadline, (project / "stderr.txt").read_text()[-3000:]
        time.sleep(0.3)
    store, lake = _reached(running)
    while time.monotonic() < deadline:
        assert process.poll() is None, (project / "stderr.txt").read_text()[-3000:]
        if _has_bucket(store) and len(list(store.list("illustrated", "images/"))) >= 2:
            ray = _ray_folders(process.pid)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            time.sleep(3)  # what the workers had in hand may still be written
            listed = list(store.list("illustrated", "images/"))
            wanted = lake.scenes.read(["status"])["status"].to_pylist().count("ok")
            assert len(listed) < wanted, "it was over before it was killed"
            return {item.key: (item.etag, _written_at(store, item.key)) for item in listed}, ray
        time.sleep(0.2)
    raise AssertionError("no picture came")


def _has_bucket(store: ObjectStore) -> bool:
    from s2i_core.errors import StorageError

    try:
        store.check_readable("illustrated")
    except StorageError:
        return False
    return True


def _written_at(store: ObjectStore, key: str) -> object:
    return store._client().head_object(Bucket="illustrated", Key=key)["LastModified"]


def _store(project: Path) -> tuple[ObjectStore, Lake]:
    return _reached(EmbeddedStore(project / ".s2i" / "store").up())


def _reached(info: StoreInfo) -> tuple[ObjectStore, Lake]:
    os.environ.update(info.environment())
    return ObjectStore(info.settings()), Lake(info.settings(), "s3://illustrated")

"""A report says what is in the tables and in what runs wrote down, on a page that nothing can be smuggled into."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rows_for_tests as rows
from typer.testing import CliRunner

from s2i_core import cli
from s2i_core.analysis.database import Database
from s2i_core.analysis.report.figures import Figures, figures
from s2i_core.analysis.report.page import page
from s2i_core.records import Failure, Stage, row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

FIRST = datetime(2026, 10, 30, 1, tzinfo=UTC)
RUNS = 4
EACH = 40
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def lake(objects: ObjectStore) -> Lake:
    """Four nightly runs, the first of October; the last has pictures that are less like their speech."""
    objects.create_bucket("reported")
    lake = Lake(objects.settings, "s3://reported/out")
    random = np.random.default_rng(0)
    made: dict[str, list[dict[str, Any]]] = {"recordings": [], "scenes": [], "images": [], "things": [], "failures": []}
    for number in range(RUNS):
        about = {"run_id": f"run-{number}", "created_at": FIRST + timedelta(days=number)}
        made["recordings"].append(row(rows.recording(f"{number}.mp3", duration_s=600.0, **about)))
        for place in range(EACH):
            vector = random.normal(size=8)
            scene = rows.scene(
                f"{number}.mp3",
                place,
                pooled=(vector / np.linalg.norm(vector)).tolist(),
                confidence=float(random.uniform(0.4, 0.8)),
                **about,
            )
            made["scenes"].append(row(scene))
            middle = 0.3 if number == RUNS - 1 else 0.6
            made["images"].append(row(rows.image(scene, similarity=float(random.normal(middle, 0.05)), **about)))
            made["things"] += [row(rows.thing(scene, title)) for title in ("owl", EVIL)[: 1 + (place % 2)]]
        made["scenes"].append(row(rows.scene(f"{number}.mp3", EACH, status="skipped", reason="silence", **about)))
    later = {"run_id": "edit-7b1d", "created_at": FIRST + timedelta(days=RUNS), "edit_id": "7b1d"}
    made["images"].append(row(rows.image(scene, image_id="drawn again", **later)))  # by an editor, which is no run
    bad = rows.recording("bad.mp3", recording_id=None, status="failed", reason="broken", duration_s=None, **about)
    made["recordings"].append(row(bad))
    error = Failure.of(ValueError(EVIL), subject="s3://in/bad.mp3", stage=Stage.DECODE, run_id="run-3")
    mended = Failure.of(ValueError(EVIL), subject="s3://in/3.mp3", stage=Stage.DECODE, run_id="run-3")
    made["failures"] = [row(each) | {"created_at": about["created_at"]} for each in (error, mended)]
    for thing in made["things"]:
        number = int(thing["recording_id"].removeprefix("id-").removesuffix(".mp3"))
        thing |= {"run_id": f"run-{number}", "created_at": FIRST + timedelta(days=number)}
    for name, many in made.items():
        lake.tables[name].merge(many)
    jobs = [{"job": "plan", "cpu_s": 300.0, "gpu_s": 0.0, "cost": 0.0}, {"job": "illustrate", "cpu_s": 900.0}]
    for number in range(1, RUNS):
        facts = {"elapsed_s": 120.0, "started_at": (FIRST + timedelta(days=number)).isoformat(), "jobs": jobs}
        objects.put("reported", f"out/runs/run-{number}/summary.json", json.dumps(facts).encode())
    return lake


@pytest.fixture(scope="module")
def found(lake: Lake) -> Iterator[Figures]:
    with Database(lake) as database:
        yield figures(lake, database)


def test_it_tells_what_each_run_did(found: Figures) -> None:
    assert (found.name, found.title, found.by) == ("2026-11", "November 2026", "run")
    assert [each.name for each in found.columns] == ["run-2", "run-3"]  # the others are of October
    last = found.columns[-1]
    assert last.recordings == {"ok": 1, "failed": 1} and last.pictures == EACH
    assert last.seconds == {"to draw": 10.0 * EACH, "silence": 10.0}
    assert last.pictures_per_minute == pytest.approx(EACH / 2)
    assert last.audio_per_hour == pytest.approx(5.0)
    assert last.cpu_per_audio == pytest.approx(2.0)
    assert last.similarity is not None and last.similarity[1] == pytest.approx(0.3, abs=0.05)
    assert [(each.thing, each.times) for each in found.things] == [("owl", 2 * EACH), (EVIL, EACH)]
    (fault,) = found.failures
    assert (fault.stage, fault.error, fault.subjects, fault.standing) == ("decode", "ValueError", 2, 1)


def test_what_has_moved_is_told(found: Figures) -> None:
    assert {each.what for each in found.newest if each.found} == {"similarity"}
    (similarity,) = (each for each in found.newest if each.found)
    assert similarity.amount > 0.9 and similarity.before == pytest.approx(0.6, abs=0.05)
    assert "similarity moved from 0.59" in similarity.described()


def test_the_page_is_the_same_each_time_and_lets_nothing_in(lake: Lake, found: Figures) -> None:
    text = page(found)
    assert "<script" not in text and "style=" not in text and "http" not in text.replace("http-equiv", "")
    assert text.count("<svg viewBox") >= 9 and "&lt;script&gt;alert(1)" in text
    with Database(lake) as database:
        assert page(figures(lake, database)) == text


def report(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli.app, ["report", *words])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.output


def test_the_command(lake: Lake, objects: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2I_DESTINATION", lake.uri)
    monkeypatch.chdir(tmp_path)
    assert report("2026-10").strip().endswith("report-2026-10.html")
    assert (tmp_path / "report-2026-10.html").read_text("utf-8").startswith("<!doctype html>")
    told = json.loads(report("run-3", "--json"))
    assert [each["name"] for each in told["columns"]] == [f"run-{number}" for number in range(RUNS)]
    assert told["columns"][0]["pictures_per_minute"] is None
    report("run-1", "--out", "s3://reported/pages/one.html")
    assert b"Run run-1" in objects.get("reported", "pages/one.html")
    assert "There are 2026-10, 2026-11" in report("2025-01", code=2)
    assert "there is none of that name" in report("run-9", code=2)
    assert "tables/ is where tables are" in report("--out", "s3://reported/out/tables/x.html", code=2)

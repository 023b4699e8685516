"""Every question of docs/analysts.md is answered as `s2i query` answers it, on real tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
import rows_for_tests as rows

from s2i_core.analysis.database import Database
from s2i_core.records import Failure, Stage, row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "analysts.md").read_text("utf-8")
QUESTIONS = re.findall(r"^```sql\n(.*?)^```", TEXT, re.M | re.S)


@pytest.fixture(scope="module")
def database(objects: ObjectStore) -> Iterator[Database]:
    objects.create_bucket("analysts")
    lake = Lake(objects.settings, "s3://analysts")
    scenes = [rows.scene(name, index, things=["owl"]) for name in ("a.mp3", "b.mp3") for index in range(4)]
    quiet = rows.scene("b.mp3", 4, status="skipped", reason="silence")
    lake.scenes.merge([row(each) for each in [*scenes, quiet]])
    lake.images.merge([row(rows.image(each, similarity=0.1 * number)) for number, each in enumerate(scenes[:6])])
    lake.things.merge([row(rows.thing(each, title)) for each in scenes for title in ("owl", "castle")])
    later = rows.DAY + timedelta(hours=1)
    lake.recordings.merge(
        [row(rows.recording(name, created_at=later)) for name in ("a.mp3", "b.mp3")]
        + [row(rows.recording("c.mp3", recording_id=None, status="failed", reason="broken", duration_s=None))]
    )
    failed = Failure.of(ValueError("broken"), subject="s3://in/c.mp3", stage=Stage.DECODE, run_id="one")
    lake.failures.merge([row(failed)])
    with Database(lake) as database:
        yield database


def test_there_are_ten_questions_each_with_its_answer_and_a_plot() -> None:
    parts = re.split(r"^## \d+\. ", TEXT, flags=re.M)[1:]
    assert len(parts) == 10 <= len(QUESTIONS)
    for number, part in enumerate(parts, 1):
        assert "| --- |" in part and f"(images/analysts-{number}.svg)" in part
        text = (DOCS / "images" / f"analysts-{number}.svg").read_text("utf-8")
        assert ElementTree.fromstring(text).tag.endswith("svg")


@pytest.mark.parametrize("question", QUESTIONS, ids=range(len(QUESTIONS)))
def test_each_has_an_answer(database: Database, question: str) -> None:
    with database.ask(question) as answer:
        assert answer.table().num_rows > 0


def test_answers_are_right(database: Database) -> None:
    def ask(words: str) -> list[tuple[object, ...]]:
        (question,) = (each for each in QUESTIONS if words in each)
        with database.ask(question) as answer:
            return [tuple(each.values()) for each in answer.table().to_pylist()]

    assert ask("percent_covered") == [("b", 61.0, 50.0, 2, 33.0), ("a", 61.0, 50.0, 4, 66.0)]
    named = ask("max(confidence), 2) AS surest")
    assert [each[:3] for each in named] == [("castle", 8, 2), ("owl", 8, 2)]
    assert ask("AS tags") == [("a.mp3", "castle, owl", 8), ("b.mp3", "castle, owl", 8)]
    assert {what: seconds for what, _, seconds, _ in ask("AS stretches")} == {
        "illustrated": 60.0,
        "to draw": 20.0,
        "silence": 10.0,
    }

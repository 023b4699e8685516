"""What may be asked: statements that write, read files, reach the network or never end do not get through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import rows_for_tests as rows

from s2i_core.analysis.database import Database, QueryLimits
from s2i_core.analysis.statement import MAX_CHARACTERS, checked
from s2i_core.errors import ConfigError, LimitExceeded
from s2i_core.records import row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

TEXT = Path(__file__).with_name("hostile.txt").read_text("utf-8")
HOSTILE = [line for line in TEXT.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def database(objects: ObjectStore) -> Iterator[Database]:
    objects.create_bucket("hostile")
    lake = Lake(objects.settings, "s3://hostile")
    scene = rows.scene("a", 0)
    lake.scenes.merge([row(scene)])
    lake.images.merge([row(rows.image(scene))])
    lake.recordings.merge([row(rows.recording("a"))])
    with Database(lake, QueryLimits(seconds=0.5, memory="100MB")) as database:
        yield database


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 100 and len(set(HOSTILE)) == len(HOSTILE)


def test_none_gets_through_and_none_crashes(database: Database, tmp_path: Path) -> None:
    there, new = tmp_path / "secret.csv", tmp_path / "new"
    there.write_text("a\nsecret\n")
    through = []
    for text in HOSTILE:
        sql = text.replace("$FILE", str(there)).replace("$NEW", str(new))
        try:
            with database.ask(sql) as answer:
                through.append((text, answer.table().num_rows))
        except (ConfigError, LimitExceeded) as error:
            assert "\n" not in str(error) and len(str(error)) < 700, text
        assert list(tmp_path.iterdir()) == [there], f"{text} left something"
    assert through == []
    # The same connection still answers, and nothing is switched on or gone.
    with database.ask("SELECT count(*) FROM images") as answer:
        assert answer.table().to_pylist() == [{"count_star()": 1}]
    with database.ask("SELECT pictures FROM episodes") as answer:
        assert answer.table().to_pylist() == [{"pictures": 1}]


def test_what_only_reads_is_let_through(database: Database) -> None:
    for sql in (
        "SELECT 1",
        "FROM images",
        "TABLE scenes",
        "VALUES (1), (2)",
        "select Style from IMAGES;",
        "-- a word first\nSELECT count(*) FROM scenes",
        "DESCRIBE episodes",
        "SUMMARIZE images",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM images",
        "EXPLAIN ANALYZE SELECT * FROM images",
        "EXPLAIN (FORMAT json) SELECT 1",
        "SELECT * FROM information_schema.columns",
        "WITH x AS (SELECT 1 AS a), y AS (SELECT * FROM x) SELECT * FROM y JOIN range(3) ON true",
        "SELECT unnest([1, 2]), * FROM generate_series(1, 3)",
        "SELECT random(), uuid(), now()",
        "SELECT * FROM images ANTI JOIN scenes USING (scene_id)",
        "SELECT * EXCLUDE (key) FROM images QUALIFY row_number() OVER (PARTITION BY style) = 1",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
    ):
        with database.ask(sql) as answer:
            answer.table()


def test_a_name_that_is_not_there_is_answered_with_those_like_it(database: Database) -> None:
    for sql, missing, near in (
        ("SELECT simlarity FROM images", "simlarity", "similarity"),
        ("SELECT i.stlye FROM images AS i", "stlye", "style"),
        ("SELECT * FROM episode", "episode", "episodes"),
        ("SELECT meen(similarity) FROM images", "meen", ""),
    ):
        with pytest.raises(ConfigError) as told, database.ask(sql):
            pass
        assert missing in told.value.reason and near in told.value.remedy


def test_words_and_not_positions_are_told(database: Database) -> None:
    with (
        pytest.raises(ConfigError, match="onver") as told,
        database.ask("SELECT key::INT FROM images") as a,
    ):
        a.table()
    assert "LINE 1" not in str(told.value)


def test_a_statement_is_bounded_in_length() -> None:
    with pytest.raises(ConfigError, match="longer than"):
        checked("SELECT " + "1," * MAX_CHARACTERS, ["images"])
    for deep in ("(" * 20_000 + "1" + ")" * 20_000, "NOT " * 20_000 + "true", "1" + "+1" * 20_000):
        with pytest.raises(ConfigError):
            checked("SELECT " + deep, ["images"])


def test_the_guard_does_not_lean_on_the_database_alone() -> None:
    """Each layer by itself: what reads from elsewhere is refused before the database sees it."""
    for sql in ("SELECT * FROM '/etc/passwd'", "SELECT * FROM enable_logging()", "SELECT * FROM read_text('x')"):
        with pytest.raises(ConfigError):
            checked(sql, ["images"])

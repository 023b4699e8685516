"""Answers in every form, into files and the store; what comes from strangers stays text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import rows_for_tests as rows
from typer.testing import CliRunner

from s2i_core import cli
from s2i_core.analysis.database import Database
from s2i_core.analysis.prompt import completions
from s2i_core.records import row
from s2i_core.storage.objects import ObjectStore
from s2i_core.storage.tables import Lake

EVIL = ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2", "\t=1", "  =1", "plain", 'a,b"c\nd', "\x1b[31mred"]


@pytest.fixture(scope="module")
def destination(objects: ObjectStore) -> Iterator[str]:
    objects.create_bucket("answers")
    lake = Lake(objects.settings, "s3://answers/out")
    scenes = [rows.scene("a", index, things=[name]) for index, name in enumerate(EVIL)]
    lake.scenes.merge([row(each) for each in scenes])
    lake.images.merge([row(rows.image(each, style=name)) for each, name in zip(scenes, EVIL, strict=True)])
    lake.recordings.merge([row(rows.recording("a"))])
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("S2I_DESTINATION", lake.uri)
        yield lake.uri


def query(*words: str, code: int = 0, **more: Any) -> str:
    result = CliRunner().invoke(cli.app, ["query", *words], **more)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


STYLES = 'SELECT style AS "=style", similarity, created_at, seed FROM images ORDER BY image_id'


def test_csv_is_safe_in_a_spreadsheet_and_whole(destination: str, tmp_path: Path) -> None:
    out = tmp_path / "styles.csv"
    query(STYLES, "--out", str(out))
    head, *lines = csv.reader(io.StringIO(out.read_text("utf-8"), newline=""))
    assert head == ["'=style", "similarity", "created_at", "seed"]
    cells = [line[0] for line in lines]
    assert cells == [*(f"'{each}" for each in EVIL[:6]), *EVIL[6:]]
    assert {line[1] for line in lines} == {"0.5"} and {line[2] for line in lines} == {"2026-01-01T00:00:00+00:00"}


def test_json_is_json_and_parquet_keeps_types(destination: str, tmp_path: Path) -> None:
    found = json.loads(query(STYLES, "--json"))
    assert [each["=style"] for each in found] == EVIL and found[0]["seed"] == 1
    assert json.loads(query("SELECT 1 WHERE false", "--json")) == []
    odd = "SELECT 'nan'::DOUBLE AS a, 'x'::BLOB AS b, 1.50::DECIMAL(4, 2) AS c, [1, NULL] AS d"
    odd += ", {'k': DATE '2026-01-02'} AS e"
    assert json.loads(query(odd, "--json")) == [
        {"a": None, "b": "eA==", "c": 1.5, "d": [1, None], "e": {"k": "2026-01-02"}}
    ]
    query("SELECT * FROM scenes", "--out", str(tmp_path / "scenes.parquet"))
    assert pq.read_table(tmp_path / "scenes.parquet").num_rows == len(EVIL)


def test_people_get_a_table_that_no_text_breaks(destination: str) -> None:
    told = query(STYLES)
    assert "\x1b" not in told and "\\x1b[31mred" in told and 'a,b"c\\nd' in told
    assert "the first 2 rows" in query(STYLES, "--rows", "2")
    assert re.search(r"focus_tokens|0 bytes", query("SELECT focus_tokens FROM scenes LIMIT 1"))


def test_an_answer_goes_into_the_store_but_not_among_the_tables(destination: str, objects: ObjectStore) -> None:
    query("SELECT count(*) AS n FROM images", "--out", "s3://answers/questions/n.json")
    assert json.loads(objects.get("answers", "questions/n.json")) == [{"n": len(EVIL)}]
    told = query("SELECT 1", "--out", "s3://answers/out/tables/images/x.parquet", code=2)
    assert "tables/ is where tables are" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["SELECT 1", "--out", "x.xls"], "which format"),
        (["SELECT 1", "--format", "xml"], "no such format"),
        (["SELECT 1", "--memory", "lots"], "--memory lots"),
        (["SELECT 1", "--destination", "http://x"], "not the address of a bucket"),
        (["DROP TABLE images"], "only SELECT"),
        (["SELECT nam FROM episodes"], "Is it name"),
        (["SELECT * FROM range(100000000000) ORDER BY hash(range)", "--memory", "60MB"], "more memory than 60MB"),
        (["SELECT sum(range) FROM range(10000000000000)", "--seconds", "0.3"], "stopped after 0.3 s"),
    ],
)
def test_what_is_wrong_is_one_clear_line(destination: str, words: list[str], said: str, tmp_path: Path) -> None:
    told = query(*words, code=2)
    assert said in told and len(told.strip().splitlines()) == 1


def test_a_file_is_whole_or_not_there(destination: str, tmp_path: Path) -> None:
    out = tmp_path / "never.csv"
    query("SELECT * FROM range(100000000000)", "--out", str(out), "--seconds", "0.5", code=2)
    assert list(tmp_path.iterdir()) == []


def test_without_a_destination_it_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S2I_DESTINATION", raising=False)
    assert "S2I_DESTINATION" in query("SELECT 1", code=2)


def test_the_prompt_goes_on_after_an_error(destination: str, tmp_path: Path) -> None:
    out = tmp_path / "n.json"
    typed = [".tables", "SELECT nope", "FROM images;", ".columns episodes", f".out {out}"]
    told = query(input="\n".join([*typed, "SELECT count(*) AS n", "FROM images;", ".quit", ""]))
    assert "episodes" in told and "illustrated_s" in told and f"1 rows in {out}" in told
    assert json.loads(out.read_text()) == [{"n": len(EVIL)}]


def test_tab_completes_tables_columns_and_words(destination: str, objects: ObjectStore) -> None:
    with Database(Lake(objects.settings, destination)) as database:
        assert completions(database, "SELECT * FROM ", "ep") == ["episodes"]
        assert completions(database, "SELECT ", "simi") == ["similarity"]
        assert completions(database, "SELECT ", "i.simi", " FROM images AS i") == ["i.similarity"]
        assert "SELECT" in completions(database, "", "SEL") and "select" in completions(database, "", "sel")
        assert completions(database, "", ".col") == [".columns "]
        assert "images" in completions(database, ".columns ", "im")

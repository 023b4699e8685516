"""`s2i eval` explains itself and refuses what it does not know."""

import json
from pathlib import Path

from typer.testing import CliRunner

from s2i_core.cli import app
from s2i_core.evaluation.__main__ import app as beside
from s2i_core.evaluation.commands import stored_parts


def test_an_unknown_part_is_named():
    result = CliRunner().invoke(app, ["eval", "--only", "taste", "--json"])
    assert result.exit_code == 2
    said = json.loads(result.stdout)
    assert "taste" in said["subject"]
    assert "retrieval" in said["remedy"]


def test_parts_of_a_result_file_know_their_day(tmp_path):
    path = tmp_path / "model.json"
    assert stored_parts(path) == {}
    parts = {"talk": {"date": "2026-02-03"}, "passages": {}}
    path.write_text(json.dumps({"date": "2026-01-02", "figures": {"parts": parts}}))
    assert stored_parts(path) == {"talk": {"date": "2026-02-03"}, "passages": {"date": "2026-01-02"}}


def test_the_card_is_written_anew_from_a_result_file(tmp_path):
    results = Path(__file__).parents[2] / "docs" / "results" / "model.json"
    made = CliRunner().invoke(beside, ["card", "--results", str(results), "--checkpoint", str(tmp_path)])
    assert made.exit_code == 0, made.output
    text = (tmp_path / "README.md").read_text("utf-8")
    assert json.loads(results.read_text("utf-8"))["figures"]["model_digest"] in text
    missing = CliRunner().invoke(beside, ["card", "--results", str(tmp_path / "none.json")])
    assert missing.exit_code != 0

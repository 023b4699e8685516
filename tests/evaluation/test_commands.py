"""`s2i eval` explains itself and refuses what it does not know."""

import json

from typer.testing import CliRunner

from s2i_core.cli import app
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

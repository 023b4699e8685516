"""`s2i eval` explains itself and refuses what it does not know."""

import json

from typer.testing import CliRunner

from s2i_core.cli import app


def test_an_unknown_part_is_named():
    result = CliRunner().invoke(app, ["eval", "--only", "taste", "--json"])
    assert result.exit_code == 2
    said = json.loads(result.stdout)
    assert "taste" in said["subject"]
    assert "retrieval" in said["remedy"]

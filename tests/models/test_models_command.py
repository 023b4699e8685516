"""`s2i models` says what there is, and what a checkpoint lacks for it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tiny import tiny_pipeline
from typer.testing import CliRunner

from s2i_core import cli
from s2i_core.models.registry import DECODERS, ENCODERS, FRONTENDS


def test_an_old_name_is_told_on_the_terminal(tmp_path: Path) -> None:
    arguments = ["illustrate", str(tmp_path / "none.wav"), "--out", str(tmp_path), "--set", "model.library=house"]
    program = [sys.executable, "-c", "from s2i_core.cli import main; main()", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert "warning: the setting model.library is now model.decoder.library" in done.stderr
    assert "error: house: there is no library here" in done.stderr


def test_all_kinds_are_listed_with_what_they_need(tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path)
    shutil.rmtree(tmp_path / "denoiser")
    arguments = ["models", "--checkpoint", str(tmp_path)]
    found = json.loads(CliRunner().invoke(cli.app, [*arguments, "--json"]).stdout)
    assert [each["kind"] for each in found["encoders"]] == list(ENCODERS) == list(FRONTENDS)
    decoders = {each["kind"]: each for each in found["decoders"]}
    assert list(decoders) == list(DECODERS)
    assert decoders["native"]["lacks"] == ["denoiser"]
    assert decoders["native"]["presets"] == ["cpu", "draft", "gpu"]
    assert found["encoders"][0]["lacks"] == [] and found["encoders"][0]["megabytes"] > 0
    assert all(each["about"] and "checkpoint" in each["settings"] for each in found["decoders"] + found["encoders"])

    said = CliRunner().invoke(cli.app, arguments).stdout
    assert "collage" in said and "lacks denoiser" in said and "model.decoder.library" in said

"""`s2i hear`: what is named in a file, by a model of tiny random parts."""

import json
from pathlib import Path

import numpy as np
import pytest
from publish.recordings import wav
from tiny import COLOURS, tiny_pipeline
from typer.testing import CliRunner

from s2i_core import cli
from s2i_core.errors import ConfigError, DecodeError, ModelError
from s2i_core.hear_file import Named, hear_file
from s2i_core.presets import cpu
from s2i_core.records import Thing

SAMPLES = Path(__file__).parent.parent / "samples"
TALK = SAMPLES / "castle-tale.mp3"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("grounded")
    tiny_pipeline(grounded=True).save_pretrained(folder)
    return folder


def test_a_program_gets_one_object_on_the_last_line(checkpoint):
    words = ["hear", str(TALK), "--checkpoint", str(checkpoint), "--json", "--min-confidence", "0"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output.splitlines()[-1])
    assert set(told) == {"duration_s", "things"}
    assert told["duration_s"] == pytest.approx(84.8, abs=1)
    assert told["things"]
    for thing in told["things"]:
        assert set(thing) == {"thing", "start_s", "end_s", "confidence"}
        assert thing["thing"] in COLOURS
        assert 0 <= thing["start_s"] < thing["end_s"] <= told["duration_s"]
        assert 0 <= thing["confidence"] <= 1
    assert told["things"] == sorted(told["things"], key=lambda thing: thing["start_s"])


def test_a_terminal_gets_a_line_for_each_thing_or_that_there_is_none():
    things = [Thing("owl", 3.25, 3.9, 0.91), Thing("steam locomotive", 61.0, 61.8, 0.5)]
    lines = Named(75.2, 70.0, None, things).timeline().splitlines()
    assert lines[0] == "1:15 of recording, 1:10 of speech: 2 things"
    assert [line.split() for line in lines[1:]] == [
        ["0:03.2", "owl", "█████████", "0.91"],
        ["1:01.0", "steam", "locomotive", "█████", "0.50"],
    ]
    assert Named(60.0, 55.0, None, []).timeline().endswith("nothing is named that could be drawn")


def test_silence_names_nothing(tmp_path):
    path = tmp_path / "still.wav"
    path.write_bytes(wav(np.zeros(16000 * 3, np.int16)))
    assert hear_file(path, cpu(), tiny_pipeline(grounded=True).model, 0.0).things == []


def test_files_end_as_they_do_for_illustrate(tmp_path):
    model = tiny_pipeline(grounded=True).model
    with pytest.raises(DecodeError):
        hear_file(SAMPLES / "not-audio.mp3", cpu(), model, 0.5)
    with pytest.raises(ConfigError, match="not a file"):
        hear_file(tmp_path / "none.mp3", cpu(), model, 0.5)


def test_a_model_without_a_grounding_says_so(tmp_path):
    with pytest.raises(ModelError, match=r"no grounding.*training\.grounding"):
        hear_file(TALK, cpu(), tiny_pipeline().model, 0.5)
    tiny_pipeline().save_pretrained(tmp_path)
    result = CliRunner().invoke(cli.app, ["hear", str(TALK), "--checkpoint", str(tmp_path), "--json"])
    assert result.exit_code == cli.EXIT_ERROR
    assert json.loads(result.output.splitlines()[-1])["error"] == "ModelError"


def test_two_limits_are_one_too_many():
    words = ["hear", str(TALK), "--precision", "0.8", "--min-confidence", "0.5", "--json"]
    assert json.loads(CliRunner().invoke(cli.app, words).output)["remedy"] == "Give one of them."

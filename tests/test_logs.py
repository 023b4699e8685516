"""Structured logs: each line a JSON object with the ids that were given."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from s2i_core import logs
from s2i_core.logs import JsonLines, Log


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is written to the log meanwhile."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(logs.ROOT)
    before = logger.level, logger.propagate, logger.handlers
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    yield stream
    logger.setLevel(before[0])
    logger.propagate, logger.handlers = before[1:]


def test_a_line_has_its_facts_and_those_of_its_log(written: io.StringIO) -> None:
    log = Log("jobs", run_id="run-1", node=None)
    log.warning('recording "failed"\n', recording_id="a" * 32, source_uri="s3://in/talks/it's 🌊.wav", scenes=0)
    log.debug("unseen")
    (line,) = [json.loads(line) for line in written.getvalue().splitlines()]
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "s2i.jobs",
        "message": 'recording "failed"\n',
        "run_id": "run-1",
        "recording_id": "a" * 32,
        "source_uri": "s3://in/talks/it's 🌊.wav",
        "scenes": 0,
    }


def test_a_text_with_percent_signs_stays_as_it_is(written: io.StringIO) -> None:
    Log("jobs").info("100 %s", key="50%d")
    line = json.loads(written.getvalue())
    assert (line["message"], line["key"]) == ("100 %s", "50%d")


def test_without_handlers_lines_go_to_the_standard_error_of_that_moment(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger(logs.ROOT)
    logger.handlers = []
    logs.to_stderr()
    logs.to_stderr()
    streams = io.StringIO(), io.StringIO()
    for number, stream in enumerate(streams):
        monkeypatch.setattr("sys.stderr", stream)
        Log("jobs", run_id="run-1").info("line", number=number)
    assert [json.loads(stream.getvalue())["number"] for stream in streams] == [0, 1]
    assert written.getvalue() == ""


def test_handlers_of_a_program_around_us_stay(written: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    logs.to_stderr()
    Log("jobs").info("once")
    assert "once" in written.getvalue()
    assert capsys.readouterr().err == ""

"""Who watches is told; where there is no terminal, lines are few."""

from __future__ import annotations

import pytest

from flows.progress import Bars, Step, report, step, watching


def test_watchers_hear_what_is_reported_while_they_watch() -> None:
    heard: list[Step] = []
    report(Step("before", 1, 1))
    with watching(heard.append), watching(heard.append):
        report(Step("within", 1, 2))
    report(Step("after", 1, 1))
    assert [each.name for each in heard] == ["within", "within"]


def test_a_step_that_fails_is_not_done() -> None:
    heard: list[Step] = []
    with watching(heard.append), pytest.raises(ValueError, match="no"), step("Start"):
        raise ValueError("no")
    assert [each.done for each in heard] == [0]


def test_without_a_terminal_there_is_a_line_at_the_start_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Bars() as bars, watching(bars):
        for done in range(101):
            report(Step("Draw", done, 100, "1 failed" if done else ""))
        with step("Tidy"):
            pass
        report(Step("Nothing", 0, 0))
    assert capsys.readouterr().err.splitlines() == [
        "Draw: 0/100",
        "Draw: 100/100  1 failed",
        "Tidy: …",
        "Tidy: done",
    ]

"""The benchmarks' own judgement: what is missing or short is said, the worst last."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.__main__ import main
from tests.bench.results import RESULTS, ROOT, TARGETS, benchmarks, broken, check, describe, judge, overview, save


def test_a_small_run_must_lose_nothing_however_slow_it_is() -> None:
    targets: dict[str, dict[str, float]] = {"ratio": {"min": 0.9}, "lost": {"exactly": 0}, "equal": {"exactly": True}}
    assert broken(targets, {"ratio": 0.1, "lost": 0, "equal": True}) == []
    assert len(broken(targets, {"ratio": 0.1, "lost": 3})) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in benchmarks() if name != "chaos"])  # which has a target of make
def test_every_benchmark_runs_in_its_small_form(name: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.bench", name, "--quick"], check=True, cwd=ROOT, timeout=900)


def test_what_falls_short_comes_last(tmp_path: Path) -> None:
    targets: dict[str, dict[str, dict[str, float]]] = {
        "one": {"ratio": {"min": 0.9}, "seconds": {"max": 10}, "lost": {"exactly": 0}},
        "two": {"ratio": {"min": 0.9}},
    }
    (tmp_path / "one.json").write_text(json.dumps({"figures": {"ratio": 0.95, "seconds": 20, "lost": 0}}))
    lines = [(finding.line.split()[:2], finding.short) for finding in check(targets, tmp_path)]
    assert lines == [
        (["ok", "one.ratio:"], False),
        (["ok", "one.lost:"], False),
        (["short", "one.seconds:"], True),
        (["missing", "two.ratio:"], True),
    ]


@pytest.mark.parametrize(
    ("target", "value", "good"),
    [
        ({"min": 0.9}, 0.9, True),
        ({"min": 0.9}, 0.89, False),
        ({"max": 5}, 5, True),
        ({"max": 5}, 5.1, False),
        ({"exactly": True}, False, False),
        ({"exactly": 0}, 0, True),
        ({"min": 0.9}, float("nan"), False),
    ],
)
def test_a_figure_is_held_to_its_target(target: dict[str, float], value: float, good: bool) -> None:
    assert (judge(target, value) >= 0) is good


def test_a_result_says_what_it_was_measured_on(tmp_path: Path) -> None:
    figures = {"scan_s": 50, "notes": {"scan_s": "why"}}
    stored = json.loads(save("resume", figures, tmp_path, 3.0).read_text())
    assert stored["figures"] == {"scan_s": 50}
    assert stored["met"]["scan_s"] is False
    assert stored["notes"] == {"scan_s": "why"}
    assert stored["machine"]["cores"] and stored["versions"]["python"] and stored["command"]


def test_the_overview_is_of_the_results_beside_it(tmp_path: Path) -> None:
    targets = json.loads(TARGETS.read_text())
    assert (RESULTS / "README.md").read_text() == overview(targets, RESULTS), "write it: python -m tests.bench NAME"
    save("resume", {"scan_s": 50, "notes": {"scan_s": "why"}}, tmp_path, 3.0)
    said = overview(targets, tmp_path)
    assert "| 50 | ≤ 20 | short |" in said and "scan_s: why" in said
    assert "`python -m tests.bench job`: not measured" in said


def test_check_exits_with_1_where_a_result_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--out", str(tmp_path)]) == 1
    assert "missing" in capsys.readouterr().out.splitlines()[-1]


def test_every_benchmark_says_what_it_measures_and_has_targets() -> None:
    targets = json.loads(TARGETS.read_text())
    for name in benchmarks():
        assert describe(name)
        assert targets[name]

"""How the suite is divided among the processes that run it."""

from pathlib import Path

from side_by_side import TOGETHER, piece


def test_what_shares_a_cluster_stays_together_and_other_files_go_by_themselves() -> None:
    for folder in TOGETHER:
        assert list(Path(__file__).parents[1].joinpath(folder).rglob("test_*.py")), folder
    assert piece("tests/cluster/serve/test_live.py::test_it[a::b]") == "tests/cluster/serve/"
    assert piece("tests/cluster/jobs/test_jobs.py::test_it") == piece("tests/cluster/test_local.py::test_it")
    assert piece("tests/test_cli.py::test_it[a::b]") == "tests/test_cli.py"
